"""Gold labels and decisions as arrays, one table a task: what scores, slices, intervals and comparisons are made of."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from rasd.labels import THRESHOLD, LabelSchema
from rasd.modeling import EVENT_GROUP, MODALITY_PREFIX, STANCE_GROUP, SpanPrediction

BoolArray = npt.NDArray[np.bool_]
Span = Mapping[str, Any]

EVENTS = "events"
MODALITY = "modality"
END_TO_END = "modality.end_to_end"
STANCE = "stance"
POLAR = ("hostile", "supportive")


@dataclass(frozen=True)
class Decisions:
    """One task's rows. A row of a task with one right class has one True in `gold` and one in `chosen`."""

    labels: tuple[str, ...]
    gold: BoolArray
    """Shape (rows, labels)."""
    chosen: BoolArray
    """Shape (rows, labels)."""
    spans: npt.NDArray[np.int64]
    """The index of the span that each row belongs to."""
    scores: npt.NDArray[np.float64]
    """Probabilities: of each label (events), or of the chosen class, in one column (modality, stance)."""
    threshold: float = THRESHOLD
    """From which probability on an event is chosen."""

    def select(self, mask: BoolArray) -> "Decisions":
        """Return the rows where `mask`, of shape (rows,), is True."""
        gold, chosen = self.gold[mask], self.chosen[mask]
        return replace(self, gold=gold, chosen=chosen, spans=self.spans[mask], scores=self.scores[mask])

    def right(self) -> BoolArray:
        """Say for each row whether it is right in every label, shape (rows,)."""
        right: BoolArray = (self.gold == self.chosen).all(axis=1)
        return right


def decide(gold: Sequence[Span], predicted: Sequence[SpanPrediction], schema: LabelSchema) -> dict[str, Decisions]:
    """Return the decisions of each task.

    The predictions were made with `all_events=True` and the gold surfaces as actors, in the order of the gold spans.
    """
    if len(gold) != len(predicted):
        raise ValueError(f"{len(gold)} gold spans but {len(predicted)} predictions")
    types, threshold = schema.group(EVENT_GROUP).labels, schema.group(EVENT_GROUP).threshold
    values = schema.group(f"{MODALITY_PREFIX}{types[0]}").labels
    told = [{event["type"]: event["modality"] for event in span["events"]} for span in gold]
    given = [{event.type: event for event in span.events} for span in predicted]
    found = [{t: e.modality for t, e in events.items() if e.probability >= threshold} for events in given]
    place = np.arange(len(gold))
    probability = np.array([[events[t].probability for t in types] for events in given]).reshape(len(gold), len(types))
    pairs = [(t, v) for t in types for v in values]
    present = [(i, t) for i, events in enumerate(told) for t in events]
    return {
        EVENTS: Decisions(
            types,
            _table([[t in events for t in types] for events in told], len(types)),
            probability >= threshold,
            place,
            probability,
            threshold,
        ),
        MODALITY: Decisions(
            values,
            _table([[told[i][t] == v for v in values] for i, t in present], len(values)),
            _table([[given[i][t].modality == v for v in values] for i, t in present], len(values)),
            np.array([i for i, _ in present], dtype=np.int64),
            np.array([[given[i][t].modality_probability] for i, t in present]).reshape(-1, 1),
        ),
        END_TO_END: Decisions(
            tuple(f"{t}:{v}" for t, v in pairs),
            _table([[events.get(t) == v for t, v in pairs] for events in told], len(pairs)),
            _table([[events.get(t) == v for t, v in pairs] for events in found], len(pairs)),
            place,
            probability.max(axis=1, keepdims=True, initial=0),
        ),
        STANCE: _decide_stance(gold, predicted, schema.group(STANCE_GROUP).labels),
    }


def _decide_stance(gold: Sequence[Span], predicted: Sequence[SpanPrediction], labels: tuple[str, ...]) -> Decisions:
    rows = [(i, row["stance"]) for i, span in enumerate(gold) for row in span["stances"]]
    given = [row for span in predicted for row in span.stances]
    if [len(span["stances"]) for span in gold] != [len(span.stances) for span in predicted]:
        raise ValueError(f"{len(rows)} gold stances but {len(given)} predicted: give the gold surfaces as actors")
    return Decisions(
        labels,
        _table([[stance == label for label in labels] for _, stance in rows], len(labels)),
        _table([[row.stance == label for label in labels] for row in given], len(labels)),
        np.array([i for i, _ in rows], dtype=np.int64),
        np.array([[row.probability] for row in given]).reshape(-1, 1),
    )


def _table(rows: list[list[bool]], width: int) -> BoolArray:
    return np.array(rows, dtype=bool).reshape(-1, width)
