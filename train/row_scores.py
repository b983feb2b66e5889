"""Scores of predicted table rows against gold rows, by label group, with 95 % intervals from a bootstrap over rows."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from datasets import Dataset

from rasd.labels import INDEPENDENT, UNANNOTATED, LabelGroup, LabelSchema
from rasd.modeling import FloatArray
from train.metrics import MultiLabelScores, SingleLabelScores
from train.metrics.offline import Scores
from train.resampling import RESAMPLES, interval

BoolArray = npt.NDArray[np.bool_]
FloatTable = npt.NDArray[np.float64]


def score_rows(
    rows: Dataset, predicted: FloatArray, schema: LabelSchema, polar: Sequence[str] = (), seed: int = 0
) -> Scores:
    """Score probabilities, shape (rows, labels), against the rows; a group counts where it is annotated.

    The mean F1 of the `polar` labels is `polar_f1`; with given texts, `by_given` has it for each of them, and
    `polar_f1_mean_of_given` is the mean of those. `seed` draws the resamples.
    """
    targets = np.asarray(rows["targets"], dtype=np.float32)
    given = np.array([text or "" for text in rows["actor"]])
    groups: Scores = {}
    for group, place in schema.slices():
        active = (targets[:, place] != UNANNOTATED).all(axis=1)
        if active.any():
            gold, part = targets[active, place] == 1, predicted[active, place]
            groups[group.name] = _score_group(group, gold, part, given[active], polar, seed)
    return {"rows": len(rows), "groups": groups}


@dataclass(frozen=True)
class Resamples:
    """How often each kind of row occurs: first in the data, then in each resample of it.

    Rows with the same given text, gold labels and chosen labels are of one kind; drawing the kinds' numbers is the same
    as drawing rows.
    """

    weights: FloatTable
    """Shape (1 + RESAMPLES, kinds)."""
    given: npt.NDArray[np.int64]
    """The number of each kind's given text, shape (kinds,)."""
    gold: BoolArray
    """Shape (kinds, labels)."""
    chosen: BoolArray
    """Shape (kinds, labels)."""

    @classmethod
    def draw(cls, given: npt.NDArray[np.int64], gold: BoolArray, chosen: BoolArray, seed: int) -> "Resamples":
        """Draw the resamples of rows."""
        kinds, counts = np.unique(np.column_stack([given, gold, chosen]), axis=0, return_counts=True)
        draws = np.random.default_rng(seed).multinomial(len(gold), counts / len(gold), size=RESAMPLES)
        labels = gold.shape[1]
        weights = np.vstack([counts, draws]).astype(np.float64)
        return cls(weights, kinds[:, 0], kinds[:, 1 : 1 + labels] == 1, kinds[:, 1 + labels :] == 1)

    def only(self, given: int) -> "Resamples":
        """Return the part with one given text."""
        mine = self.given == given
        return Resamples(self.weights[:, mine], self.given[mine], self.gold[mine], self.chosen[mine])

    def measures(self, polar: Sequence[int]) -> dict[str, FloatTable]:
        """Return the macro-F1, and the mean F1 of the polar labels where there are such; shape (1 + RESAMPLES,)."""
        hits = 2 * self.weights @ (self.gold & self.chosen)
        total = self.weights @ (self.gold.astype(int) + self.chosen)
        f1 = np.divide(hits, total, out=np.zeros_like(hits), where=total > 0)
        return {"macro_f1": f1.mean(axis=1)} | ({"polar_f1": f1[:, polar].mean(axis=1)} if polar else {})


def _score_group(
    group: LabelGroup,
    gold: BoolArray,
    predicted: FloatArray,
    given: npt.NDArray[np.str_],
    polar: Sequence[str],
    seed: int,
) -> Scores:
    if group.kind == INDEPENDENT:
        chosen, polar = predicted >= group.threshold, ()
        scores = MultiLabelScores(labels=group.labels, threshold=group.threshold).compute(
            predictions=predicted, references=gold.astype(int)
        )
    else:
        best = predicted.argmax(axis=1)
        chosen = np.eye(len(group.labels), dtype=bool)[best]
        scores = SingleLabelScores(labels=group.labels).compute(predictions=best, references=gold.argmax(axis=1))
    wanted = [group.labels.index(label) for label in polar] if set(polar) <= set(group.labels) else []
    names, numbers = np.unique(given, return_inverse=True)
    whole = Resamples.draw(numbers, gold, chosen, seed)
    measures = whole.measures(wanted)
    if not wanted or list(names) == [""]:
        return scores | _with_intervals(measures)
    parts = {str(name): whole.only(number) for number, name in enumerate(names)}
    apart = {name: part.measures(wanted) for name, part in parts.items()}
    measures["polar_f1_mean_of_given"] = np.mean([part["polar_f1"] for part in apart.values()], axis=0)
    by_given = {
        name: {"rows": int(parts[name].weights[0].sum()), **_with_intervals(part)} for name, part in apart.items()
    }
    return scores | _with_intervals(measures) | {"by_given": by_given}


def _with_intervals(measures: dict[str, FloatTable]) -> Scores:
    points = {name: float(values[0]) for name, values in measures.items()}
    return {**points, "intervals": {name: interval(values[1:]) for name, values in measures.items()}}
