"""Scores of predicted spans against gold spans: all tasks, intervals, calibration, slices."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from rasd.labels import INDEPENDENT, UNANNOTATED, LabelGroup, LabelSchema
from rasd.modeling import SpanPrediction, probabilities
from train.decisions import END_TO_END, EVENTS, MODALITY, POLAR, STANCE, BoolArray, Decisions, Span, decide
from train.metrics import MultiLabelScores, ReliabilityScores, SingleLabelScores
from train.metrics.offline import Scores
from train.resampling import article_numbers, draw_weights, interval, resampled_scores
from train.slices import slice_scores

GIVEN = "given"  # the condition of a group that counts only beside a given text


def score_spans(
    gold: Sequence[Span],
    predicted: Sequence[SpanPrediction],
    schema: LabelSchema,
    *,
    conflicts: Mapping[str, Sequence[str]] | None = None,
    seed: int = 0,
) -> Scores:
    """Score predictions (made with `all_events=True` and the gold surfaces as actors) against gold spans, in order.

    `conflicts` names each actor's conflicts, for the slices; without it there are none. Intervals are 95 % by the
    bootstrap over articles, drawn by the seed.
    """
    parts = decide(gold, predicted, schema)
    articles = article_numbers(gold)
    resampled = resampled_scores(parts, articles, draw_weights(articles.max() + 1, seed))
    scores = {
        "spans": len(gold),
        "articles": int(articles.max() + 1),
        "events": _multi_label(parts[EVENTS]),
        "modality": _single_label(parts[MODALITY]) | {"end_to_end": _end_to_end(parts[END_TO_END])},
        "stance": _stance(parts[STANCE]),
        "intervals": {name: interval(values) for name, values in resampled.items()},
    }
    return scores if conflicts is None else scores | {"slices": slice_scores(gold, parts, conflicts)}


def score_reliability(gold: Sequence[Span], predicted: Sequence[SpanPrediction], schema: LabelSchema) -> Scores:
    """Score the probabilities: of every event type of every span, and of the chosen modality and stance."""
    parts = decide(gold, predicted, schema)
    result: Scores = {}
    for task in (EVENTS, MODALITY, STANCE):
        part = parts[task]
        held = part.gold if task == EVENTS else part.right()[:, None]
        if held.size:
            scores, references = part.scores.ravel(), held.ravel().astype(int)
            threshold = part.threshold if task == EVENTS else None
            result[task] = ReliabilityScores(threshold=threshold).compute(predictions=scores, references=references)
    return result


def _multi_label(part: Decisions) -> Scores:
    scores: Scores = MultiLabelScores(labels=part.labels, threshold=part.threshold).compute(
        predictions=part.scores, references=part.gold
    )
    return scores


def _single_label(part: Decisions) -> Scores:
    if not len(part.gold):
        return {}
    scores: Scores = SingleLabelScores(labels=part.labels).compute(
        predictions=part.chosen.argmax(axis=1), references=part.gold.argmax(axis=1)
    )
    return scores


def _end_to_end(part: Decisions) -> Scores:
    scores: Scores = MultiLabelScores(labels=part.labels).compute(
        predictions=part.chosen.astype(float), references=part.gold
    )
    for row in scores["per_class"].values():
        del row["auprc"]  # decisions have no ranking
    return scores


def _stance(part: Decisions) -> Scores:
    scores = _single_label(part)
    if not scores:
        return {}
    polar = [scores["per_class"][name]["f1"] for name in POLAR if name in scores["per_class"]]
    return scores | {"polar_f1": float(np.mean(polar)) if polar else None}


def selection_scores(
    logits: npt.NDArray[np.float32], targets: npt.NDArray[np.float32], schema: LabelSchema
) -> dict[str, float]:
    """Return the macro-F1 of each group that does not hang on an event, and their mean as `score`.

    This is what early stopping watches. Both arrays have shape (examples, labels).
    """
    rows = probabilities(logits, schema)
    result: dict[str, float] = {}
    for group, place in schema.slices():
        scored = scored_rows(targets, schema, group)
        if (group.when is not None and group.when[0] != GIVEN) or not scored.any():
            continue
        gold, part = targets[scored, place], rows[scored, place]
        if group.kind == INDEPENDENT:
            value = MultiLabelScores(labels=group.labels, threshold=group.threshold).compute(
                predictions=part, references=gold.astype(int)
            )
        else:
            value = SingleLabelScores(labels=group.labels).compute(
                predictions=part.argmax(axis=1), references=gold.argmax(axis=1)
            )
        result[f"{group.name}_macro_f1"] = value["macro_f1"]
    return result | {"score": float(np.mean(list(result.values())))}


def scored_rows(targets: npt.NDArray[Any], schema: LabelSchema, group: LabelGroup) -> BoolArray:
    """Say which examples count for a group, shape (examples,), from targets of shape (examples, labels).

    Those where it is annotated; of a group that needs no given text only those without one, where the data has such, as
    users ask for it.
    """
    active: BoolArray = (targets[:, schema.place(group.name)] != UNANNOTATED).all(axis=1)
    if group.when is not None and group.when[0] == GIVEN:
        return active
    alone = np.ones(len(targets), dtype=bool)
    for other, place in schema.slices():
        if other.when is not None and other.when[0] == GIVEN:
            alone &= (targets[:, place] == UNANNOTATED).all(axis=1)
    return active & alone if (active & alone).any() else active
