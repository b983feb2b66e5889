"""Scores of labels that are decided independently of each other."""

from collections.abc import Sequence
from typing import Any

import datasets
import evaluate
import numpy as np
from sklearn.metrics import average_precision_score, f1_score, precision_recall_fscore_support

import train.metrics.offline as offline
from rasd.labels import THRESHOLD


class MultiLabelScores(offline.OfflineMetric):
    """Precision, recall, F1, AUPRC and support of each label; macro and micro F1; exact match.

    `predictions` are probabilities and `references` 0 or 1, both of shape (examples, labels). A label counts as
    predicted from `threshold` on. AUPRC is None for a label without positives.
    """

    def __init__(self, *args: Any, threshold: float = THRESHOLD, **kwargs: Any) -> None:
        """Fix the class names, and the probability from which a label counts as predicted."""
        self.threshold = threshold
        super().__init__(*args, **kwargs)

    def _info(self) -> evaluate.MetricInfo:
        return offline.metric_info(
            self.__doc__, datasets.List(datasets.Value("float32")), datasets.List(datasets.Value("int32"))
        )

    def _compute(self, predictions: Sequence[Sequence[float]], references: Sequence[Sequence[int]]) -> offline.Scores:
        scores = np.asarray(predictions, dtype=np.float32)
        gold = np.asarray(references, dtype=np.int64)
        chosen = (scores >= np.float32(self.threshold)).astype(np.int64)
        parts = precision_recall_fscore_support(gold, chosen, average=None, zero_division=0)
        names = self.labels or tuple(str(i) for i in range(gold.shape[1]))
        per_class = offline.class_rows(names, parts)
        for index, name in enumerate(names):
            positives = int(gold[:, index].sum())
            per_class[name]["auprc"] = (
                float(average_precision_score(gold[:, index], scores[:, index])) if positives else None
            )
        return {
            "macro_f1": float(np.mean(parts[2])),
            "micro_f1": float(f1_score(gold, chosen, average="micro", zero_division=0)),
            "exact_match": float((gold == chosen).all(axis=1).mean()),
            "per_class": per_class,
        }
