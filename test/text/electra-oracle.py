"""The oracle of profile `electra`: what google-research/electra's model/tokenization.py (8a46635) does, told again plainly.

Reads one JSON request from stdin, prints one JSON answer:
  {"unicode": true}                                            -> Unicode version of this Python
  {"bytes": [hex, ...]}                                        -> hex of each, decoded with errors="ignore"
  {"texts": [...], "lowercase": b, "stripAccents": b}          -> words of each text (those over 200 code points left out)
  {"texts": [...], ..., "vocab": path}                         -> ids of each text
  {"codes": [...], "forms": ["a{}b"], "blockSize": n, ...}     -> for each n code points a sha256 of the words of all forms,
                                                                  or of the ids where there is a vocab
"""
import hashlib
import json
import sys
import unicodedata

IDEOGRAPHS = ((0x4E00, 0x9FFF), (0x3400, 0x4DBF), (0x20000, 0x2A6DF), (0x2A700, 0x2B73F), (0x2B740, 0x2B81F),
              (0x2B820, 0x2CEAF), (0xF900, 0xFAFF), (0x2F800, 0x2FA1F))
LIMIT = 200


def clean(text):
    out = []
    for char in text:
        code = ord(char)
        if char in "\t\n\r" or unicodedata.category(char) == "Zs":
            out.append(" ")
        elif code not in (0, 0xFFFD) and not unicodedata.category(char).startswith("C"):
            out.append(" " + char + " " if any(a <= code <= b for a, b in IDEOGRAPHS) else char)
    return "".join(out)


def is_punctuation(char):
    code = ord(char)
    return (33 <= code <= 47 or 58 <= code <= 64 or 91 <= code <= 96 or 123 <= code <= 126
            or unicodedata.category(char).startswith("P"))


def words_of(text, lowercase, strip):
    words = []
    for token in clean(text).split():
        if lowercase:
            token = token.lower()
        if strip:
            token = "".join(c for c in unicodedata.normalize("NFD", token) if unicodedata.category(c) != "Mn")
        word = ""
        for char in token:
            if is_punctuation(char):
                words += [word, char]
                word = ""
            else:
                word += char
        words.append(word)
    return " ".join(words).split()


def ids_of(words, vocab, longest):
    ids = []
    for word in words:
        pieces, start = [], 0
        while start < len(word) and len(word) <= LIMIT:
            end = min(len(word), start + longest)
            while end > start and ("##" if start else "") + word[start:end] not in vocab:
                end -= 1
            if end == start:
                break
            pieces.append(vocab[("##" if start else "") + word[start:end]])
            start = end
        ids += pieces if start == len(word) else [vocab["[UNK]"]]
    return ids


def load_vocab(path):
    with open(path, encoding="utf-8", newline="\n") as lines:
        return {line.strip(): number for number, line in enumerate(lines)}


def short_words(text, request):
    return [word for word in words_of(text, request["lowercase"], request["stripAccents"]) if len(word) <= LIMIT]


def block_digest(codes, request, vocab, longest):
    digest = hashlib.sha256()
    for code in codes:
        for form in request["forms"]:
            text = form.replace("{}", chr(code))
            if vocab:
                words = words_of(text, request["lowercase"], request["stripAccents"])
                line = " ".join(map(str, ids_of(words, vocab, longest)))
            else:
                line = " ".join(short_words(text, request))
            digest.update((line + "\n").encode())
    return digest.hexdigest()


def answer(request):
    if "unicode" in request:
        return unicodedata.unidata_version
    if "bytes" in request:
        return [bytes.fromhex(text).decode("utf-8", "ignore").encode().hex() for text in request["bytes"]]
    vocab = load_vocab(request["vocab"]) if "vocab" in request else {}
    longest = max(map(len, vocab), default=0)
    if "codes" in request:
        size = request["blockSize"]
        blocks = [request["codes"][first:first + size] for first in range(0, len(request["codes"]), size)]
        return [block_digest(codes, request, vocab, longest) for codes in blocks]
    if vocab:
        words = (words_of(text, request["lowercase"], request["stripAccents"]) for text in request["texts"])
        return [ids_of(of_text, vocab, longest) for of_text in words]
    return [short_words(text, request) for text in request["texts"]]


json.dump(answer(json.load(sys.stdin)), sys.stdout)
