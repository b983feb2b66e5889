"""Uncertainty by the bootstrap over articles: intervals of one system, differences of two, on the same resamples.

A resample is a row of weights, how often each article was drawn; every score follows from weighted counts, so that
2,000 resamples are a few matrix products.
"""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt
from scipy.stats import binomtest

from train.decisions import END_TO_END, EVENTS, MODALITY, POLAR, STANCE, BoolArray, Decisions, Span

RESAMPLES = 2000
LEVEL = 95.0
FloatArray = npt.NDArray[np.float64]


def article_numbers(gold: Sequence[Span]) -> npt.NDArray[np.int64]:
    """Return the number of each span's article, counted from 0, shape (spans,)."""
    _, numbers = np.unique([span["article_id"] for span in gold], return_inverse=True)
    return np.asarray(numbers, dtype=np.int64)


def draw_weights(articles: int, seed: int, resamples: int = RESAMPLES) -> FloatArray:
    """Return how often each article occurs in each resample, shape (resamples, articles)."""
    return np.random.default_rng(seed).multinomial(articles, [1 / articles] * articles, size=resamples).astype(float)


def resampled_scores(
    parts: Mapping[str, Decisions], articles: npt.NDArray[np.int64], weights: FloatArray
) -> dict[str, FloatArray]:
    """Return every score on every resample, each of shape (resamples,), by name: `events.macro_f1`, `stance.hostile`.

    The names are paths into what `train.scores.score_spans` returns, with a class name for its F1. Tasks without rows
    are left out.
    """
    scores: dict[str, FloatArray] = {}
    for task, part in parts.items():
        if not len(part.gold):
            continue
        counts = [_by_article(table, articles[part.spans], weights) for table in _tables(part)]
        per_label = _f1(*counts)
        scores[f"{task}.macro_f1"] = per_label.mean(axis=1)
        right = _by_article(part.right()[:, None], articles[part.spans], weights)[:, 0]
        total = _by_article(np.ones((len(part.gold), 1), dtype=bool), articles[part.spans], weights)[:, 0]
        share = np.divide(right, total, out=np.zeros_like(right), where=total > 0)
        if task in (EVENTS, END_TO_END):
            scores[f"{task}.micro_f1"] = _f1(*(table.sum(axis=1, keepdims=True) for table in counts))[:, 0]
            scores[f"{task}.exact_match"] = share
        else:
            scores[f"{task}.accuracy"] = share
        if task in (EVENTS, MODALITY, STANCE):
            scores |= {f"{task}.{label}": per_label[:, i] for i, label in enumerate(part.labels)}
        if task == STANCE and set(POLAR) <= set(part.labels):
            scores[f"{task}.polar_f1"] = per_label[:, [part.labels.index(label) for label in POLAR]].mean(axis=1)
    return scores


def interval(values: FloatArray) -> list[float]:
    """Return the percentile interval of a score's resamples."""
    tail = (100 - LEVEL) / 2
    return [float(value) for value in np.percentile(values, [tail, 100 - tail])]


def two_sided_p(differences: FloatArray) -> float:
    """Return how rarely resampled differences fall on the other side of zero, doubled; never 0."""
    below, above = int((differences <= 0).sum()), int((differences >= 0).sum())
    return min(1.0, 2 * (min(below, above) + 1) / (len(differences) + 1))


def mcnemar_p(ours: BoolArray, theirs: BoolArray) -> float:
    """Return the exact McNemar p-value of two systems' rows, right or wrong, both of shape (rows,)."""
    gained, lost = int((ours & ~theirs).sum()), int((~ours & theirs).sum())
    return float(binomtest(gained, gained + lost).pvalue) if gained + lost else 1.0


def holm(values: Sequence[float]) -> list[float]:
    """Return p-values corrected for their number by Holm's step-down rule (Holm 1979), in the same order."""
    corrected = [0.0] * len(values)
    highest = 0.0
    for rank, index in enumerate(sorted(range(len(values)), key=lambda i: values[i])):
        highest = max(highest, min(1.0, (len(values) - rank) * values[index]))
        corrected[index] = highest
    return corrected


def _tables(part: Decisions) -> Iterator[BoolArray]:
    """Yield where each label was found, invented and missed."""
    yield part.gold & part.chosen
    yield ~part.gold & part.chosen
    yield part.gold & ~part.chosen


def _by_article(table: BoolArray, articles: npt.NDArray[np.int64], weights: FloatArray) -> FloatArray:
    """Return weighted counts of True, shape (resamples, labels), from rows of articles."""
    counts = np.zeros((weights.shape[1], table.shape[1]))
    np.add.at(counts, articles, table)
    return weights @ counts


def _f1(found: FloatArray, invented: FloatArray, missed: FloatArray) -> FloatArray:
    total = 2 * found + invented + missed
    return np.divide(2 * found, total, out=np.zeros_like(total), where=total > 0)
