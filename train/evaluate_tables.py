"""Score a run that was trained on tables (`data.columns`); `python -m train.evaluate RUN` comes here by itself.

Next to the checkpoint stands word and character n-grams with logistic regression, tuned on the run's validation rows.
Scores go to `metrics.json`, predictions to `predictions.parquet`.
"""

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from datasets import Dataset
from rich.console import Console
from rich.table import Table
from tqdm.auto import tqdm
from transformers import AutoTokenizer

from rasd.labels import INDEPENDENT, UNANNOTATED, LabelSchema
from rasd.modeling import FloatArray, probabilities
from rasd.passes import encode_passes, run_passes
from rasd.runtimes import load_runtime
from train.baselines import fit_ngrams
from train.metrics.offline import Scores
from train.predictions import CHECKPOINT, store_rows
from train.row_scores import score_rows
from train.runs import RunError, RunFolder
from train.tables import read_split, read_table

BASELINE = "tf-idf"
console = Console()


def evaluate_table_run(
    run: RunFolder, split: str, *, with_baselines: bool = True, files: Sequence[Path | str] | None = None
) -> dict[str, Scores]:
    """Score one split of a run; store and print the scores, store the predictions; return scores by system.

    With `files` their rows are scored instead of the run's own, and stored under `<split>: <files>`.
    """
    config = run.config()
    columns = config.data.columns
    if columns is None:
        raise RunError(f"{run.path} was trained on spans; its config.yaml has no data.columns")
    run.check_data()
    schema = LabelSchema.from_yaml(config.model.labels)
    gold = read_table(files, columns, schema) if files else read_split(config, split, schema)
    if not len(gold):
        raise RunError(f"there are no {split} rows; see data.{split} of the run's config.yaml, and --data")
    name = f"{split}: {', '.join(map(str, files))}" if files else split
    started = time.perf_counter()
    predicted = {CHECKPOINT: predict_rows(run.model, gold)}
    seconds = {"seconds": round(time.perf_counter() - started, 1)}
    if with_baselines:
        parts = [read_split(config, part, schema) for part in ("train", "validation")]
        predicted[BASELINE] = predict_ngrams(parts[0], parts[1], gold, schema)
    scores = {
        system: score_rows(gold, rows, run.schema() if system == CHECKPOINT else schema, columns.polar, config.seed)
        for system, rows in predicted.items()
    }
    scores[CHECKPOINT] |= seconds
    run.add_metrics(name, scores)
    write_predictions(run.predictions_file, name, gold, predicted, schema)
    print_scores(f"{run.path} · {name}", scores)
    return scores


def predict_rows(folder: Path, rows: Dataset) -> FloatArray:
    """Return a checkpoint's probabilities, shape (rows, labels), in order; a long text is truncated as in training."""
    runtime, tokenizer = load_runtime(folder), AutoTokenizer.from_pretrained(folder)
    schema = LabelSchema.from_config(runtime.config)
    passes = encode_passes(tokenizer, list(zip(rows["text"], rows["actor"], strict=True)))
    with tqdm(total=len(passes), desc="predict", unit="row") as bar:
        pad_id, labels = tokenizer.pad_token_id, len(schema.label_names())
        logits = run_passes(runtime, passes, labels, pad_id=pad_id, on_batch=bar.update)
    return probabilities(logits, schema)


def predict_ngrams(train: Dataset, validation: Dataset, rows: Dataset, schema: LabelSchema) -> FloatArray:
    """Return the baseline's probabilities, shape (rows, labels).

    An exclusive group has one classifier, an independent one has a classifier for each label.
    """
    asked = ngram_texts(rows)
    result = np.zeros((len(rows), len(schema.label_names())), dtype=np.float32)
    for group, place in schema.slices():
        (texts, targets), (held_texts, held) = _annotated(train, place), _annotated(validation, place)
        if group.kind == INDEPENDENT:
            for index, column in enumerate(range(place.start, place.stop)):
                labels, held_labels = (targets[:, index] == 1).tolist(), (held[:, index] == 1).tolist()
                model = fit_ngrams(texts, labels, held_texts, held_labels, default=False)
                result[:, column] = model.predict_proba(asked) @ model.classes_  # the classes are False and True
        else:
            labels, held_labels = targets.argmax(axis=1).tolist(), held.argmax(axis=1).tolist()
            model = fit_ngrams(texts, labels, held_texts, held_labels, default=0)
            result[:, place.start + np.asarray(model.classes_)] = model.predict_proba(asked)
    return result


