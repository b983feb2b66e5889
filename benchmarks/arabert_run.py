"""Train, score, publish and reload a model of AraBERT's exact shape, with no Hub but one on loopback.

Usage: `OMP_NUM_THREADS=1 python benchmarks/arabert_run.py [WORK_FOLDER]`, from the project's root; it takes 6 GB of
memory and of disk. The Hub is the tests' own (tests/hub_server.py). It serves, as `aubmindlab/bert-base-arabertv02`, an
untrained BERT of 12 layers of width 768, 512 positions and 64,000 pieces, so every score is chance: what is measured is
that the real commands work at the real size, and how long they take. Each command is a process of its own.

`configs/arabert.yaml` is taken as it is, but for what a processor without bf16 and some minutes ask: SPANS of the
authored spans instead of all, BATCH_SIZE examples a step instead of 32, one epoch instead of up to five, fp32.
"""

import importlib
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from transformers import BertConfig, BertForMaskedLM

from benchmarks.published_arabert import train_tokenizer
from rasd.normalization import ARABERT_TOKENS, arabert_normalizer

ROOT = Path(__file__).parent.parent
ENCODER, REPO, TOKEN = "aubmindlab/bert-base-arabertv02", "owner/rasd-arabert", "hf_owner"
LICENCE = "This stands for the text of AraBERT's licence, which a real publication has to carry.\n"
VOCABULARY_SIZE = 64_000
PARAMETERS = 135_000_000  # of the published encoder, about
SPANS = {"train": 24, "validation": 8, "test": 12}
BATCH_SIZE = 8
MAX_STEPS = 20
TEXTS = (
    "قَصَفَتْ ميليشـــيا أسد بلدةَ النَّيرب، وفق https://example.org/a?b=1 صباح اليوم",
    "وطالبت الأمم المتحدة بفتح ممـــر آمن للمدنيين www.example.org/ممر #إدلب",
    "فشلت مُفاوَضاتُ الهدنة بعد انسحاب الوفد\u200f، وأُرسِلت تعزيزات إلى سراقب",
)
READ_WITH_RASD = """
import json, sys
from rasd import Classifier

classifier = Classifier.from_pretrained(sys.argv[1])
texts = json.load(sys.stdin)
logits = classifier.logits([(text, None) for text in texts] + [(text, "أسد") for text in texts])
json.dump({"labels": classifier.schema.label_names(), "logits": logits.tolist()}, sys.stdout)
"""
READ_WITH_PIPELINE = """
import json, sys
sys.modules["rasd"] = sys.modules["train"] = None  # an import of either fails
from transformers import pipeline

classify = pipeline("text-classification", model=sys.argv[1])
answers = classify(json.load(sys.stdin), top_k=None, function_to_apply="none")
json.dump([{row["label"]: row["score"] for row in rows} for rows in answers], sys.stdout)
"""
console = Console()


class Client:
    """Runs commands that know no Hub but the server, and notes how long each took."""

    def __init__(self, url: str, home: Path) -> None:
        """Name the Hub and the folder of the clients' caches."""
        outside = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
        own = {"HF_ENDPOINT": url, "HF_HOME": str(home), "HF_TOKEN": TOKEN, "HF_HUB_DISABLE_XET": "1"}
        self.environment = outside | own | {"HF_HUB_DISABLE_PROGRESS_BARS": "1"}
        self.home = home
        self.rows: list[tuple[str, float, float]] = []

    def run(self, what: str, *arguments: str, cwd: Path = ROOT, given: str | None = None) -> str:
        """Run Python with the arguments and return what it prints; stop everything where it fails."""
        console.rule(what, align="left")
        started, used = time.perf_counter(), cpu_seconds()
        done = subprocess.run(
            [sys.executable, *arguments], cwd=cwd, env=self.environment, input=given, stdout=subprocess.PIPE, text=True
        )
        self.rows.append((what, time.perf_counter() - started, cpu_seconds() - used))
        if done.returncode:
            raise SystemExit(f"{what}: exit code {done.returncode}\n{done.stdout}")
        return done.stdout


