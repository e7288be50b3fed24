"""What Python says of every code point: the character data of profile `electra`.

Prints one JSON object: {"unicode": "14.0.0", "records": [[code point, class bits, combining class, lower, nfd], ...]}
for every scalar value that differs from an ordinary letter without case. Class bits as in assembly/text/unicode.ts.
Rules: google-research/electra 8a46635, model/tokenization.py. Cased and case-ignorable are read off str.lower()'s final
sigma, since unicodedata does not tell them.
"""
import json
import sys
import unicodedata

DROP, SPACE, IDEOGRAPH, PUNCTUATION, MARK, CASED, IGNORABLE = 1, 2, 4, 8, 16, 32, 64
IDEOGRAPHS = [(0x4E00, 0x9FFF), (0x3400, 0x4DBF), (0x20000, 0x2A6DF), (0x2A700, 0x2B73F), (0x2B740, 0x2B81F),
              (0x2B820, 0x2CEAF), (0xF900, 0xFAFF), (0x2F800, 0x2FA1F)]


def is_punctuation(char, code):
    return (33 <= code <= 47 or 58 <= code <= 64 or 91 <= code <= 96 or 123 <= code <= 126
            or unicodedata.category(char).startswith("P"))


def class_of(char, code):
    category = unicodedata.category(char)
    bits = 0
    if char in "\t\n\r" or category == "Zs":
        bits |= SPACE
    elif code in (0, 0xFFFD) or category.startswith("C"):
        bits |= DROP
    elif not char.split():  # what str.split() takes for white space beyond Zs: line and paragraph separator
        bits |= SPACE
    if any(first <= code <= last for first, last in IDEOGRAPHS) and not bits & DROP:
        bits |= IDEOGRAPH
    if is_punctuation(char, code):
        bits |= PUNCTUATION
    if category == "Mn":
        bits |= MARK
    before = ("A" + char + "\u03a3").lower().endswith("\u03c2")
    if (char + "\u03a3").lower().endswith("\u03c2"):
        bits |= CASED
    elif before:
        bits |= IGNORABLE
    return bits


records = []
for code in range(0x110000):
    if 0xD800 <= code <= 0xDFFF:
        continue
    char = chr(code)
    lower, nfd = char.lower(), unicodedata.normalize("NFD", char)
    entry = [code, class_of(char, code), unicodedata.combining(char),
             "" if lower == char else lower, "" if nfd == char or 0xAC00 <= code < 0xD7A4 else nfd]
    if any(entry[1:]):
        records.append(entry)
json.dump({"unicode": unicodedata.unidata_version, "python": sys.version.split()[0], "records": records}, sys.stdout)
