"""The metrics, as `evaluate.Metric` subclasses that work offline, and the scoring of predictions against gold spans.

Every class name goes in with the metric's constructor (baked in, since `evaluate.combine` drops keyword arguments).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import datasets
import evaluate
import numpy as np
import numpy.typing as npt
from sklearn.metrics import average_precision_score, f1_score, precision_recall_fscore_support

from rasd.labels import INDEPENDENT, UNANNOTATED, LabelGroup, LabelSchema
from rasd.modeling import EVENT_GROUP, MODALITY_PREFIX, STANCE_GROUP, THRESHOLD, SpanPrediction, probabilities

Scores = dict[str, Any]


class _OfflineMetric(evaluate.Metric):
    """A metric that keeps its rows in memory and knows its class names."""

    def __init__(self, labels: Sequence[str] = (), **kwargs: Any) -> None:
        """Fix the class names, in the order of the columns (multi-label) or of the class indices."""
        self.labels = tuple(labels)
        super().__init__(**({"keep_in_memory": True} | kwargs))


class MultiLabelScores(_OfflineMetric):
    """Precision, recall, F1, AUPRC and support of each label; macro and micro F1; exact match.

    `predictions` are probabilities and `references` 0 or 1, both of shape (examples, labels). A label counts as
    predicted at 0.5. AUPRC is None for a label without positives.
    """

    def _info(self) -> evaluate.MetricInfo:
        features = {
            "predictions": datasets.List(datasets.Value("float32")),
            "references": datasets.List(datasets.Value("int32")),
        }
        return evaluate.MetricInfo(
            description=str(self.__doc__), citation="", inputs_description="", features=datasets.Features(features)
        )

    def _compute(self, predictions: Sequence[Sequence[float]], references: Sequence[Sequence[int]]) -> Scores:
        scores = np.asarray(predictions, dtype=np.float32)
        gold = np.asarray(references, dtype=np.int64)
        chosen = (scores >= THRESHOLD).astype(np.int64)
        parts = precision_recall_fscore_support(gold, chosen, average=None, zero_division=0)
        names = self.labels or tuple(str(i) for i in range(gold.shape[1]))
        per_class = class_rows(names, parts)
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


class SingleLabelScores(_OfflineMetric):
    """Precision, recall, F1 and support of each class; macro F1 over the classes; accuracy.

    `predictions` and `references` are class indices of shape (examples,). A class that neither occurs nor is predicted
    has F1 0.
    """

    def _info(self) -> evaluate.MetricInfo:
        features = {"predictions": datasets.Value("int32"), "references": datasets.Value("int32")}
        return evaluate.MetricInfo(
            description=str(self.__doc__), citation="", inputs_description="", features=datasets.Features(features)
        )

    def _compute(self, predictions: Sequence[int], references: Sequence[int]) -> Scores:
        names = self.labels or tuple(str(i) for i in range(max([*predictions, *references]) + 1))
        indices = list(range(len(names)))
        parts = precision_recall_fscore_support(references, predictions, labels=indices, average=None, zero_division=0)
        return {
            "macro_f1": float(np.mean(parts[2])),
            "accuracy": float(np.mean(np.asarray(predictions) == np.asarray(references))),
            "per_class": class_rows(names, parts),
        }


def class_rows(names: Sequence[str], parts: Sequence[npt.NDArray[Any]]) -> dict[str, Scores]:
    """Return sklearn's four arrays as one row a class."""
    return {
        name: {"precision": float(p), "recall": float(r), "f1": float(f), "support": int(s)}
        for name, p, r, f, s in zip(names, *parts, strict=True)
    }


def score_spans(gold: Sequence[Mapping[str, Any]], predicted: Sequence[SpanPrediction], schema: LabelSchema) -> Scores:
    """Score predictions (made with `all_events=True` and the gold surfaces as actors) against gold spans, in order."""
    if len(gold) != len(predicted):
        raise ValueError(f"{len(gold)} gold spans but {len(predicted)} predictions")
    types = schema.group(EVENT_GROUP).labels
    told = [[int(any(e["type"] == t for e in span["events"])) for t in types] for span in gold]
    scores = [[{e.type: e.probability for e in span.events}[t] for t in types] for span in predicted]
    return {
        "spans": len(gold),
        "articles": len({span["article_id"] for span in gold}),
        "events": MultiLabelScores(types).compute(predictions=scores, references=told),
        "modality": _score_modality(gold, predicted, schema),
        "stance": _score_stance(gold, predicted, schema.group(STANCE_GROUP)),
    }


