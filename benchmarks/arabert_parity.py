"""Compare our AraBERT tokenizer with the published preprocessor and the plain tokenizer behind it, on whole corpora.

Usage: `python benchmarks/arabert_parity.py CORPORA_FOLDER [--limit N]`; what it needs is told in published_arabert.py.

Each paragraph of every `*.jsonl.gz` with a field `text` is tokenised both ways. AraBERT's own vocabulary is not at
hand: a WordPiece vocabulary of the same layout is trained on the corpora, once. The speed is that of both ways on the
same paragraphs, one thread, in turns.
"""

import argparse
import gzip
import json
import os
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

os.environ["TOKENIZERS_PARALLELISM"] = "false"  # both ways on one thread

from rich.console import Console
from rich.table import Table
from tqdm.auto import tqdm

from benchmarks.published_arabert import bert_tokenizer, explain, published_preprocessor, train_tokenizer
from rasd.normalization import with_arabert_normalization

SPEED_PARAGRAPHS = 2000
UNEXPLAINED = "unexplained"


def paragraphs(folder: Path) -> Iterator[str]:
    """Yield every paragraph of the corpora in the folder."""
    for path in sorted(folder.glob("*.jsonl.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as file:
            for line in file:
                yield from (text for text in json.loads(line)["text"].split("\n") if text.strip())


def vocabulary(path: Path, texts: list[str], size: int) -> dict[str, int]:
    """Return the vocabulary in the file, trained on every fifth paragraph where there is none yet."""
    if not path.is_file():
        preprocess = published_preprocessor()
        sample = tqdm(texts[::5], desc="vocabulary", unit="paragraph")
        trained = train_tokenizer(map(preprocess, sample), size).get_vocab()
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(trained, ensure_ascii=False), encoding="utf-8")
    return json.loads(path.read_text(encoding="utf-8"))


def main() -> None:
    """Print the share of identical paragraphs, the classes of difference, and the speed ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpora", type=Path, metavar="CORPORA_FOLDER")
    parser.add_argument("--limit", type=int, help="paragraphs, spread over the corpora")
    parser.add_argument("--vocabulary", type=Path, default=Path("build/arabert-vocabulary.json"))
    parser.add_argument("--vocabulary-size", type=int, default=30_000)
    arguments = parser.parse_args()
    preprocess = published_preprocessor()
    texts = list(paragraphs(arguments.corpora))
    if not texts:
        raise SystemExit(f"{arguments.corpora}: no paragraphs; name the folder that holds the corpora (*.jsonl.gz)")
    plain = bert_tokenizer(vocabulary(arguments.vocabulary, texts, arguments.vocabulary_size))
    wrapped = with_arabert_normalization(plain)
    if arguments.limit:
        texts = texts[:: max(1, len(texts) // arguments.limit)][: arguments.limit]

    def published(text: str) -> list[str]:
        return plain.encode(preprocess(text)).tokens

    classes: Counter[str] = Counter()
    examples: dict[str, str] = {}
    tokens = unknown = 0
    for text in tqdm(texts, desc="parity", unit="paragraph"):
        ours = wrapped.encode(text).tokens
        tokens, unknown = tokens + len(ours), unknown + ours.count("[UNK]")
        if ours != published(text):
            explained = explain(text, ours, published)
            classes[explained[0] if explained else UNEXPLAINED] += 1
            if not explained:
                examples.setdefault(UNEXPLAINED, text)
    different = sum(classes.values())
    console = Console()
    console.print(f"{len(texts):,} paragraphs, {tokens:,} tokens ({unknown:,} unknown)")
    table = Table("what differs", "paragraphs", "share")
    table.add_row("nothing: identical tokens", f"{len(texts) - different:,}", f"{1 - different / len(texts):.4%}")
    for name, count in classes.most_common():
        table.add_row(name, f"{count:,}", f"{count / len(texts):.4%}")
    console.print(table)
    console.print(
        "identical, or identical to the published tokens of the text that the named fixes repair: "
        f"{1 - classes[UNEXPLAINED] / len(texts):.4%}"
    )
    for text in examples.values():
        console.print(f"an unexplained one: {text!r}", markup=False)
    sample = texts[:: max(1, len(texts) // SPEED_PARAGRAPHS)]
    seconds = {"published": 0.0, "ours": 0.0}
    for text in tqdm(sample, desc="speed", unit="paragraph"):
        started = time.perf_counter()
        published(text)
        seconds["published"] += time.perf_counter() - started
        started = time.perf_counter()
        wrapped.encode(text)
        seconds["ours"] += time.perf_counter() - started
    rates = {name: len(sample) / value for name, value in seconds.items()}
    console.print(
        f"paragraphs a second: {rates['published']:,.0f} published preprocessor and plain tokenizer, "
        f"{rates['ours']:,.0f} ours; ratio {rates['ours'] / rates['published']:.2f}"
    )


if __name__ == "__main__":
    main()
