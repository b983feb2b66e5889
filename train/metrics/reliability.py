"""How far probabilities can be believed: calibration error, Brier score, coverage and risk."""

from collections.abc import Sequence

import datasets
import evaluate
import numpy as np
from sklearn.metrics import brier_score_loss

import train.metrics.offline as offline

BINS = 15
COVERAGES = tuple(step / 20 for step in range(1, 21))


class ReliabilityScores(offline.OfflineMetric):
    """Expected calibration error, Brier score, the bins of a reliability diagram, and a coverage–risk curve.

    `predictions` are probabilities that something holds and `references` 1 where it does, both of shape (examples,).
    The calibration error is the mean distance between probability and frequency over 15 bins of equal mass (Nguyen and
    O'Connor 2015), weighted by the bins' sizes. The curve keeps the examples that are farthest from 0.5 and gives the
    share of wrong decisions among them.
    """

    def _info(self) -> evaluate.MetricInfo:
        return offline.metric_info(self.__doc__, datasets.Value("float32"), datasets.Value("int32"))

    def _compute(self, predictions: Sequence[float], references: Sequence[int]) -> offline.Scores:
        scores = np.asarray(predictions, dtype=np.float64)
        held = np.asarray(references, dtype=np.float64)
        order = np.argsort(scores, kind="stable")
        bins = [part for part in np.array_split(order, BINS) if len(part)]
        gaps = [abs(scores[part].mean() - held[part].mean()) * len(part) for part in bins]
        wrong = ((scores >= 0.5) != (held == 1))[np.argsort(-np.abs(scores - 0.5), kind="stable")]
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
