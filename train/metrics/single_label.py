"""Scores of classes of which exactly one is right."""

from collections.abc import Sequence

import datasets
import evaluate
import numpy as np
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

import train.metrics.offline as offline


class SingleLabelScores(offline.OfflineMetric):
    """Precision, recall, F1 and support of each class; macro F1 over the classes; accuracy; confusion matrix.

    `predictions` and `references` are class indices of shape (examples,). A class that neither occurs nor is predicted
    has F1 0. The matrix has gold classes as rows.
    """

    def _info(self) -> evaluate.MetricInfo:
        return offline.metric_info(self.__doc__, datasets.Value("int32"), datasets.Value("int32"))

    def _compute(self, predictions: Sequence[int], references: Sequence[int]) -> offline.Scores:
        names = self.labels or tuple(str(i) for i in range(max([*predictions, *references]) + 1))
        indices = list(range(len(names)))
        parts = precision_recall_fscore_support(references, predictions, labels=indices, average=None, zero_division=0)
        return {
            "macro_f1": float(np.mean(parts[2])),
            "accuracy": float(np.mean(np.asarray(predictions) == np.asarray(references))),
            "per_class": offline.class_rows(names, parts),
            "confusion": {
                "labels": list(names),
                "rows": confusion_matrix(references, predictions, labels=indices).tolist(),
            },
        }
