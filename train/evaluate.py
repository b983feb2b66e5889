"""Score a run's checkpoint next to baselines: `python -m train.evaluate RUN --split test`.

The checkpoint is read through `rasd.Classifier`, as users read it. The baselines are trained on the run's own training
split and tuned on its validation split. Scores go to `metrics.json`, predictions to `predictions.parquet`.
"""

import json
import logging
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq
import typer
from datasets import Dataset
from rich.console import Console
from rich.table import Table
from transformers.utils import logging as transformers_logging

from rasd.actors import ActorLexicon
from rasd.inference import Classifier
from rasd.modeling import SpanPrediction
from train.baselines import KeywordBaseline, MajorityBaseline, TfidfBaseline
from train.config import split_files
from train.corpora import CorpusError
from train.data import DataError, SpanReader, draw_spans
from train.metrics import Scores, score_spans
from train.runs import RunError, RunFolder

MODEL = "checkpoint"
console = Console()
app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    run_folder: Annotated[Path, typer.Argument(help="Run folder of a finished training.")],
    split: Annotated[Literal["validation", "test"], typer.Option(help="Which spans to score.")] = "test",
    baselines: Annotated[bool, typer.Option(help="Train and score the baselines too.")] = True,
    data: Annotated[list[Path] | None, typer.Option(help="Score these files instead of the run's own.")] = None,
    corpora: Annotated[Path | None, typer.Option(help="Replace the run's folder of corpora.")] = None,
) -> None:
    """Score a checkpoint and baselines on one split."""
    logging.getLogger("datasets").setLevel(logging.WARNING)
    transformers_logging.disable_progress_bar()
    try:
        evaluate_run(RunFolder.open(run_folder), split, with_baselines=baselines, files=data, corpora=corpora)
    except (CorpusError, DataError, RunError) as error:
        Console(stderr=True).print(f"error: {error}", style="red", markup=False, highlight=False, soft_wrap=True)
        raise typer.Exit(2) from error


def evaluate_run(
    run: RunFolder,
    split: str,
    *,
    with_baselines: bool = True,
    files: Sequence[Path | str] | None = None,
    corpora: Path | str | None = None,
) -> dict[str, Scores]:
    """Score one split of a run; store and print the scores, store the predictions; return scores by system.

    With `files` their spans are scored instead of the run's own, and stored under `<split>: <files>`.
    """
    config = run.config()
    classifier = Classifier.from_pretrained(run.model)
    lexicon = ActorLexicon.load(run.model / "actors.json")
    reader = SpanReader(classifier.schema, frozenset(lexicon.actors), corpora or config.data.corpora)
    run.check_data()
    gold = reader.read(files or split_files(config, split), split)
    if not len(gold):
        raise RunError(f"there are no {split} spans; see data.{split} of the run's config.yaml, --data and --corpora")
    name = f"{split}: {', '.join(map(str, files))}" if files else split
    started = time.perf_counter()
    predicted = classifier.predict(gold["text"], actors=surfaces(gold), all_events=True, progress=True)
    seconds = time.perf_counter() - started
    scores = {MODEL: score_spans(list(gold), predicted, classifier.schema) | {"seconds": round(seconds, 1)}}
    if with_baselines:
        train, validation = reader.read(config.data.train, "train"), reader.read(config.data.validation, "validation")
        train = draw_spans(train, config.data.limit_train_spans, config.seed)
        for baseline in (MajorityBaseline(), KeywordBaseline(lexicon), TfidfBaseline()):
            baseline.fit(train, validation, classifier.schema)
            scores[baseline.name] = score_spans(list(gold), baseline.predict(gold), classifier.schema)
    run.add_metrics(name, scores)
    write_predictions(run.predictions_file, name, gold, predicted)
    print_scores(f"{run.path} · {name}", scores)
    return scores


def surfaces(gold: Dataset) -> list[list[str]]:
    """Return the gold actor surfaces of each span."""
    return [[stance["surface"] for stance in stances] for stances in gold["stances"]]


def write_predictions(path: Path, split: str, gold: Dataset, predicted: Sequence[SpanPrediction]) -> None:
    """Store gold and prediction of a split, one row a span; rows under other names stay."""
    rows = [
        {
            "split": split,
            "id": span["id"],
            "gold": json.dumps({"events": span["events"], "stances": span["stances"]}, ensure_ascii=False),
            "predicted": json.dumps(
                {key: value for key, value in prediction.to_dict().items() if key in ("events", "stances")},
                ensure_ascii=False,
            ),
        }
        for span, prediction in zip(gold, predicted, strict=True)
    ]
    kept = [row for row in pq.read_table(path).to_pylist() if row["split"] != split] if path.is_file() else []
    unfinished = path.with_name(f".{path.name}")
    pq.write_table(pa.Table.from_pylist(kept + rows), unfinished)
    unfinished.replace(path)


def print_scores(title: str, scores: dict[str, Scores]) -> None:
    """Print one table of all systems, and the checkpoint's classes."""
    table = Table(
        title=title, caption="macro-F1 where no other score is named; exact: all events right; polar: without neutral"
    )
    columns = ("system", "event", "micro", "exact", "modality", "end to end", "stance", "polar")
    for column in columns:
        table.add_column(column, justify="left" if column == "system" else "right", no_wrap=True)
    for name, score in scores.items():
        events, modality, stance = score["events"], score["modality"], score["stance"]
        values = (
            events["macro_f1"],
            events["micro_f1"],
            events["exact_match"],
            modality.get("macro_f1"),
            modality["end_to_end"]["macro_f1"],
            stance.get("macro_f1"),
            stance.get("polar_f1"),
        )
        table.add_row(name, *(f"{value:.3f}" if value is not None else "–" for value in values))
    console.print(table)
    console.print(class_table(scores[MODEL]))


def class_table(score: Scores) -> Table:
    """Return the table of a system's single classes."""
    table = Table(title=f"{MODEL}, by class ({score['spans']} spans, {score['articles']} articles)")
    for column in ("class", "precision", "recall", "F1", "AUPRC", "support"):
        table.add_column(column, justify="left" if column == "class" else "right")
    for part in ("events", "modality", "stance"):
        for name, row in score[part].get("per_class", {}).items():
            table.add_row(
                f"{part}: {name}",
                *(_cell(row, key) for key in ("precision", "recall", "f1", "auprc")),
                str(row["support"]),
            )
    return table


def _cell(row: dict[str, Any], key: str) -> str:
    value = row.get(key)
    return "–" if value is None else f"{value:.3f}"


if __name__ == "__main__":
    app()
