"""What the tokenizers of transformers 5 make of 5,000 random texts of difficult pieces, as digests.

`python3 odd.py` reads the vocabularies of the other goldens and writes odd.json beside it; `tests.rs` makes the same texts.
`python3 odd.py FILE` also writes the texts, one JSON string a line.
"""

import json
import sys

from transformers import BertTokenizer, CLIPTokenizer, GPT2Tokenizer, RobertaTokenizer

PIECES = [
    "a", "the", "photo", "Cat", "CAFE\u0301", "é", "\u0301", "\u0335", "Σ", "ΑΣ", "ß", "ﬃ", "\u0130", "Å", "it's", "'s", "'ll", "'", "’",
    "3", "14", "½", "①", ".", ",", "!?", "...", "—", "…", "“", "#", "##", "_", "-", "\\", "/", "@", "$€", "\t", "\n", "\r\n", "\u00a0",
    "\u2003", "\u3000", "\u0000", "\u0007", "\u007f", "\ufeff", "\u00ad", "\u200b", "\u200d", "\u200f", "\u202e", "\u2028", "שלום", "مرحبا",
    "हिन्दी", "ไทย", "漢", "漢字", "かな", "カ", "ﾊﾟ", "한국", "한", "👩\u200d🚀", "❤\ufe0f", "🇩🇪", "👍🏽", "🏴", "<|endoftext|>",
    "<|startoftext|>", "<|STARTOFTEXT|>", "[SEP]", "[CLS]", "[MASK]", "[sep]", "</s>", "<s>", "<mask>", "</w>", "Ġ", "▁", "\ufffd", "𝒜", "x" * 70,
]
TEXTS, GROUP, LENGTH = 5000, 100, 32


def texts():
    state = 1

    def draw(count):
        nonlocal state
        state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
        return (state >> 33) % count

    for index in range(TEXTS):
        text = ""
        for _ in range(draw(9)):
            kind = draw(16)
            if kind == 0:
                text += chr(draw(0x2FE0))
            else:
                piece = PIECES[draw(len(PIECES))]
                text += piece * (1 + draw(30)) if kind == 1 else piece
            text += ["", " ", " "][draw(3)]
        yield text + "word" * 2500 if index % 1000 == 999 else text


def of_pairs(kind, golden, **options):
    files = golden["files"]
    lines = files["merges.txt"].splitlines()[1:]
    return kind(vocab=json.loads(files["vocab.json"]), merges=[tuple(line.split(" ")) for line in lines], **options)


def of_words(golden):
    lines = golden["files"]["vocab.txt"].splitlines()
    return BertTokenizer(vocab={token: number for number, token in enumerate(lines)})


def digest(rows):
    """FNV-1a of the number of tokens and the tokens of each text, four bytes each."""
    digest = 0xCBF29CE484222325
    for row in rows:
        for number in [len(row), *row]:
            for byte in number.to_bytes(4, "little"):
                digest = (digest ^ byte) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return f"{digest:016x}"


def main():
    made = list(texts())
    digests = {}
    kinds = {"clip": CLIPTokenizer, "gpt2": GPT2Tokenizer, "roberta": RobertaTokenizer, "wordpiece": None}
    for name, kind in kinds.items():
        with open(f"{name}.json") as file:
            golden = json.load(file)
        tokenizer = of_pairs(kind, golden) if kind else of_words(golden)
        ids = [tokenizer(text, truncation=True, max_length=LENGTH)["input_ids"] for text in made]
        print(name, "longest", max(map(len, ids)), "distinct", len({tuple(row) for row in ids}), "cut", sum(len(row) == LENGTH for row in ids))
        digests[name] = [digest(ids[start : start + GROUP]) for start in range(0, TEXTS, GROUP)]
    with open("odd.json", "w") as file:
        json.dump({"length": LENGTH, "pieces": PIECES, "digests": digests}, file, separators=(",", ":"))
        file.write("\n")
    if len(sys.argv) > 1:
        with open(sys.argv[1], "w") as file:
            file.writelines(json.dumps(text) + "\n" for text in made)


if __name__ == "__main__":
    main()
