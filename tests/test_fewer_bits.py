"""Checkpoints in 8 bits: written where the decisions hold; close calls are read again in more bits."""

import json
import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper
from transformers import AutoModelForSequenceClassification
from typer.testing import CliRunner

from rasd import Classifier, LabelSchema
from rasd.cli import app
from rasd.close_calls import decision_margins
from rasd.corpus_job import JobError, checkpoint_revision
from rasd.fewer_bits import WRITERS, Reference, export_int8
from rasd.onnx_export import export_onnx
from rasd.parity import Parity, ParityError, read_labelled_spans
from rasd.quantisation import store_margins
from rasd.runtimes import INT8_FILES, load_int8, load_runtime
from rasd.standoff import span_hash

SPANS = ["قصفت ميليشيا أسد الطائفية أحياء البلدة بالمدفعية فجر اليوم.", "وصلت المحادثات إلى طريق مسدود."]
ROWS = Path("data/authored/validation.jsonl").read_text(encoding="utf-8").splitlines()
LABELLED = [json.loads(row) for row in ROWS[:40]]
PAIRS = [(span["text"], None) for span in LABELLED]
PAIRS += [(span["text"], stance["surface"]) for span in LABELLED for stance in span["stances"]]
INT8 = list(INT8_FILES)


def changed_copy(folder, target, change):
    """Copy a checkpoint with its weights changed."""
    shutil.copytree(folder, target, ignore=shutil.ignore_patterns("*.onnx"))
    model = AutoModelForSequenceClassification.from_pretrained(folder)
    with torch.no_grad():
        change(model)
    model.save_pretrained(target)
    return target


@pytest.fixture(scope="module")
def exported(small_run, tmp_path_factory):
    """The small run's checkpoint with its fused graph; since it learnt little, its biases make most decisions clear."""

    def decide(model):
        """Tell the first event, the first label of each other group, and leave the spans their differences."""
        schema = LabelSchema.from_config(model.config)
        model.classifier.weight[schema.place("stance")] *= 0.1
        for _, place in schema.slices():
            model.classifier.bias[place] -= 1
            model.classifier.bias[place.start] += 3

    folder = tmp_path_factory.mktemp("exported") / "model"
    changed_copy(small_run.model, folder, decide)
    export_onnx(folder)
    return folder


def test_margins_are_those_of_the_decisions_that_a_pass_makes():
    schema = LabelSchema.from_yaml("configs/labels/conflict.yaml")
    events = schema.group("event")
    logits = np.zeros((4, len(schema.label_names())), dtype=np.float32)
    cut = np.log(events.threshold / (1 - events.threshold))
    logits[:, schema.place("event")] = cut - 5
    logits[1, schema.place("event").start] = cut + 3  # told, its modality by 0.5
    logits[1, schema.place(f"modality.{events.labels[0]}")] = [1, 0.5, 0]
    logits[2, schema.place("event").start + 1] = cut - 0.25  # not told: its modality does not count
    logits[3, schema.place("stance")] = [0, 2, 1.25]
    assert decision_margins(logits, [False, False, False, True], schema) == pytest.approx([5, 0.5, 0.25, 0.75])


@pytest.mark.parametrize("runtime", INT8)
def test_close_calls_and_no_others_are_read_again(exported, classifier, runtime):
    path = exported / "rounded.onnx"
    WRITERS[runtime](exported / "model.onnx", path)
    rounded = Classifier(load_int8(runtime, path), classifier.tokenizer)
    assert (rounded.runtime.margins, rounded.runtime.second) == ((0, 0), None)
    before, exact = rounded.logits(PAIRS), Classifier.from_pretrained(exported, runtime="torch").logits(PAIRS)
    assert 1e-5 < np.abs(before - exact).mean() < 0.5
    about = np.array([actor is not None for _, actor in PAIRS])
    margins = decision_margins(before, about, classifier.schema)
    limits = tuple(round(float(np.median(margins[kind])), 4) for kind in (~about, about))
    store_margins(path, limits)
    twice = Classifier(load_int8(runtime, path, exported / "model.onnx"), classifier.tokenizer)
    assert twice.runtime.margins == limits
    asked = [*range(len(PAIRS)), *range(len(PAIRS))[::-7]]  # some of them twice
    after = twice.logits([PAIRS[i] for i in asked])
    again = (margins < np.where(about, limits[1], limits[0]))[asked]
    assert 0.3 < again.mean() < 0.7
    second = Classifier(twice.runtime.second, classifier.tokenizer).logits(PAIRS)
    assert np.abs(after - second[asked])[again].max() < 1e-2
    assert np.abs(after - before[asked])[~again].max() < 1e-2
    assert np.abs(second - before).max() > 3e-2


@pytest.mark.parametrize("runtime", INT8)
def test_eight_bits_are_written_where_the_decisions_hold(exported, tmp_path, runtime, capfd):
    folder = shutil.copytree(exported, tmp_path / "model")
    rounded = export_int8(Reference(folder, LABELLED, progress=True), runtime)
    assert capfd.readouterr().err.count("100%|") >= 4
    assert rounded.path == folder / INT8_FILES[runtime]
    assert rounded.parity.decisions["events"] == 4 * len(LABELLED)
    assert min(rounded.parity.equal.values()) >= 0.995
    assert 0 <= rounded.again < 0.3
    weights = {t.name: numpy_helper.to_array(t) for t in onnx.load(rounded.path).graph.initializer}
    assert sum(array.dtype in (np.int8, np.uint8) and array.ndim == 2 for array in weights.values()) >= 16
    for tensor in onnx.load(folder / "model.onnx").graph.initializer:
        if f"{tensor.name}_int8" in weights:
            values, scales = weights[f"{tensor.name}_int8"], weights[f"{tensor.name}_scale"]
            assert np.abs(values * scales - numpy_helper.to_array(tensor)).max() <= scales.max() / 2 * 1.001
    exact, loaded = (Classifier.from_pretrained(folder, runtime=name) for name in ("onnx", runtime))
    assert min(loaded.runtime.margins) > 1e-3
    assert np.abs(loaded.logits(PAIRS) - exact.logits(PAIRS)).max() > 1e-3
    revision = checkpoint_revision(folder, runtime)
    (folder / "model.onnx").write_bytes(b"another")
    assert checkpoint_revision(folder, runtime) != revision


