"""How far probabilities can be believed: calibration error, Brier score, coverage and risk."""

from collections.abc import Sequence
from typing import Any

import datasets
import evaluate
import numpy as np
import numpy.typing as npt
from sklearn.metrics import brier_score_loss

import train.metrics.offline as offline

BINS = 15
COVERAGES = tuple(step / 20 for step in range(1, 21))


class ReliabilityScores(offline.OfflineMetric):
    """Expected calibration error, Brier score, the bins of a reliability diagram, and a coverage–risk curve.

    `predictions` are probabilities that something holds and `references` 1 where it does, both of shape (examples,).
    The calibration error is the mean distance between probability and frequency over 15 bins of equal mass (Nguyen and
    O'Connor 2015), weighted by the bins' sizes. The curve keeps the decisions that are surest and gives the share of
    wrong ones among them. With a `threshold` a decision is yes from there on, and the surer the farther away, each side
    measured by its own width; without one each probability is that of the class that was chosen, and it is wrong where
    it does not hold.
    """

    def __init__(self, *args: Any, threshold: float | None = None, **kwargs: Any) -> None:
        """Fix what decides."""
        self.threshold = threshold
        super().__init__(*args, **kwargs)

    def _info(self) -> evaluate.MetricInfo:
        return offline.metric_info(self.__doc__, datasets.Value("float32"), datasets.Value("int32"))

    def _compute(self, predictions: Sequence[float], references: Sequence[int]) -> offline.Scores:
        scores = np.asarray(predictions, dtype=np.float64)
        held = np.asarray(references, dtype=np.float64)
        order = np.argsort(scores, kind="stable")
        bins = [part for part in np.array_split(order, BINS) if len(part)]
        gaps = [abs(scores[part].mean() - held[part].mean()) * len(part) for part in bins]
        wrong = self._wrong_surest_first(scores, held == 1)
        kept = [max(1, round(coverage * len(scores))) for coverage in COVERAGES]
        return {
            "ece": float(sum(gaps) / len(scores)),
            "brier": float(brier_score_loss(held, scores, pos_label=1)),
            "bins": [
                {"confidence": float(scores[p].mean()), "accuracy": float(held[p].mean()), "count": len(p)}
                for p in bins
            ],
            "coverage_risk": [
                {"coverage": coverage, "risk": float(wrong[:count].mean())}
                for coverage, count in zip(COVERAGES, kept, strict=True)
            ],
        }

    def _wrong_surest_first(self, scores: npt.NDArray[Any], held: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
        if self.threshold is None:
            wrong, certainty = ~held, scores
        else:
            told = scores >= self.threshold
            width = np.where(told, 1 - self.threshold, self.threshold)
            wrong, certainty = told != held, np.abs(scores - self.threshold) / width
        return wrong[np.argsort(-certainty, kind="stable")]