def ngram_texts(rows: Dataset) -> list[str]:
    """Return one text for each row; the words of the given text are marked, so that each side has its own weights."""
    return [
        text if given is None else f"{text} {' '.join(f'given_{word}' for word in given.split())}"
        for text, given in zip(rows["text"], rows["actor"], strict=True)
    ]


def _annotated(rows: Dataset, place: slice) -> tuple[list[str], npt.NDArray[np.int64]]:
    """Return the texts and targets of the rows where a group is annotated."""
    targets = np.asarray(rows["targets"])[:, place]
    active = (targets != UNANNOTATED).all(axis=1)
    texts = [text for text, is_active in zip(ngram_texts(rows), active, strict=True) if is_active]
    return texts, targets[active].astype(np.int64)


def write_predictions(
    path: Path, split: str, gold: Dataset, systems: Mapping[str, FloatArray], schema: LabelSchema
) -> None:
    """Store gold labels and each system's probabilities of a split, by group; rows of other splits stay."""
    rows = [
        {
            "split": split,
            "system": system,
            "id": example["id"],
            "article_id": example["id"],
            "gold": json.dumps(_told(example["targets"], schema), ensure_ascii=False),
            "predicted": json.dumps(
                {
                    group.name: dict(zip(group.labels, row[place].round(4).tolist(), strict=True))
                    for group, place in schema.slices()
                },
                ensure_ascii=False,
            ),
        }
        for system, predicted in systems.items()
        for example, row in zip(gold, predicted.astype(np.float64), strict=True)
    ]
    store_rows(path, split, rows)


def _told(targets: Sequence[float], schema: LabelSchema) -> dict[str, list[str]]:
    """Return the gold labels of the annotated groups."""
    return {
        group.name: [label for label, target in zip(group.labels, targets[place], strict=True) if target == 1]
        for group, place in schema.slices()
        if UNANNOTATED not in targets[place]
    }


def print_scores(title: str, scores: Mapping[str, Scores]) -> None:
    """Print each group's scores of all systems, and the checkpoint's classes."""
    table = Table(title=title, caption="in brackets: 95 % interval of a bootstrap over rows")
    for column in ("group", "score", *scores):
        table.add_column(column, justify="left" if column in ("group", "score") else "right")
    for group, first in scores[CHECKPOINT]["groups"].items():
        own = [score["groups"][group] for score in scores.values()]
        for name in first["intervals"]:
            table.add_row(group, name, *(_cell(score, name) for score in own))
        for given in first.get("by_given", {}):
            table.add_row(group, f"polar_f1: {given}", *(_cell(score["by_given"][given], "polar_f1") for score in own))
    console.print(table)
    classes = Table(title=f"{CHECKPOINT}, by class ({scores[CHECKPOINT]['rows']} rows)")
    for column in ("class", "precision", "recall", "F1", "support"):
        classes.add_column(column, justify="left" if column == "class" else "right")
    for group, score in scores[CHECKPOINT]["groups"].items():
        for label, row in score["per_class"].items():
            numbers = (f"{row[key]:.3f}" for key in ("precision", "recall", "f1"))
            classes.add_row(f"{group}: {label}", *numbers, str(row["support"]))
    console.print(classes)


def _cell(score: Scores, name: str) -> str:
    low, high = score["intervals"][name]
    return f"{score[name]:.3f} [{low:.3f}, {high:.3f}]"