@pytest.mark.parametrize("runtime", INT8)
def test_eight_bits_are_refused_where_the_decisions_change(small_run, tmp_path, monkeypatch, runtime):
    def lose_precision(model):
        """Scale one input channel of each product: all others vanish below its quantisation step."""
        for layer in model.bert.encoder.layer:
            layer.intermediate.dense.weight[:, 0] *= 300
            layer.output.dense.weight[:, 0] *= 300

    folder = changed_copy(small_run.model, tmp_path / "model", lose_precision)
    export_onnx(folder)
    before = sorted(path.name for path in folder.iterdir())
    with monkeypatch.context() as patch, pytest.raises(ParityError, match=r"not written: \d+% .* use --runtime \w+$"):
        patch.setattr("rasd.fewer_bits.AGAIN", 0)
        export_int8(Reference(folder, LABELLED), runtime)
    monkeypatch.setattr("rasd.fewer_bits.COVERED", 0)
    with pytest.raises(
        ParityError, match=r"equal decisions: events \d.*macro-F1: events \d\.\d+ → .* use --runtime \w+$"
    ):
        export_int8(Reference(folder, LABELLED), runtime)
    assert sorted(path.name for path in folder.iterdir()) == before


def test_spans_without_stances_set_the_margin_of_actors_too(exported, classifier, tmp_path):
    folder = shutil.copytree(exported, tmp_path / "model")
    export_int8(Reference(folder, [span | {"stances": []} for span in LABELLED]), "onnx-int8")
    alone, about_actor = load_runtime(folder, "onnx-int8").margins
    assert alone == about_actor > 0
    assert Classifier.from_pretrained(folder, runtime="onnx-int8").logits([]).shape == (0, 19)


def test_without_bf16_openvino_computes_the_rest_in_float32(exported, classifier, tmp_path, monkeypatch):
    folder = shutil.copytree(exported, tmp_path / "model")
    monkeypatch.setattr("rasd.runtimes.has_bf16", lambda device: False)
    export_int8(Reference(folder, LABELLED), "openvino-int8")
    runtime = load_runtime(folder, "openvino-int8")
    exact = Classifier.from_pretrained(folder, runtime="torch").logits(PAIRS)
    assert np.abs(Classifier(runtime.second, classifier.tokenizer).logits(PAIRS) - exact).max() < 1e-3


@pytest.mark.parametrize(
    ("equal", "macro_f1", "holds"),
    [
        ({"events": 0.995, "stance": 1.0}, {"events": (0.7, 0.695)}, True),
        ({"events": 1.0, "stance": 0.994}, {"events": (0.7, 0.7)}, False),
        ({"events": 1.0, "stance": 1.0}, {"events": (0.7, 0.7), "stance": (0.7, 0.694)}, False),
    ],
)
def test_what_parity_demands(equal, macro_f1, holds):
    assert Parity(dict.fromkeys(equal, 200), equal, macro_f1).holds == holds


def test_the_command_wants_validation_with_int8(exported, tmp_path):
    result = CliRunner().invoke(app, ["export", str(exported), "--int8"])
    assert (result.exit_code, "--validation" in result.stderr) == (2, True)
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"text": "x", "events": []}', encoding="utf-8")
    result = CliRunner().invoke(app, ["export", str(exported), "--int8", "--validation", str(rows)])
    assert result.exit_code == 2
    assert f"{rows}:1: stances is None; write a list" in result.stderr.replace("\n", "")


def test_stand_off_spans_are_joined(tmp_path):
    (tmp_path / "wire.jsonl").write_text(json.dumps({"article_id": "a", "text": f"x\n{SPANS[1]}"}), encoding="utf-8")
    row = {"corpus": "wire", "article_id": "a", "start": 2, "end": 2 + len(SPANS[1]), "sha256": span_hash(SPANS[1])}
    rows = tmp_path / "rows.jsonl"
    rows.write_text(json.dumps(row | {"events": [], "stances": []}), encoding="utf-8")
    (span,) = read_labelled_spans([rows], tmp_path)
    assert span["text"] == SPANS[1]
    with pytest.raises(ValueError, match=r"rows\.jsonl:1: .* --corpora"):
        read_labelled_spans([rows])


@pytest.mark.parametrize(
    ("missing", "message"),
    [
        ("model.int8.onnx", r"rasd export \S+ --int8 --validation FILE"),
        ("model.openvino-int8.onnx", r"rasd export \S+ --openvino-int8 --validation FILE"),
    ],
)
def test_a_missing_file_is_named(small_run, missing, message):
    (runtime,) = (name for name, file in INT8_FILES.items() if file == missing)
    with pytest.raises(FileNotFoundError, match=message):
        load_runtime(small_run.model, runtime)
    with pytest.raises(JobError, match=message):
        checkpoint_revision(small_run.model, runtime)
