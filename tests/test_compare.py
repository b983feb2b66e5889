from dataclasses import replace

import pytest
from typer.testing import CliRunner

from rasd.modeling import EventPrediction, SpanPrediction
from train.compare import app, compare_runs, compare_systems
from train.evaluate import evaluate_run
from train.predictions import CHECKPOINT, read_predictions, write_predictions
from train.runs import RunError, RunFolder

TYPES = ("offensive", "reinforcement", "failed_negotiation", "civilian_corridor")


def span(number, told):
    events = [{"type": name, "modality": "actual"} for name in told]
    return {"id": str(number), "article_id": str(number), "events": events, "stances": []}


def answer(found):
    return SpanPrediction(
        "", 0, 0, tuple(EventPrediction(name, 0.9 if name in found else 0.1, "actual", 1.0) for name in TYPES), ()
    )


GOLD = [span(i, TYPES[i % 4 : i % 4 + 1] if i % 2 else TYPES[:2]) for i in range(80)]
RIGHT = [answer([event["type"] for event in row["events"]]) for row in GOLD]
HALF = [right if i % 3 else answer([]) for i, right in enumerate(RIGHT)]


def test_a_better_system_is_found_better_and_an_equal_one_is_not(schema):
    rows = {(r["system"], r["metric"]): r for r in compare_systems(GOLD, RIGHT, {"half": HALF, "same": RIGHT}, schema)}
    worse = rows["half", "events.macro_f1"]
    assert worse["difference"] > 0.1
    assert 0 < worse["interval"][0] < worse["difference"] < worse["interval"][1]
    assert worse["p"] == pytest.approx(2 / 2001)
    assert worse["p_holm"] == pytest.approx(2 * worse["p"])  # two comparisons
    assert worse["mcnemar_p"] == pytest.approx(2 * 0.5**27)  # 27 of 80 spans, all on one side
    same = rows["same", "events.macro_f1"]
    assert (same["difference"], same["interval"], same["p_holm"], same["mcnemar_p"]) == (0.0, [0.0, 0.0], 1.0, 1.0)
    assert ("half", "stance.macro_f1") not in rows  # no stance rows in gold


def test_every_system_is_decided_at_its_own_threshold(schema):
    low, lower = (schema.with_thresholds({"event": value}) for value in (0.1, 0.05))
    unsure = [
        SpanPrediction("", 0, 0, tuple(replace(e, probability=e.probability / 2) for e in r.events), ()) for r in RIGHT
    ]
    rows = compare_systems(GOLD, RIGHT, {"unsure": unsure, "plain": unsure}, schema, {"unsure": low})
    apart = {r["system"]: r["difference"] for r in rows if r["metric"] == "events.macro_f1"}
    assert apart["unsure"] == 0
    assert apart["plain"] > 0.5
    (same, *_) = compare_systems(GOLD, unsure, {"other": RIGHT}, lower)
    assert same["difference"] < -0.2  # at 0.05 every event is told; the other system keeps 0.5


def test_predictions_survive_the_file_and_other_splits_stay(tmp_path):
    path = tmp_path / "predictions.parquet"
    write_predictions(path, "test", GOLD[:2], {CHECKPOINT: RIGHT[:2], "half": HALF[:2]})
    write_predictions(path, "validation", GOLD[2:4], {CHECKPOINT: RIGHT[2:4]})
    write_predictions(path, "validation", GOLD[3:5], {CHECKPOINT: RIGHT[3:5]})
    gold, systems = read_predictions(path, "test")
    assert gold == GOLD[:2]
    assert systems == {CHECKPOINT: RIGHT[:2], "half": HALF[:2]}
    assert read_predictions(path, "validation")[0] == GOLD[3:5]
    assert read_predictions(path, "train") == ([], {})


def test_command_compares_a_run_with_its_baselines_and_with_others(small_run, small_config, tmp_path):
    evaluate_run(small_run, "test", with_probes=False)
    rows = compare_runs([small_run, small_run], "test")
    names = {"majority", "keywords", "tf-idf", "frozen encoder", str(small_run.path)}
    assert {row["system"] for row in rows} == names
    for row in rows:
        if row["system"] == str(small_run.path):
            assert row["difference"] == 0
    result = CliRunner().invoke(app, [str(small_run.path), "--split", "test"])
    assert result.exit_code == 0
    assert "frozen encoder" in result.stdout
    with pytest.raises(RunError, match="no predictions of split 'nowhere'"):
        compare_runs([small_run], "nowhere")
    assert CliRunner().invoke(app, [str(tmp_path)]).exit_code == 2


def test_runs_that_were_scored_on_other_spans_are_not_compared(small_run, tmp_path):
    evaluate_run(small_run, "test", with_baselines=False, with_probes=False)
    gold, systems = read_predictions(small_run.predictions_file, "test")
    other = RunFolder(tmp_path / "other")
    other.model.mkdir(parents=True)
    write_predictions(other.predictions_file, "test", gold[1:], {CHECKPOINT: systems[CHECKPOINT][1:]})
    with pytest.raises(RunError, match="scored on other spans"):
        compare_runs([small_run, other], "test")
