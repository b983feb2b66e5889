import json

import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from train.evaluate import app, evaluate_run
from train.metrics import score_spans
from train.runs import RunError, RunFolder


@pytest.fixture(scope="module")
def scores(small_run):
    return evaluate_run(small_run, "test")


def test_checkpoint_and_baselines_are_scored_and_stored(small_run, scores):
    assert list(scores) == ["checkpoint", "majority", "keywords", "tf-idf + logreg"]
    assert json.loads(small_run.metrics_file.read_text())["test"] == json.loads(json.dumps(scores))
    assert scores["checkpoint"]["spans"] == 24
    for system in scores.values():
        assert 0 <= system["events"]["macro_f1"] <= 1


def test_the_checkpoint_is_scored_as_users_read_it(small_run, scores, classifier, schema, spans):
    gold = [span for span in spans if span["split"] == "test"][:24]
    surfaces = [[row["surface"] for row in span["stances"]] for span in gold]
    predictions = classifier.predict([span["text"] for span in gold], actors=surfaces, all_events=True)
    again = score_spans(gold, predictions, schema)
    assert again["events"] == scores["checkpoint"]["events"]
    assert again["stance"] == scores["checkpoint"]["stance"]


def test_predictions_keep_the_rows_of_other_splits(small_run, scores):
    evaluate_run(small_run, "validation", with_baselines=False)
    evaluate_run(small_run, "validation", with_baselines=False)
    rows = pq.read_table(small_run.predictions_file).to_pylist()
    assert [sum(row["split"] == split for row in rows) for split in ("test", "validation")] == [24, 24]
    row = rows[0]
    assert set(json.loads(row["gold"])) == set(json.loads(row["predicted"])) == {"events", "stances"}
    assert len(json.loads(row["predicted"])["events"]) == 4
    assert set(json.loads(small_run.metrics_file.read_text())) == {"test", "validation"}


def test_command_prints_both_tables(small_run):
    result = CliRunner().invoke(app, [str(small_run.path), "--split", "test", "--no-baselines"])
    assert result.exit_code == 0, result.output
    assert "checkpoint, by class (24 spans" in result.stdout


def test_an_unfinished_run_is_refused(tmp_path):
    with pytest.raises(RunError, match="holds no finished run"):
        RunFolder.open(tmp_path)
    result = CliRunner().invoke(app, [str(tmp_path)])
    assert result.exit_code == 2
    assert "python -m train" in result.stderr
