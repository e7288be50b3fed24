"""Where the pieces of profile `electra` come from, by tags: each character carries its [start, end) through every step of
google-research/electra's model/tokenization.py (8a46635), told again on Python's own strings.

Reads {"texts": [...], "lowercase": b, "stripAccents": b, "vocab": path} from stdin; prints for each text its pieces as
[id, start, end], in code points: the smallest range that holds the characters that a piece was made of.
"""
import json
import sys
import unicodedata

IDEOGRAPHS = ((0x4E00, 0x9FFF), (0x3400, 0x4DBF), (0x20000, 0x2A6DF), (0x2A700, 0x2B73F), (0x2B740, 0x2B81F),
              (0x2B820, 0x2CEAF), (0xF900, 0xFAFF), (0x2F800, 0x2FA1F))
ASCII_PUNCTUATION = set(map(chr, (*range(33, 48), *range(58, 65), *range(91, 97), *range(123, 127))))
LIMIT = 200


def words_of(text):
    """Lists of (character, place), cleaned and cut where white space is or is put."""
    words = [[]]
    for place, char in enumerate(text):
        category = unicodedata.category(char)
        if char in "\t\n\r" or category == "Zs" or char in "\u2028\u2029":
            words.append([])
        elif char == "\ufffd" or category[0] == "C":
            continue
        elif any(first <= ord(char) <= last for first, last in IDEOGRAPHS):
            words += [[(char, place)], []]
        else:
            words[-1].append((char, place))
    return [word for word in words if word]


def lowered(word):
    whole = "".join(char for char, _ in word).lower()
    tagged, at = [], 0
    for char, place in word:
        count = len(char.lower())
        tagged += [(lower, place) for lower in whole[at:at + count]]
        at += count
    assert at == len(whole)
    return tagged


def stripped(word):
    tagged = [(part, place) for char, place in word for part in unicodedata.normalize("NFD", char)]
    ordered, marks = [], []
    for pair in [*tagged, ("", -1)]:
        if pair[0] and unicodedata.combining(pair[0]):
            marks.append(pair)
        else:
            ordered += sorted(marks, key=lambda mark: unicodedata.combining(mark[0])) + [pair]
            marks = []
    assert "".join(char for char, _ in ordered) == unicodedata.normalize("NFD", "".join(char for char, _ in word))
    return [pair for pair in ordered[:-1] if unicodedata.category(pair[0]) != "Mn"]


def split(word):
    parts = [[]]
    for char, place in word:
        if char in ASCII_PUNCTUATION or unicodedata.category(char)[0] == "P":
            parts += [[(char, place)], []]
        else:
            parts[-1].append((char, place))
    return [part for part in parts if part]


def pieces_of(word, vocab):
    text = "".join(char for char, _ in word)
    span = lambda part: [min(place for _, place in part), max(place for _, place in part) + 1]
    pieces, start = [], 0
    while start < len(text) and len(text) <= LIMIT:
        ends = (end for end in range(len(text), start, -1) if ("##" if start else "") + text[start:end] in vocab)
        end = next(ends, None)
        if end is None:
            break
        pieces.append([vocab[("##" if start else "") + text[start:end]], *span(word[start:end])])
        start = end
    return pieces if start == len(text) else [[vocab["[UNK]"], *span(word)]]


def located(text, lowercase, strip, vocab):
    out = []
    for word in words_of(text):
        word = lowered(word) if lowercase else word
        for part in split(stripped(word) if strip else word):
            out += pieces_of(part, vocab)
    return out


request = json.load(sys.stdin)
with open(request["vocab"], encoding="utf-8", newline="\n") as lines:
    vocab = {line.strip(): number for number, line in enumerate(lines)}
json.dump([located(text, request["lowercase"], request["stripAccents"], vocab) for text in request["texts"]], sys.stdout)
