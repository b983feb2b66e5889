import evaluate
import numpy as np
import pytest

from rasd.modeling import EventPrediction, SpanPrediction, StancePrediction
from train.metrics import MultiLabelScores, ReliabilityScores, SingleLabelScores
from train.scores import score_spans, selection_scores

TYPES = ("offensive", "reinforcement", "failed_negotiation", "civilian_corridor")


def gold(article, events, stances=()):
    rows = [{"actor": None, "surface": "x", "start": 0, "end": 1, "stance": stance} for stance in stances]
    return {"article_id": article, "events": [{"type": t, "modality": m} for t, m in events.items()], "stances": rows}


def prediction(events, stances=()):
    told = tuple(EventPrediction(t, *events.get(t, (0.1, "actual")), 1.0) for t in TYPES)
    return SpanPrediction("", 0, 0, told, tuple(StancePrediction(None, "x", 0, 1, s, 1.0) for s in stances))


GOLD = [
    gold("a", {"offensive": "actual", "reinforcement": "negated"}, ["hostile"]),
    gold("a", {"offensive": "prospective"}, ["neutral", "supportive"]),
    gold("b", {}),
]
PREDICTED = [
    prediction({"offensive": (0.9, "actual"), "reinforcement": (0.4, "negated")}, ["hostile"]),
    prediction({"offensive": (0.5, "actual")}, ["neutral", "hostile"]),
    prediction({"offensive": (0.6, "actual")}),
]


def test_event_scores(schema):
    events = score_spans(GOLD, PREDICTED, schema)["events"]
    offensive = events["per_class"]["offensive"]
    assert (offensive["precision"], offensive["recall"], offensive["f1"], offensive["support"]) == (2 / 3, 1.0, 0.8, 2)
    assert offensive["auprc"] == pytest.approx(1 / 2 + 1 / 2 * 2 / 3)  # ranked: right, wrong, right
    assert events["per_class"]["reinforcement"]["f1"] == 0.0
    assert events["per_class"]["reinforcement"]["auprc"] == 1.0
    assert events["per_class"]["civilian_corridor"]["auprc"] is None
    assert events["macro_f1"] == pytest.approx(0.2)
    assert events["micro_f1"] == pytest.approx(2 * 2 / (2 * 2 + 1 + 1))
    assert events["exact_match"] == pytest.approx(1 / 3)


def test_modality_scores_on_gold_events_and_end_to_end(schema):
    modality = score_spans(GOLD, PREDICTED, schema)["modality"]
    assert modality["accuracy"] == pytest.approx(2 / 3)
    assert modality["per_class"]["actual"]["f1"] == pytest.approx(2 / 3)
    assert modality["per_class"]["negated"]["f1"] == 1.0
    assert modality["macro_f1"] == pytest.approx((2 / 3 + 1 + 0) / 3)
    end_to_end = modality["end_to_end"]["per_class"]
    assert end_to_end["offensive:actual"]["precision"] == pytest.approx(1 / 3)
    assert end_to_end["offensive:prospective"]["recall"] == 0.0
    assert end_to_end["reinforcement:negated"]["recall"] == 0.0


def test_stance_scores(schema):
    scores = score_spans(GOLD, PREDICTED, schema)
    stance = scores["stance"]
    assert [stance["per_class"][name]["f1"] for name in ("hostile", "neutral", "supportive")] == pytest.approx(
        [2 / 3, 1, 0]
    )
    assert stance["macro_f1"] == pytest.approx(5 / 9)
    assert stance["polar_f1"] == pytest.approx(1 / 3)
    assert (scores["spans"], scores["articles"]) == (3, 2)


def test_mismatched_predictions_are_refused(schema):
    with pytest.raises(ValueError, match="3 gold spans but 2"):
        score_spans(GOLD, PREDICTED[:2], schema)
    with pytest.raises(ValueError, match="3 gold stances but 0"):
        score_spans(GOLD, [prediction({})] * 3, schema)


