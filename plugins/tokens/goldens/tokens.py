"""Small vocabularies, and what the tokenizers of transformers 5 make of difficult texts with them.

`python3 tokens.py` writes texts.json, clip.json, gpt2.json, roberta.json and wordpiece.json beside it.
"""

import json
import tempfile

from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers
from transformers import BertTokenizer, CLIPTokenizer, GPT2Tokenizer, RobertaTokenizer

TEXTS = [
    "", " ", "\t\n\u2003", "a photo of a cat", "A Photo, of  a CAT!!", "it's they'll 'tis don't", "cafe\u0301 café CAFÉ",
    "\u0130stanbul ß ﬃ Ångström", "שלום עולם", "\u202eabc\u202c \u0000 \u0007 \ufeff", "数字 和 漢字かな", "👩\u200d🚀 ❤\ufe0f 🇩🇪",
    "x" * 120, "3.14 + 1,000 = ½ ①", "<|endoftext|> [SEP] </s> <|STARTOFTEXT|>", "the cat the cat the cat the cat the cat the cat",
    "a\u0301\u0302\u0303 z\u0335", "##cat ##", "C:\\temp\\new_file-name.txt", "o’clock “quoted” – dash…",
]
LENGTH = 12
CORPUS = ["a photo of a cat", "the cat sat on the mat", "it's café", "they'll photo the café", "don't", *TEXTS[3:9], *TEXTS[10:12]]


def merged(size, marks, suffix, normalizer):
    """A byte-level vocabulary in the files of the older layout."""
    tokenizer = Tokenizer(models.BPE(end_of_word_suffix=suffix))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    if normalizer:
        tokenizer.normalizer = normalizer
    trainer = trainers.BpeTrainer(vocab_size=size, special_tokens=marks, end_of_word_suffix=suffix, show_progress=False)
    tokenizer.train_from_iterator(CORPUS, trainer)
    with tempfile.TemporaryDirectory() as folder:
        tokenizer.model.save(folder)
        return {name: open(f"{folder}/{name}").read() for name in ["vocab.json", "merges.txt"]}


def pieces():
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer, tokenizer.pre_tokenizer = normalizers.BertNormalizer(), pre_tokenizers.BertPreTokenizer()
    marks = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    tokenizer.train_from_iterator(CORPUS, trainers.WordPieceTrainer(vocab_size=150, special_tokens=marks, show_progress=False))
    vocabulary = sorted(tokenizer.get_vocab().items(), key=lambda item: item[1])
    return {"vocab.txt": "".join(f"{token}\n" for token, _ in vocabulary)}


def write(name, golden):
    with open(f"{name}.json", "w") as out:
        json.dump(golden, out, ensure_ascii=False, separators=(",", ":"))
        out.write("\n")


def golden(name, files, tokenizer, pad):
    tokenizer.pad_token = tokenizer.convert_ids_to_tokens(pad)
    options = {"padding": "max_length", "truncation": True, "max_length": LENGTH}
    read = [tokenizer(text, **options) for text in TEXTS]
    ids = [[token for token, shown in zip(row["input_ids"], row["attention_mask"]) if shown] for row in read]
    cut = sum(len(tokenizer(text)["input_ids"]) > LENGTH for text in TEXTS)
    write(name, {"length": LENGTH, "files": files, "pad": pad, "cut": cut, "ids": ids})


def of_pairs(kind, files, **options):
    lines = files["merges.txt"].splitlines()[1:]
    return kind(vocab=json.loads(files["vocab.json"]), merges=[tuple(line.split(" ")) for line in lines], **options)


lower = normalizers.Sequence([normalizers.NFC(), normalizers.Lowercase()])
clip = merged(200, ["<|startoftext|>", "<|endoftext|>"], "</w>", lower)
gpt2 = merged(180, ["<|endoftext|>"], "", None)
roberta = merged(70, ["<s>", "<pad>", "</s>", "<unk>", "<mask>"], "", None)
words = pieces()
bert = BertTokenizer(vocab={token: number for number, token in enumerate(words["vocab.txt"].splitlines())})
write("texts", TEXTS)
golden("clip", clip, of_pairs(CLIPTokenizer, clip), 1)
golden("gpt2", gpt2, of_pairs(GPT2Tokenizer, gpt2), 0)
golden("roberta", roberta, of_pairs(RobertaTokenizer, roberta), 1)
golden("wordpiece", words, bert, 0)
