"""Speed of inference on paragraphs of news: rasd's runtimes against what users would write otherwise.

Usage: `python -m benchmarks.inference MODEL… --corpora FOLDER [--spans 400] [--rounds 3] [--threads 2]
[--systems NAME…]`

Peers: (a) transformers' pipeline as its documentation shows it, one text at a time; (b) the same with batch_size=32;
(c) sentence-transformers' CrossEncoder.predict, where it is installed: it reads pairs only, so each text comes with
an empty second one, two tokens more, and its answers are not compared; (d) ONNX Runtime on the unfused graph, padded
batches of 32 in file order. Ours are the runtimes, those in 8 bits where `rasd export` has written their files, and
one of them with the large batches of an accelerator. All read the same spans, in a process of its own each, after a
warm-up; since a machine's speed drifts, in turns, and medians of the rounds are shown, those of the ratios too. Several
checkpoints are measured one after the other; `benchmarks.base_size` writes one of AraBERT's shape. Decisions are
compared with those of (a). Tokens are those of the texts, without padding.
"""

import argparse
import gzip
import importlib.util
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer

from benchmarks.memory import peak_memory
from benchmarks.systems import LARGE, OURS, PEERS, build_graphs, load_system
from rasd.labels import EXCLUSIVE, LabelSchema
from rasd.runtimes import INT8_FILES, has_bf16
from rasd.spans import cut_spans

ALL = (*PEERS, LARGE, *OURS)
FP32, BF16 = "fp32", "bf16"
IN_BF16 = ("torch-bf16", "openvino-bf16")
WARM_UP = 200  # other spans: some runtimes compile for each new shape, and few spans are read again
console = Console()


@dataclass(frozen=True)
class Settings:
    """What is measured and how, none for all; and what the machine's matrix products reach, in operations a second."""

    threads: int
    rounds: int
    systems: Sequence[str]
    rates: dict[str, float]


