"""What `rasd predict-corpus` costs beside the model, and whether its memory grows with the corpus.

`python -m benchmarks.corpus overhead MODEL --corpora FOLDER [--articles 1000] [--runtime onnx]`: articles a second of
the whole command, from compressed JSONL to Parquet, and of the same checkpoint's passes alone, tokenised and planned
beforehand. The articles come in equal shares from each corpus. Both sides run in a process of their own, one after
the other.

`python -m benchmarks.corpus memory [--counts 10000 1000000]`: peak memory of the command on that many short articles,
with a one-layer encoder of random weights, which leaves the memory to the rest.
"""

import argparse
import gzip
import json
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any, get_args

import torch
from rich.console import Console
from rich.table import Table
from transformers import AutoTokenizer, BertConfig, BertModel

from benchmarks.memory import peak_memory
from rasd import Classifier, LabelSchema
from rasd.backbones import build_embedded
from rasd.corpus_job import PART_ROWS, Settings, open_job
from rasd.modeling import build_classifier
from rasd.part_prediction import prepare_part
from rasd.runtimes import RuntimeName

ROOT = Path(__file__).parent.parent
SCHEMA = ROOT / "configs/labels/conflict.yaml"
BETWEEN_LOOKS = 0.05  # seconds
console = Console()


def measured(command: list[str]) -> tuple[float, float]:
    """Run a command; return its seconds and its peak memory in bytes."""
    started = time.perf_counter()
    process = subprocess.Popen([sys.executable, *command], stdout=subprocess.DEVNULL)
    peak = 0
    while process.poll() is None:
        peak = max(peak, peak_memory(process.pid))
        time.sleep(BETWEEN_LOOKS)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}")
    return time.perf_counter() - started, peak


def predict_command(source: Path, model: Path, output: Path, *options: str) -> list[str]:
    """Return the arguments of the command."""
    return ["-m", "rasd", "predict-corpus", str(source), "--model", str(model), "--output", str(output), *options]


def check_complete(output: Path, count: int) -> None:
    """Stop where the command did not predict so many articles."""
    documents = json.loads((output / "summary.json").read_text(encoding="utf-8"))["documents"]
    if documents != count:
        raise SystemExit(f"{output}: {documents} articles were predicted, not {count}")


def write_articles(path: Path, rows: Iterable[dict[str, Any]]) -> int:
    """Write articles as compressed JSONL; return how many."""
    count = 0
    with gzip.open(path, "wt", encoding="utf-8", compresslevel=1) as file:
        for count, row in enumerate(rows, 1):  # noqa: B007
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
    return count


def real_articles(corpora: Path, count: int) -> Iterator[dict[str, Any]]:
    """Yield the first articles of each corpus, the same number of each."""
    paths = sorted(corpora.glob("*.jsonl.gz"))
    for path in paths:
        with gzip.open(path, "rt", encoding="utf-8") as file:
            yield from map(json.loads, islice(file, count // len(paths)))


def short_articles(count: int) -> Iterator[dict[str, Any]]:
    """Yield articles of one authored span each, none equal to another."""
    lines = (ROOT / "data/authored/train.jsonl").read_text(encoding="utf-8").splitlines()
    texts = [json.loads(line)["text"] for line in lines]
    random = Random(0)
    for number in range(count):
        yield {"id": f"a{number}", "text": f"{number}. {random.choice(texts)[:120]}"}


def tiny_checkpoint(folder: Path) -> Path:
    """Write a checkpoint of one narrow layer with random weights, and the embedded encoder's tokenizer."""
    torch.manual_seed(0)
    tokenizer = AutoTokenizer.from_pretrained(build_embedded())
    config = BertConfig(
        vocab_size=len(tokenizer),
        pad_token_id=1,
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=64,
    )
    BertModel(config).save_pretrained(folder / "encoder")
    tokenizer.save_pretrained(folder / "encoder")
    model = build_classifier(str(folder / "encoder"), LabelSchema.from_yaml(SCHEMA))
    model.save_pretrained(folder / "model")
    tokenizer.save_pretrained(folder / "model")
    return folder / "model"


def compare_memory(counts: list[int]) -> None:
    """Print the peak memory of the command at each size, and the ratio of the last to the first."""
    table = Table("articles", "seconds", "articles/s", "peak MB")
    peaks = []
    with TemporaryDirectory() as place:
        model = tiny_checkpoint(Path(place))
        for count in counts:
            source = Path(place) / f"{count}.jsonl.gz"
            write_articles(source, short_articles(count))
            command = predict_command(source, model, Path(place) / f"out-{count}", "--stance", "none")
            seconds, peak = measured(command)
            check_complete(Path(place) / f"out-{count}", count)
            peaks.append(peak)
            table.add_row(f"{count:,}", f"{seconds:.0f}", f"{count / seconds:,.0f}", f"{peak / 1e6:,.0f}")
    console.print(table)
    console.print(f"ratio {peaks[-1] / peaks[0]:.2f}")


def time_passes(source: Path, model: Path, folder: Path, runtime: RuntimeName) -> tuple[float, int]:
    """Return the seconds of the command's passes alone, and their number."""
    job = open_job([str(source)], model, folder, Settings(runtime=runtime))
    classifier = Classifier.from_pretrained(model, runtime=runtime)
    plans = [prepare_part(part, classifier, job.settings.stance).plan for part in job.parts()]
    classifier.predict(["قصفت الطائرات البلدة"])
    started = time.perf_counter()
    for plan in plans:
        classifier.read(plan)
    return time.perf_counter() - started, sum(len(plan.passes) for plan in plans)


def compare_overhead(model: Path, corpora: Path, count: int, runtime: RuntimeName) -> None:
    """Print the rates of the whole command and of its passes alone, and what the rest costs."""
    with TemporaryDirectory() as place:
        source = Path(place) / "news.jsonl.gz"
        written = write_articles(source, real_articles(corpora, count))
        whole, peak = measured(predict_command(source, model, Path(place) / "out", "--runtime", runtime))
        check_complete(Path(place) / "out", written)
        alone, passes = time_passes(source, model, Path(place) / "alone", runtime)
    table = Table(
        "", "seconds", "articles/s", "passes/s", title=f"{written:,} articles, parts of {PART_ROWS}, runtime {runtime}"
    )
    for name, seconds in (("whole command", whole), ("passes alone", alone)):
        table.add_row(name, f"{seconds:.1f}", f"{written / seconds:.2f}", f"{passes / seconds:.1f}")
    console.print(table)
    console.print(f"ratio {whole / alone:.3f}; peak {peak / 1e6:,.0f} MB")


def main() -> None:
    """Run one of the two comparisons."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    modes = parser.add_subparsers(dest="mode", required=True)
    overhead = modes.add_parser("overhead")
    overhead.add_argument("model", type=Path, metavar="MODEL")
    overhead.add_argument("--corpora", type=Path, required=True, help="folder with *.jsonl.gz, one article a line")
    overhead.add_argument("--articles", type=int, default=1000)
    overhead.add_argument("--runtime", choices=get_args(RuntimeName), default="auto")
    memory = modes.add_parser("memory")
    memory.add_argument("--counts", type=int, nargs="+", default=[10_000, 1_000_000])
    arguments = parser.parse_args()
    if arguments.mode == "memory":
        compare_memory(arguments.counts)
    else:
        compare_overhead(arguments.model, arguments.corpora, arguments.articles, arguments.runtime)


if __name__ == "__main__":
    main()