def _score_modality(
    gold: Sequence[Mapping[str, Any]], predicted: Sequence[SpanPrediction], schema: LabelSchema
) -> Scores:
    """Score the modality of gold events, and (type, modality) pairs end to end."""
    types = schema.group(EVENT_GROUP).labels
    values = schema.group(f"{MODALITY_PREFIX}{types[0]}").labels
    references, chosen, pairs_gold, pairs_chosen = [], [], [], []
    for span, prediction in zip(gold, predicted, strict=True):
        modality_of = {e.type: e.modality for e in prediction.events}
        told = {e["type"]: e["modality"] for e in span["events"]}
        found = {e.type: e.modality for e in prediction.events if e.probability >= THRESHOLD}
        references += [values.index(value) for value in told.values()]
        chosen += [values.index(modality_of[t]) for t in told]
        pairs_gold.append([int(told.get(t) == v) for t in types for v in values])
        pairs_chosen.append([float(found.get(t) == v) for t in types for v in values])
    result: Scores = {}
    if references:
        result = SingleLabelScores(values).compute(predictions=chosen, references=references)
    names = [f"{t}:{v}" for t in types for v in values]
    end_to_end = MultiLabelScores(names).compute(predictions=pairs_chosen, references=pairs_gold)
    for row in end_to_end["per_class"].values():
        del row["auprc"]  # decisions have no ranking
    return result | {"end_to_end": end_to_end}


def _score_stance(gold: Sequence[Mapping[str, Any]], predicted: Sequence[SpanPrediction], group: LabelGroup) -> Scores:
    """Score the stance of each gold row; the predictions have one stance for each, in order."""
    references = [group.labels.index(row["stance"]) for span in gold for row in span["stances"]]
    chosen = [group.labels.index(row.stance) for span in predicted for row in span.stances]
    if len(references) != len(chosen):
        raise ValueError(
            f"{len(references)} gold stances but {len(chosen)} predicted: give the gold surfaces as actors"
        )
    if not references:
        return {}
    scores = SingleLabelScores(group.labels).compute(predictions=chosen, references=references)
    polar = [scores["per_class"][name]["f1"] for name in ("hostile", "supportive") if name in scores["per_class"]]
    return {**scores, "polar_f1": float(np.mean(polar)) if polar else None}


def selection_scores(
    logits: npt.NDArray[np.float32], targets: npt.NDArray[np.float32], schema: LabelSchema
) -> dict[str, float]:
    """Return the macro-F1 of each group that does not hang on an event, and their mean as `score`.

    This is what early stopping watches. Both arrays have shape (examples, labels). A group without a condition is
    scored on the examples without a given text, where the data has such.
    """
    rows = probabilities(logits, schema)
    given = [place for group, place in schema.slices() if group.when is not None and group.when[0] == "given"]
    alone = np.ones(len(targets), dtype=bool)
    for place in given:
        alone &= (targets[:, place] == UNANNOTATED).all(axis=1)
    result: dict[str, float] = {}
    for group, place in schema.slices():
        if group.when is not None and group.when[0] != "given":
            continue
        active = (targets[:, place] != UNANNOTATED).all(axis=1)
        if group.when is None and (active & alone).any():
            active &= alone
        if not active.any():
            continue
        gold, part = targets[active, place], rows[active, place]
        if group.kind == INDEPENDENT:
            value = MultiLabelScores(group.labels).compute(predictions=part, references=gold.astype(int))
        else:
            value = SingleLabelScores(group.labels).compute(predictions=part.argmax(1), references=gold.argmax(1))
        result[f"{group.name}_macro_f1"] = value["macro_f1"]
    return result | {"score": float(np.mean(list(result.values())))}
