import numpy as np
import pytest
from scipy.stats import binomtest

from rasd.modeling import EventPrediction, SpanPrediction, StancePrediction
from train.decisions import EVENTS, decide
from train.resampling import (
    article_numbers,
    draw_weights,
    holm,
    interval,
    mcnemar_p,
    resampled_scores,
    two_sided_p,
)
from train.score_tables import look_up
from train.scores import score_spans

TYPES = ("offensive", "reinforcement", "failed_negotiation", "civilian_corridor")
MODALITIES = ("actual", "prospective", "negated")
STANCES = ("hostile", "neutral", "supportive")


def random_split(count, articles, seed):
    """Spans with random gold, and predictions that agree with it most of the time."""
    rng = np.random.default_rng(seed)
    gold, predicted = [], []
    for number in range(count):
        told = {t: MODALITIES[rng.integers(3)] for t in TYPES if rng.random() < 0.3}
        stances = [STANCES[rng.integers(3)] for _ in range(rng.integers(3))]
        gold.append(
            {
                "id": str(number),
                "article_id": f"a{rng.integers(articles)}",
                "outlet": f"o{number % 3}",
                "published": None,
                "origin": "authored",
                "text": "كلمة",
                "events": [{"type": t, "modality": m} for t, m in told.items()],
                "stances": [{"actor": None, "surface": "x", "start": 0, "end": 1, "stance": s} for s in stances],
            }
        )
        events = []
        for t in TYPES:
            held = (t in told) != (rng.random() < 0.2)
            modality = told[t] if t in told and rng.random() < 0.8 else MODALITIES[rng.integers(3)]
            events.append(EventPrediction(t, 0.5 + rng.random() / 2 if held else rng.random() / 2, modality, 0.9))
        rows = [StancePrediction(None, "x", 0, 1, s if rng.random() < 0.8 else STANCES[0], 0.9) for s in stances]
        predicted.append(SpanPrediction("", 0, 0, tuple(events), tuple(rows)))
    return gold, predicted


@pytest.fixture(scope="module")
def split():
    return random_split(200, 60, seed=1)


def test_every_article_once_gives_the_scores_themselves(split, schema):
    gold, predicted = split
    articles = article_numbers(gold)
    once = resampled_scores(decide(gold, predicted, schema), articles, np.ones((1, articles.max() + 1)))
    scores = score_spans(gold, predicted, schema)
    assert len(once) == 7 + 5 + 3 + 6
    for name, values in once.items():
        task, _, label = name.rpartition(".")
        row = look_up(scores, f"{task}.per_class.{label}")
        assert values[0] == pytest.approx(row["f1"] if row else look_up(scores, name)), name


def test_a_resample_scores_the_articles_as_often_as_they_were_drawn(split, schema):
    gold, predicted = split
    articles = article_numbers(gold)
    weights = draw_weights(articles.max() + 1, seed=3, resamples=2)
    assert weights.sum(axis=1).tolist() == [articles.max() + 1] * 2
    drawn = [i for i, article in enumerate(articles) for _ in range(int(weights[1, article]))]
    scores = score_spans([gold[i] for i in drawn], [predicted[i] for i in drawn], schema)
    resampled = resampled_scores(decide(gold, predicted, schema), articles, weights)
    for name in ("events.macro_f1", "events.micro_f1", "modality.macro_f1", "stance.macro_f1", "stance.polar_f1"):
        assert resampled[name][1] == pytest.approx(look_up(scores, name)), name


def test_intervals_hold_the_score_and_clusters_make_them_wider(schema):
    gold, predicted = random_split(300, 300, seed=2)
    alone = score_spans([g | {"article_id": str(i)} for i, g in enumerate(gold)], predicted, schema)
    copies = 4
    gold4 = [g | {"article_id": str(i)} for i, g in enumerate(gold) for _ in range(copies)]
    predicted4 = [p for p in predicted for _ in range(copies)]
    together = score_spans(gold4, predicted4, schema)
    apart = score_spans([g | {"article_id": str(i)} for i, g in enumerate(gold4)], predicted4, schema)
    width = {
        name: np.subtract(*scores["intervals"]["events.macro_f1"][::-1])
        for name, scores in (("alone", alone), ("together", together), ("apart", apart))
    }
    low, high = alone["intervals"]["events.macro_f1"]
    assert low < alone["events"]["macro_f1"] < high
    assert width["together"] == pytest.approx(width["alone"], rel=0.1)  # copies within an article tell nothing new
    assert width["apart"] == pytest.approx(width["alone"] / 2, rel=0.15)


def test_interval_and_p_value_of_a_known_sample():
    assert interval(np.arange(1001) / 1000) == pytest.approx([0.025, 0.975])
    assert two_sided_p(np.array([0.1] * 999 + [-0.1])) == pytest.approx(2 * 2 / 1001)
    assert two_sided_p(np.zeros(100)) == 1.0


def test_mcnemar_counts_where_only_one_is_right():
    ours = np.array([True] * 12 + [False] * 3 + [True] * 50)
    theirs = np.array([False] * 12 + [True] * 3 + [True] * 50)
    assert mcnemar_p(ours, theirs) == pytest.approx(binomtest(3, 15).pvalue)
    assert mcnemar_p(ours, ours) == 1.0


def test_holm_multiplies_the_smallest_most_and_never_sinks():
    assert holm([0.04, 0.01, 0.03]) == pytest.approx([0.06, 0.03, 0.06])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


def test_no_row_of_a_task_leaves_it_out(schema):
    gold, predicted = random_split(5, 5, seed=0)
    bare = [g | {"events": [], "stances": []} for g in gold]
    answers = [SpanPrediction("", 0, 0, p.events, ()) for p in predicted]
    names = resampled_scores(decide(bare, answers, schema), article_numbers(bare), np.ones((1, 5)))
    assert {name.split(".")[0] for name in names} == {EVENTS, "modality"}
    assert "modality.macro_f1" not in names