def cpu_seconds() -> float:
    """Return the processor time of all commands so far."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def write_encoder(folder: Path) -> dict[str, bytes]:
    """Write an untrained model of AraBERT v02's shape with a vocabulary of the authored texts; return its files."""
    rows = (json.loads(line) for path in sorted((ROOT / "data/authored").glob("*.jsonl")) for line in path.open("rb"))
    normalizer = arabert_normalizer()
    vocabulary = train_tokenizer((normalizer.normalize_str(row["text"]) for row in rows), VOCABULARY_SIZE).get_vocab()
    pieces = sorted(vocabulary, key=lambda piece: vocabulary[piece])
    console.print(f"{len(pieces):,} pieces from the authored texts, {VOCABULARY_SIZE - len(pieces):,} unused")
    pieces += [f"[unused{number}]" for number in range(VOCABULARY_SIZE - len(pieces))]
    torch.manual_seed(0)
    model = BertForMaskedLM(BertConfig(vocab_size=VOCABULARY_SIZE))  # all else is as in BERT's base size
    assert abs(model.num_parameters() / PARAMETERS - 1) < 0.02, model.num_parameters()
    model.save_pretrained(folder)
    (folder / "vocab.txt").write_text("\n".join(pieces) + "\n", encoding="utf-8")
    settings = {"tokenizer_class": "BertTokenizer", "do_lower_case": False, "model_max_length": 512}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings | {"never_split": list(ARABERT_TOKENS)}))
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def train_and_publish(client: Client, work: Path) -> Path:
    """Run the three commands on a few spans and return the run folder."""
    run, changes = work / "run", [f"training.train_batch_size={BATCH_SIZE}", "training.precision=fp32"]
    changes += ["training.num_train_epochs=1", "data.corpora=null", "training.eval_batch_size=8"]
    for split, count in SPANS.items():
        lines = (ROOT / f"data/authored/{split}.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
        (work / f"{split}.jsonl").write_text("".join(lines[:: len(lines) // count][:count]), encoding="utf-8")
        changes.append(f"data.{split}=[{json.dumps(str(work / f'{split}.jsonl'))}]")
    options = [part for change in changes for part in ("--set", change)]
    config = ("--config", "configs/arabert.yaml", "--output-dir", str(run))
    client.run("python -m train", "-m", "train", *config, *options)
    printed = client.run("python -m train.evaluate", "-m", "train.evaluate", str(run), "--split", "test")
    console.print(printed, markup=False, highlight=False)
    (run / "model/LICENSE").write_text(LICENCE, encoding="utf-8")
    printed = client.run("python -m train.publish", "-m", "train.publish", str(run), "--repo-id", REPO)
    console.print(printed, markup=False, highlight=False)
    return run


def compare(client: Client, run: Path, work: Path) -> None:
    """Check that the published checkpoint gives the run's own logits, also to who has no rasd."""
    given = json.dumps(TEXTS)
    ours = json.loads(client.run("read RUN with rasd", "-c", READ_WITH_RASD, str(run / "model"), given=given))
    theirs = json.loads(client.run("read the repo with rasd", "-c", READ_WITH_RASD, REPO, given=given))
    if theirs != ours:
        raise SystemExit("the published checkpoint gives other logits than the run's own")
    rows = json.loads(client.run("pipeline without rasd", "-c", READ_WITH_PIPELINE, REPO, cwd=work, given=given))
    plain = np.array([[row[label] for label in ours["labels"]] for row in rows])
    difference = float(np.abs(plain - np.array(ours["logits"])[: len(TEXTS)]).max())
    console.print(f"equal logits of {2 * len(TEXTS)} inputs; without rasd they differ by {difference:.1e} at most")
    if difference > 1e-4:
        raise SystemExit("the pipeline without rasd gives other logits")


def report(client: Client, run: Path, files: dict[str, bytes]) -> None:
    """Print what ran and how long it took."""
    info: dict[str, Any] = json.loads((run / "run.json").read_text(encoding="utf-8"))
    steps, seconds = info["sessions"][-1]["last_step"], info["sessions"][-1]["seconds"]
    title = f"{torch.get_num_threads()} thread(s), {info['hardware']['cpu']}"
    table = Table("process", "seconds", "of the processor", title=title)
    whole = ("all", sum(row[1] for row in client.rows), sum(row[2] for row in client.rows))
    for what, taken, used in [*client.rows, whole]:
        table.add_row(what, f"{taken:.0f}", f"{used:.0f}")
    console.print(table)
    size = sum(len(content) for content in files.values()) / 1e6
    console.print(
        f"encoder: {size:,.0f} MB; {steps} steps of {BATCH_SIZE} examples in {seconds:.0f} s", highlight=False
    )
    if not 0 < steps <= MAX_STEPS:
        raise SystemExit(f"{steps} steps; 1 to {MAX_STEPS} were meant")


def main(work: Path) -> None:
    """Run everything in a folder."""
    sys.path.insert(0, str(ROOT / "tests"))
    serving = importlib.import_module("hub_server").serving
    files = write_encoder(work / "encoder")
    with serving({TOKEN: REPO.split("/")[0]}) as server:
        server.hub.add_repo("model", ENCODER, files)
        client = Client(server.url, work / "hf")
        run = train_and_publish(client, work)
        compare(client, run, work)
        report(client, run, files)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(Path(sys.argv[1]).resolve())
    else:
        with tempfile.TemporaryDirectory() as folder:
            main(Path(folder))
