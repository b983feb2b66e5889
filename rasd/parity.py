"""Say whether a quantised checkpoint decides as the original does: on labelled spans, task by task."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rasd.inference import Classifier
from rasd.labels import LabelSchema
from rasd.modeling import EVENT_GROUP, SpanPrediction
from rasd.standoff import is_standoff, join_rows, place_problems

EQUAL_SHARE = 0.995  # of the decisions of each task
F1_LOSS = 0.005  # of the macro-F1 of events and of stance
EVENTS, MODALITY, STANCE = "events", "modality", "stance"
Span = Mapping[str, Any]
Classes = npt.NDArray[Any]


class ParityError(RuntimeError):
    """A quantised checkpoint that decides otherwise than the original; the message has the measured numbers."""


@dataclass(frozen=True)
class Parity:
    """What was measured on one set of labelled spans."""

    decisions: dict[str, int]
    """The number of decisions of each task."""
    equal: dict[str, float]
    """The share of them that is the same."""
    macro_f1: dict[str, tuple[float, float]]
    """Of events and stance: the original's, the quantised one's."""

    @property
    def holds(self) -> bool:
        """Say whether enough decisions are equal and no macro-F1 falls too far."""
        return min(self.equal.values()) >= EQUAL_SHARE and all(
            round(a - b, 6) <= F1_LOSS for a, b in self.macro_f1.values()
        )

    def __str__(self) -> str:
        """Return the numbers in one line."""
        shares = [f"{task} {share:.2%} of {self.decisions[task]}" for task, share in self.equal.items()]
        scores = [f"{task} {before:.4f} → {after:.4f}" for task, (before, after) in self.macro_f1.items()]
        return f"equal decisions: {', '.join(shares)}; macro-F1: {', '.join(scores)}"


def read_labelled_spans(paths: Sequence[Path], corpora: Path | None = None) -> list[Span]:
    """Return the spans of files in the format of data/README.md; stand-off lines are joined with `corpora`.

    Raises ValueError naming file, line and fix.
    """
    rows: list[tuple[str, Any]] = []
    for path in paths:
        for number, line in enumerate(path.read_bytes().splitlines(), 1):
            where = f"{path}:{number}"
            try:
                row = json.loads(line)
            except ValueError as error:
                raise ValueError(f"{where}: not JSON: {error}; write one object a line") from error
            if is_standoff(row):
                if corpora is None:
                    raise ValueError(
                        f"{where}: the text is in the corpus {row['corpus']!r}; name its folder: --corpora"
                    )
                if problems := list(place_problems(row)):
                    raise ValueError(f"{where}: {problems[0]}")
            rows.append((where, row))
    joined = [(where, row) for where, row in join_rows(rows, corpora) if row is not None]
    for where, row in joined:
        if problem := _problem(row):
            raise ValueError(f"{where}: {problem}")
    if not joined:
        raise ValueError(f"{', '.join(map(str, paths))}: no labelled spans; name a validation file")
    return [row for _, row in joined]


def _problem(row: Any) -> str | None:
    if not isinstance(row, dict) or not isinstance(row.get("text"), str):
        return "no text; see data/README.md for the format"
    for name, keys in (("events", ("type", "modality")), ("stances", ("surface", "stance"))):
        parts = row.get(name)
        if not isinstance(parts, list) or not all(isinstance(p, dict) and p.keys() >= set(keys) for p in parts):
            return f"{name} is {parts!r}; write a list of objects with {' and '.join(keys)}"
    absent = [stance["surface"] for stance in row["stances"] if str(stance["surface"]) not in row["text"]]
    return f"the surface {absent[0]!r} does not occur in the text" if absent else None


def predict_labelled(classifier: Classifier, spans: Sequence[Span], *, progress: bool = False) -> list[SpanPrediction]:
    """Predict labelled spans, the stance toward exactly those surfaces that have a label."""
    actors = [[stance["surface"] for stance in span["stances"]] for span in spans]
    return classifier.predict([span["text"] for span in spans], actors, all_events=True, progress=progress)


def compare(
    before: Sequence[SpanPrediction], after: Sequence[SpanPrediction], spans: Sequence[Span], schema: LabelSchema
) -> Parity:
    """Return how far two classifiers decide alike on labelled spans, and how well; from `predict_labelled` of each."""
    gold = np.array([[any(e["type"] == t for e in s["events"]) for t in schema.group("event").labels] for s in spans])
    stances = np.array([stance["stance"] for span in spans for stance in span["stances"]])
    threshold = schema.group(EVENT_GROUP).threshold
    told = _events(before, threshold)
    pairs = {
        EVENTS: (told, _events(after, threshold)),
        MODALITY: (_modalities(before)[told], _modalities(after)[told]),
        STANCE: (_stances(before), _stances(after)),
    }
    one_hot = {label: stances == label for label in schema.group("stance").labels}
    scores = {EVENTS: tuple(_macro_f1(gold, part) for part in pairs[EVENTS])}
    if len(stances):
        scores[STANCE] = tuple(
            _macro_f1(np.stack(list(one_hot.values()), 1), np.stack([part == label for label in one_hot], 1))
            for part in pairs[STANCE]
        )
    return Parity(
        {task: a.size for task, (a, _) in pairs.items()},
        {task: float((a == b).mean()) for task, (a, b) in pairs.items() if a.size},
        {task: (before_score, after_score) for task, (before_score, after_score) in scores.items()},
    )


def _events(predicted: Sequence[SpanPrediction], threshold: float) -> Classes:
    return np.array([[event.probability >= threshold for event in span.events] for span in predicted])


def _modalities(predicted: Sequence[SpanPrediction]) -> Classes:
    return np.array([[event.modality for event in span.events] for span in predicted])


def _stances(predicted: Sequence[SpanPrediction]) -> Classes:
    return np.array([stance.stance for span in predicted for stance in span.stances])


def _macro_f1(gold: Classes, chosen: Classes) -> float:
    """Return the mean F1 of the labels, 0 for one that is neither right nor chosen; shapes (rows, labels)."""
    right = (gold & chosen).sum(axis=0)
    both = gold.sum(axis=0) + chosen.sum(axis=0)
    return float(np.where(both > 0, 2 * right / np.maximum(both, 1), 0).mean())
