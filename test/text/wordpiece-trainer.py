"""Hugging Face's WordPieceTrainer: {"words": [[word, count], ...], "size": n} on standard input → its pieces by id."""
import json
import sys

from tokenizers import Tokenizer, models, pre_tokenizers, trainers

request = json.load(sys.stdin)
tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
trainer = trainers.WordPieceTrainer(vocab_size=request["size"], show_progress=False, special_tokens=["[UNK]"])
tokenizer.train_from_iterator((" ".join([word] * count) for word, count in request["words"]), trainer)
ids = tokenizer.get_vocab()
print(json.dumps(sorted(ids, key=ids.get)))
