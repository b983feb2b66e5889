import json
import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from train.evaluate import app, evaluate_run
from train.runs import RunError, RunFolder
from train.scores import score_spans


@pytest.fixture(scope="module")
def scores(small_run):
    return evaluate_run(small_run, "test")


def test_checkpoint_and_baselines_are_scored_and_stored(small_run, scores):
    assert list(scores) == ["checkpoint", "majority", "keywords", "tf-idf", "frozen encoder"]
    assert json.loads(small_run.metrics_file.read_text())["test"] == json.loads(json.dumps(scores))
    assert scores["checkpoint"]["spans"] == 24
    assert scores["majority"]["events"]["micro_f1"] <= scores["keywords"]["events"]["micro_f1"]
    own = scores["checkpoint"]
    assert set(own["calibration"]) == {"events", "modality", "stance"}
    assert {row["system"] for row in own["significance"]} == set(scores) - {"checkpoint"}
    assert own["probes"]["orthographic_noise"]["cases"] > 0
    low, high = own["intervals"]["events.macro_f1"]
    assert low <= own["events"]["macro_f1"] <= high
    assert sum(part["spans"] for part in own["slices"]["outlet"].values()) == 24
    assert "calibration" not in scores["tf-idf"]


def test_the_report_holds_every_scored_span(small_run, scores, spans):
    page = (small_run.path / "report.html").read_text(encoding="utf-8")
    assert all(span["id"] in page for span in [span for span in spans if span["split"] == "test"][:24])
    evaluate_run(small_run, "validation", with_baselines=False, with_probes=False)
    assert (small_run.path / "report-validation.html").is_file()


def test_slices_are_scored_on_their_own_rows(small_run, scores, classifier, schema, spans):
    gold = [span for span in spans if span["split"] == "test"][:24]
    outlet = gold[0]["outlet"]
    part = [span for span in gold if span["outlet"] == outlet]
    surfaces = [[row["surface"] for row in span["stances"]] for span in part]
    predictions = classifier.predict([span["text"] for span in part], actors=surfaces, all_events=True)
    alone = score_spans(part, predictions, schema)
    found = scores["checkpoint"]["slices"]["outlet"][outlet]
    assert found["event_exact_match"] == pytest.approx(alone["events"]["exact_match"])
    assert found["stance_accuracy"] == pytest.approx(alone["stance"]["accuracy"])


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
    assert [sum(row["split"] == split for row in rows) for split in ("test", "validation")] == [5 * 24, 24]
    row = rows[0]
    assert set(json.loads(row["gold"])) == set(json.loads(row["predicted"])) == {"events", "stances"}
    assert len(json.loads(row["predicted"])["events"]) == 4
    assert set(json.loads(small_run.metrics_file.read_text())) == {"test", "validation"}


def test_command_prints_the_classes(small_run):
    result = CliRunner().invoke(app, [str(small_run.path), "--split", "test", "--no-baselines"])
    assert result.exit_code == 0, result.output
    assert "checkpoint, by class (24 spans" in result.stdout
    assert "…" not in result.stdout, "a table is cut short at 80 characters"


def test_other_files_are_scored_under_their_own_name(small_run, tmp_path, scores):
    path = tmp_path / "more.jsonl"
    lines = Path(small_run.config().data.test[0]).read_text(encoding="utf-8").splitlines()[:5]
    path.write_text("\n".join(lines), encoding="utf-8")
    result = CliRunner().invoke(app, [str(small_run.path), "--no-baselines", "--data", str(path)])
    assert result.exit_code == 0, result.output
    metrics = json.loads(small_run.metrics_file.read_text())
    assert metrics[f"test: {path}"]["checkpoint"]["spans"] == 5
    assert metrics["test"]["checkpoint"]["spans"] == 24


def test_changed_data_is_not_scored(small_run):
    path = Path(small_run.config().data.test[0])
    before = path.read_text(encoding="utf-8")
    try:
        path.write_text(before.split("\n", 1)[1], encoding="utf-8")
        with pytest.raises(RunError, match=r"changed since the run .*test\.jsonl"):
            evaluate_run(small_run, "test")
    finally:
        path.write_text(before, encoding="utf-8")


def test_baselines_are_not_trained_on_other_spans_than_the_checkpoint(small_run, tmp_path):
    shutil.copytree(small_run.path, tmp_path / "run", ignore=shutil.ignore_patterns("checkpoints"))
    run = RunFolder(tmp_path / "run")
    info = run.read_info()
    info["counts"]["train"]["annotated"] = 7
    run.info_file.write_text(json.dumps(info), encoding="utf-8")
    with pytest.raises(RunError, match="train split has 0 annotated spans here, the run had 7: give --corpora"):
        evaluate_run(run, "test")


def test_an_unfinished_run_is_refused(tmp_path):
    with pytest.raises(RunError, match="holds no finished run"):
        RunFolder.open(tmp_path)
    result = CliRunner().invoke(app, [str(tmp_path)])
    assert result.exit_code == 2
    assert "python -m train" in result.stderr