def test_metrics_are_evaluate_metrics_that_need_no_network():
    metric = SingleLabelScores(labels=("a", "b"))
    assert isinstance(metric, evaluate.Metric)
    metric.add_batch(predictions=[0, 1], references=[0, 0])
    metric.add(prediction=1, reference=1)
    scores = metric.compute()
    assert scores["accuracy"] == pytest.approx(2 / 3)
    assert scores["per_class"]["a"]["recall"] == 0.5
    assert MultiLabelScores(labels=("a", "b")).compute(predictions=[[0.9, 0.2]], references=[[1, 1]])["macro_f1"] == 0.5
    combined = evaluate.combine([SingleLabelScores(labels=("a", "b"))])
    assert combined.compute(predictions=[0], references=[0])["accuracy"] == 1.0


def test_selection_watches_events_of_spans_alone_and_stance(schema):
    targets = np.full((3, 19), -100.0, dtype=np.float32)
    logits = np.full((3, 19), -9.0, dtype=np.float32)
    targets[0, :4] = targets[1, :4] = targets[2, :4] = [1, 0, 0, 0]
    logits[0, 0] = 9.0  # right on the span alone; wrong on the two with an actor, which do not count for events
    stance = schema.place("stance")
    targets[1, stance], targets[2, stance] = [1, 0, 0], [0, 1, 0]
    logits[1:, stance] = [9, 0, 0]
    scores = selection_scores(logits, targets, schema)
    assert scores["event_macro_f1"] == pytest.approx(0.25)
    assert scores["stance_macro_f1"] == pytest.approx((2 / 3) / 3)
    assert scores["score"] == pytest.approx((0.25 + 2 / 9) / 2)


def test_reliability_against_counts_by_hand():
    probabilities = [0.1] * 10 + [0.9] * 10
    held = [0] * 9 + [1] + [1] * 5 + [0] * 5
    scores = ReliabilityScores(threshold=0.5).compute(predictions=probabilities, references=held)
    assert scores["brier"] == pytest.approx((9 * 0.01 + 0.81 + 5 * 0.01 + 5 * 0.81) / 20)
    assert sum(part["count"] for part in scores["bins"]) == 20
    assert scores["coverage_risk"][-1] == {"coverage": 1.0, "risk": pytest.approx(6 / 20)}
    assert ReliabilityScores().compute(predictions=[1.0] * 30, references=[1] * 15 + [0] * 15)["ece"] == pytest.approx(
        0.5, abs=0.01
    )
    certain = ReliabilityScores(threshold=0.5).compute(predictions=[0.0, 1.0] * 30, references=[0, 1] * 30)
    assert (certain["ece"], certain["brier"], certain["coverage_risk"][0]["risk"]) == (0.0, 0.0, 0.0)


def test_coverage_keeps_the_surest_first():
    def risks(metric, predictions, references):
        scores = metric.compute(predictions=predictions, references=references)
        return {row["coverage"]: row["risk"] for row in scores["coverage_risk"]}

    yes_or_no = risks(ReliabilityScores(threshold=0.5), [0.99, 0.01] * 5 + [0.6] * 10, [1, 0] * 5 + [0] * 10)
    assert (yes_or_no[0.5], yes_or_no[1.0]) == (0.0, 0.5)
    # from 0.2 on: 0.21 and 0.3 are told, and both wrong; 0.02 is as far on its side as 0.92 on the other
    low = risks(ReliabilityScores(threshold=0.2), [0.92, 0.02, 0.3, 0.21], [1, 0, 0, 0])
    assert (low[0.5], low[0.75], low[1.0]) == (0.0, pytest.approx(1 / 3), 0.5)
    # the chosen one of three classes: below 0.5 it may still be right
    chosen = risks(ReliabilityScores(), [0.9, 0.4, 0.4, 0.35], [1, 1, 0, 1])
    assert (chosen[0.25], chosen[0.5], chosen[1.0]) == (0.0, 0.0, 0.25)


@pytest.mark.parametrize("name", ["multi_label", "single_label", "reliability"])
def test_metrics_load_by_path(name):
    metric = evaluate.load(f"train/metrics/{name}.py", labels=("a", "b"))
    rows = {"multi_label": ([[0.9, 0.1]], [[1, 0]]), "single_label": ([0, 1], [0, 1]), "reliability": ([0.9], [1])}
    scores = metric.compute(predictions=rows[name][0], references=rows[name][1])
    assert scores.get("macro_f1", scores.get("brier")) == pytest.approx(
        {"multi_label": 0.5, "single_label": 1.0}.get(name, 0.01)
    )