def sample_spans(corpora: Path, count: int, seed: int) -> list[str]:
    """Return spans drawn by the seed from 2,000 articles of each corpus."""
    spans: list[str] = []
    for path in sorted(corpora.glob("*.jsonl.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as file:
            texts = [json.loads(line)["text"] for line, _ in zip(file, range(2000), strict=False)]
        spans += [span.text for text in texts for span in cut_spans(text)[0]]
    if len(spans) < count:
        raise SystemExit(f"{corpora} has only {len(spans)} spans in *.jsonl.gz")
    return Random(seed).sample(spans, count)


def work(name: str, folder: Path, spans: Path, threads: int, result: Path) -> None:
    """Time one system in this process and store its logits, seconds and peak memory."""
    torch.set_num_threads(threads)
    texts = json.loads(spans.read_text(encoding="utf-8"))
    predict = load_system(name, folder, threads)
    predict(texts[:WARM_UP])
    started = time.perf_counter()
    logits = predict(texts[WARM_UP:])
    seconds = time.perf_counter() - started
    np.savez(result, logits=logits, seconds=seconds, peak=peak_memory())


def matmul_rate(threads: int, dtype: torch.dtype) -> float:
    """Return the best rate of the machine's matrix products, in operations a second."""
    torch.set_num_threads(threads)
    size, best = 1536, 0.0
    left, right = torch.rand(size, size).to(dtype), torch.rand(size, size).to(dtype)
    for _ in range(20):
        started = time.perf_counter()
        torch.mm(left, right)
        best = max(best, 2 * size**3 / (time.perf_counter() - started))
    return best


def operations(folder: Path, lengths: Sequence[int]) -> float:
    """Return the multiplications and additions that the texts' own tokens need, counted with every layer whole."""
    model = AutoModelForSequenceClassification.from_pretrained(folder)
    layers: Any = model.base_model.encoder
    weights = sum(m.weight.numel() for m in layers.modules() if isinstance(m, torch.nn.Linear))
    attention = 4 * model.config.hidden_size * model.config.num_hidden_layers
    return float(sum(2 * weights * n + attention * n * n for n in lengths))


def equal_decisions(logits: np.ndarray[Any, Any], reference: np.ndarray[Any, Any], schema: LabelSchema) -> float:
    """Return the share of equal answers: each event yes or no, and its likeliest modality where it is told."""
    equal: list[Any] = []
    yes: dict[tuple[str, str], Any] = {}
    for group, place in schema.slices():
        ours, theirs = logits[:, place], reference[:, place]
        if group.kind != EXCLUSIVE:
            cut = np.log(group.threshold / (1 - group.threshold))
            equal += list(((ours >= cut) == (theirs >= cut)).ravel())
            yes |= {(group.name, label): theirs[:, i] >= cut for i, label in enumerate(group.labels)}
        elif group.when in yes:
            told = yes[group.when]
            equal += list((ours.argmax(axis=1) == theirs.argmax(axis=1))[told])
    return float(np.mean(equal))


def measure(name: str, folder: Path, spans: Path, threads: int) -> dict[str, Any]:
    """Run one system in a process of its own; return its logits, seconds and peak memory."""
    result = folder / "out.npz"
    arguments = [str(folder), "--work", name, str(spans), str(result), "--threads", str(threads)]
    environment = os.environ | {"OMP_NUM_THREADS": str(threads), "TOKENIZERS_PARALLELISM": "true"}
    subprocess.run([sys.executable, "-m", "benchmarks.inference", *arguments], env=environment, check=True)
    with np.load(result) as found:
        return dict(found)


def choose_systems(wanted: Sequence[str], rates: dict[str, float], folder: Path) -> list[str]:
    """Return the wanted systems that can run here, always (a) and (b) for the ratios; print why others cannot."""
    missing = {name: f"no {file}" for name, file in INT8_FILES.items() if not (folder / file).is_file()}
    if importlib.util.find_spec("sentence_transformers") is None:
        missing[PEERS[2]] = "sentence-transformers is not installed"
    if BF16 not in rates:
        missing |= dict.fromkeys(IN_BF16, "this machine has no bf16 arithmetic")
    for name, why in missing.items():
        console.print(f"{name} left out: {why}")
    wanted = [*PEERS[:2], *wanted] if wanted else ALL
    return [name for name in ALL if name in wanted and name not in missing]


def compare(model: Path, drawn: list[str], settings: Settings) -> Table:
    """Run every system on one checkpoint, in rounds, and return the table; the first spans only warm up."""
    spans, threads = drawn[WARM_UP:], settings.threads
    with TemporaryDirectory() as place:
        folder = build_graphs(model, Path(place))
        texts = Path(place) / "spans.json"
        texts.write_text(json.dumps(drawn), encoding="utf-8")
        tokenizer, config = AutoTokenizer.from_pretrained(folder), AutoConfig.from_pretrained(folder)
        lengths = [len(ids) for ids in tokenizer(spans, truncation=True)["input_ids"]]
        needed, schema = operations(folder, lengths), LabelSchema.from_config(config)
        systems = choose_systems(settings.systems, settings.rates, folder)
        found: dict[str, list[dict[str, Any]]] = {name: [] for name in systems}
        for turn in range(settings.rounds):
            for name in systems:
                found[name].append(measure(name, folder, texts, threads))
                rate = len(spans) / float(found[name][-1]["seconds"])
                console.print(f"round {turn + 1}, {name}: {rate:.1f} spans/s")
    title = f"{config.num_hidden_layers} layers of width {config.hidden_size}"
    heads = ("system", "spans/s", "tokens/s", "of (a)", "of (b)", "peak MB", "of matmul", "equal", "max Δ logit")
    table = Table(*heads, title=f"{title}; {len(spans)} spans, {sum(lengths)} tokens, {threads} threads")
    reference = found[PEERS[0]][0]["logits"]
    seconds = {name: np.array([float(run["seconds"]) for run in runs]) for name, runs in found.items()}
    for name, runs in found.items():
        median = float(np.median(seconds[name]))
        ratios = [np.median(seconds[peer] / seconds[name]) for peer in PEERS[:2]]
        logits, peak = runs[0]["logits"], max(float(run["peak"]) for run in runs)
        share = f"{needed / median / settings.rates[BF16 if name in IN_BF16 else FP32]:.0%}"
        equal = f"{equal_decisions(logits, reference, schema):.2%}"
        difference = f"{np.abs(logits - reference).max():.1e}"
        if name == PEERS[2]:
            equal = difference = "–"
        speed = [f"{len(spans) / median:.1f}", f"{sum(lengths) / median:,.0f}", *(f"{r:.2f}" for r in ratios)]
        table.add_row(name, *speed, f"{peak / 1e6:,.0f}", share, equal, difference)
    return table


def markdown(table: Table) -> str:
    """Return a table of text cells as Markdown."""
    rows = [[str(column.header) for column in table.columns], ["---"] * len(table.columns)]
    rows += [list(row) for row in zip(*(map(str, column.cells) for column in table.columns), strict=True)]
    return "\n".join([f"**{table.title}**", "", *("| " + " | ".join(row) + " |" for row in rows), ""])


def main() -> None:
    """Run the comparison at one or both sizes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", type=Path, metavar="MODEL", nargs="+", help="checkpoint folder")
    parser.add_argument("--corpora", type=Path, help="folder with *.jsonl.gz, one article a line")
    parser.add_argument("--spans", type=int, default=400)
    parser.add_argument("--rounds", type=int, default=3, help="the machine's speed drifts: medians of rounds are shown")
    parser.add_argument("--systems", nargs="+", choices=ALL, default=[], help="(a) and (b) are measured in any case")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--seed", type=int, default=13)
    parser.add_argument("--markdown", type=Path, help="write the tables here too")
    parser.add_argument("--work", nargs=3, metavar=("SYSTEM", "SPANS", "RESULT"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.work:
        name, spans, result = arguments.work
        return work(name, arguments.models[0], Path(spans), arguments.threads, Path(result))
    if arguments.corpora is None:
        parser.error("--corpora: name the folder of the news corpora")
    texts = sample_spans(arguments.corpora, WARM_UP + arguments.spans, arguments.seed)
    rates = {FP32: matmul_rate(arguments.threads, torch.float32)}
    if has_bf16(torch.device("cpu")):
        rates[BF16] = matmul_rate(arguments.threads, torch.bfloat16)
    settings = Settings(arguments.threads, arguments.rounds, arguments.systems, rates)
    tables = [compare(model, texts, settings) for model in arguments.models]
    for precision, rate in rates.items():
        console.print(f"{precision} matrix products of this machine: {rate / 1e9:.0f} GFLOP/s")
    for table in tables:
        console.print(table)
    if arguments.markdown:
        arguments.markdown.write_text("\n".join(map(markdown, tables)), encoding="utf-8")
    return None


if __name__ == "__main__":
    main()
