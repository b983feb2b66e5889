"""Score a run's checkpoint next to baselines: `python -m train.evaluate RUN --split test`.

The checkpoint is read through `rasd.Classifier`, as users read it. The baselines are trained on the run's own training
split and tuned on its validation split. Scores go to `metrics.json`, predictions to `predictions.parquet`, both and the
texts to `report.html`.
"""

import logging
import re
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal

import typer
from datasets import Dataset
from rich.console import Console
from tqdm.auto import tqdm
from transformers.utils import logging as transformers_logging

from rasd.actors import ActorLexicon
from rasd.embedded_archive import BackboneError
from rasd.inference import Classifier
from rasd.modeling import EVENT_GROUP
from rasd.standoff import CorpusError
from train.baselines import Baseline, KeywordBaseline, MajorityBaseline, TfidfBaseline
from train.compare import compare_systems, significance_table
from train.config import Config, split_files
from train.data import ORIGINS, DataError, SpanReader, draw_spans
from train.evaluate_tables import evaluate_table_run
from train.frozen_encoder import FrozenEncoderBaseline
from train.metrics.offline import Scores
from train.predictions import CHECKPOINT, write_predictions
from train.probes import score_probes
from train.report import write_report
from train.runs import RunError, RunFolder
from train.score_tables import class_table, system_table
from train.scores import score_reliability, score_spans

console = Console()
app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    run_folder: Annotated[Path, typer.Argument(help="Run folder of a finished training.")],
    split: Annotated[Literal["validation", "test"], typer.Option(help="Which spans to score.")] = "test",
    baselines: Annotated[bool, typer.Option(help="Train and score the baselines too.")] = True,
    probes: Annotated[bool, typer.Option(help="Measure the probes too.")] = True,
    data: Annotated[list[Path] | None, typer.Option(help="Score these files instead of the run's own.")] = None,
    corpora: Annotated[Path | None, typer.Option(help="Replace the run's folder of corpora.")] = None,
) -> None:
    """Score a checkpoint and baselines on one split."""
    logging.getLogger("datasets").setLevel(logging.WARNING)
    transformers_logging.disable_progress_bar()
    try:
        run = RunFolder.open(run_folder)
        evaluate_run(run, split, with_baselines=baselines, with_probes=probes, files=data, corpora=corpora)
    except (BackboneError, CorpusError, DataError, OSError, RunError) as error:
        Console(stderr=True).print(f"error: {error}", style="red", markup=False, highlight=False, soft_wrap=True)
        raise typer.Exit(2) from error


def evaluate_run(
    run: RunFolder,
    split: str,
    *,
    with_baselines: bool = True,
    with_probes: bool = True,
    files: Sequence[Path | str] | None = None,
    corpora: Path | str | None = None,
) -> dict[str, Scores]:
    """Score one split of a run; store and print the scores, predictions and report; return scores by system.

    With `files` their spans are scored instead of the run's own, and stored under `<split>: <files>`.
    """
    config = run.config()
    if config.data.columns is not None:
        return evaluate_table_run(run, split, with_baselines=with_baselines, files=files)
    classifier = Classifier.from_pretrained(run.model)
    lexicon = ActorLexicon.load(run.model / "actors.json")
    reader = SpanReader(classifier.schema, frozenset(lexicon.actors), corpora or config.data.corpora)
    run.check_data()
    gold = reader.read(files or split_files(config, split), split)
    if not len(gold):
        raise RunError(f"there are no {split} spans; see data.{split} of the run's config.yaml, --data and --corpora")
    name = f"{split}: {', '.join(map(str, files))}" if files else split
    baseline_systems = fit_baselines(run, reader, lexicon) if with_baselines else []
    started = time.perf_counter()
    systems = {CHECKPOINT: classifier.predict(gold["text"], actors=surfaces(gold), all_events=True, progress=True)}
    seconds = round(time.perf_counter() - started, 1)
    systems |= {baseline.name: baseline.predict(gold) for baseline in baseline_systems}
    rows, schema = list(gold), classifier.schema
    plain = schema.without_thresholds()  # a baseline's probabilities have its own threshold at 0.5
    conflicts = {actor.id: actor.conflicts for actor in lexicon.actors.values()}
    scores = {
        system: score_spans(rows, predicted, schema if system == CHECKPOINT else plain, conflicts=conflicts)
        for system, predicted in systems.items()
    }
    others = {system: predicted for system, predicted in systems.items() if system != CHECKPOINT}
    own = scores[CHECKPOINT]
    own["seconds"] = seconds
    own["calibration"] = score_reliability(rows, systems[CHECKPOINT], schema)
    own["significance"] = compare_systems(rows, systems[CHECKPOINT], others, schema)
    if with_probes:
        own["probes"] = score_probes(classifier, rows, lexicon)
    run.add_metrics(name, scores)
    write_predictions(run.predictions_file, name, rows, systems)
    title = f"{run.path} · {name}"
    threshold = schema.group(EVENT_GROUP).threshold
    write_report(report_file(run, name), title, scores, rows, systems[CHECKPOINT], facts(run, config, name), threshold)
    print_scores(title, scores)
    return scores


