"""Opens an exported folder in Python's transformers and answers with what it computes there.

    python open_export.py FOLDER < question.json > answer.json

question: texts (lists of one or two strings), and rows of ids, token types, attention mask (B, T) and places (B, N).
answer:   for each part the encodings of the texts, logits (float32), keys that loading missed or did not expect, and
          which files come out byte for byte when transformers saves what it loaded.
"""

import json
import os
import sys
import tempfile

import torch
from transformers import AutoTokenizer, ElectraForMaskedLM, ElectraForPreTraining
from transformers.utils import logging

logging.disable_progress_bar()
classes = {"discriminator": ElectraForPreTraining, "generator": ElectraForMaskedLM}


def read_bytes(folder, name):
    with open(os.path.join(folder, name), "rb") as file:
        return file.read()


def encode(tokenizer, texts):
    encoded = [tokenizer(*text) for text in texts]
    return [{"ids": one["input_ids"], "types": one["token_type_ids"]} for one in encoded]


def saved_again(folder, model, tokenizer):
    with tempfile.TemporaryDirectory() as again:
        model.save_pretrained(again)
        tokenizer.save_pretrained(again)
        names = ["model.safetensors", "tokenizer.json"]
        return {name: read_bytes(again, name) == read_bytes(folder, name) for name in names}


def answer(folder, part, question):
    model, loading = classes[part].from_pretrained(folder, output_loading_info=True)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tensors = {name: torch.tensor(question[name]) for name in ["ids", "types", "mask", "places"]}
    with torch.no_grad():
        logits = model.eval()(
            input_ids=tensors["ids"], token_type_ids=tensors["types"], attention_mask=tensors["mask"]
        ).logits
    if part == "generator":
        rows = torch.arange(len(logits))[:, None]
        logits = logits[rows, tensors["places"]]
    return {
        "encodings": encode(tokenizer, question["texts"]),
        "maxLength": tokenizer.model_max_length,
        "logits": logits.tolist(),
        "loading": {name: sorted(map(str, found)) for name, found in loading.items() if found},
        "savedAgain": saved_again(folder, model, tokenizer),
    }


question = json.load(sys.stdin)
torch.set_num_threads(1)
json.dump({part: answer(os.path.join(sys.argv[1], part), part, question) for part in classes}, sys.stdout)