def fit_baselines(run: RunFolder, reader: SpanReader, lexicon: ActorLexicon) -> list[Baseline]:
    """Return the baselines, trained on the run's training split and tuned on its validation split."""
    config = run.config()
    train, validation = reader.read(config.data.train, "train"), reader.read(config.data.validation, "validation")
    train = draw_spans(train, config.data.limit_train_spans, config.seed)
    check_counts(run, {"train": train, "validation": validation})
    frozen = FrozenEncoderBaseline(config.model.name_or_path, config.model.revision, config.model.max_length)
    systems: list[Baseline] = [MajorityBaseline(), KeywordBaseline(lexicon), TfidfBaseline(), frozen]
    for baseline in tqdm(systems, desc="fit baselines", unit="system"):
        baseline.fit(train, validation, reader.schema)
    return systems


def check_counts(run: RunFolder, splits: Mapping[str, Dataset]) -> None:
    """Refuse to train baselines on other spans than the checkpoint had: a corpus may have come or gone since."""
    for split, counts in run.read_info().get("counts", {}).items():
        for origin in ORIGINS if split in splits else ():
            found, had = list(splits[split]["origin"]).count(origin), counts[origin]
            if found != had:
                raise RunError(
                    f"the {split} split has {found} {origin} spans here, the run had {had}: give --corpora the folder "
                    "that it was trained with, or leave the baselines out: --no-baselines"
                )


def surfaces(gold: Dataset) -> list[list[str]]:
    """Return the gold actor surfaces of each span."""
    return [[stance["surface"] for stance in stances] for stances in gold["stances"]]


def report_file(run: RunFolder, name: str) -> Path:
    """Return where the report of a split goes: report.html for the test split, a longer name for others."""
    rest = re.sub(r"[^\w]+", "-", name.removeprefix("test")).strip("-")
    return run.path / (f"report-{rest}.html" if rest else "report.html")


def facts(run: RunFolder, config: Config, name: str) -> dict[str, str]:
    """Return what the report says about the run."""
    info = run.read_info()
    hours = sum(session["seconds"] for session in info.get("sessions", [])) / 3600
    return {
        "run": str(run.path),
        "split": name,
        "encoder": config.model.name_or_path,
        "seed": str(config.seed),
        "training files": ", ".join(config.data.train),
        "training time": f"{hours * 60:.0f} min",
        "cores": str(info["hardware"]["cores"]),
        "commit": (info.get("git") or {}).get("commit", "unknown")[:12],
        "packages": ", ".join(f"{package} {version}" for package, version in info["packages"].items()),
    }


def print_scores(title: str, scores: dict[str, Scores]) -> None:
    """Print one table of all systems, the checkpoint's classes, its calibration and probes, and the differences."""
    own = scores[CHECKPOINT]
    console.print(system_table(title, scores))
    console.print(class_table(own))
    for task, row in own["calibration"].items():
        console.print(f"{task}: expected calibration error {row['ece']:.3f}, Brier score {row['brier']:.3f}")
    for probe, row in own.get("probes", {}).items():
        right = "–" if row["right"] is None else f"{row['right']:.1%}"
        console.print(f"probe {probe}: {right} of {row['cases']} ({row['what']})", markup=False)
    if own["significance"]:
        console.print(significance_table("checkpoint against the baselines", own["significance"]))


if __name__ == "__main__":
    app()
