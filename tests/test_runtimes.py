import importlib.util
import json
import shutil
import time
from pathlib import Path
from threading import Barrier

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper
from transformers import (
    AutoConfig,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    MPNetConfig,
    MPNetForSequenceClassification,
)
from typer.testing import CliRunner

from rasd import Classifier
from rasd.cli import app
from rasd.fewer_bits import export_int8
from rasd.onnx_export import ExportError, export_onnx
from rasd.parity import Parity, ParityError, read_labelled_spans
from rasd.runtimes import has_bf16, load_runtime
from rasd.standoff import span_hash

SPANS = ["قصفت ميليشيا أسد الطائفية أحياء البلدة بالمدفعية فجر اليوم.", "وصلت المحادثات إلى طريق مسدود."]
ROWS = Path("data/authored/validation.jsonl").read_text(encoding="utf-8").splitlines()
LABELLED = [json.loads(row) for row in ROWS[:40]]


@pytest.fixture(scope="module")
def exported(small_run, tmp_path_factory):
    """The small run's checkpoint with its fused graph."""
    folder = shutil.copytree(small_run.model, tmp_path_factory.mktemp("exported") / "model")
    assert export_onnx(folder).fused == 3
    return folder


def changed_copy(folder, target, change):
    """Copy a checkpoint with its weights changed."""
    shutil.copytree(folder, target, ignore=shutil.ignore_patterns("*.onnx"))
    model = AutoModelForSequenceClassification.from_pretrained(folder)
    with torch.no_grad():
        change(model)
    model.save_pretrained(target)
    return target


@pytest.mark.parametrize("runtime", ["onnx", "openvino"])
def test_fused_graph_gives_the_logits_of_pytorch(exported, classifier, runtime):
    texts = ["نص", *SPANS, " ".join(SPANS * 12), SPANS[0] * 3]
    pairs = [(text, None) for text in texts] + [(SPANS[0], "ميليشيا أسد الطائفية")]
    fused = Classifier.from_pretrained(exported, runtime=runtime)
    assert np.abs(fused.logits(pairs) - classifier.logits(pairs)).max() < 1e-4
    one_by_one = np.concatenate([fused.logits([pair]) for pair in pairs])
    assert np.abs(fused.logits(pairs) - one_by_one).max() < 1e-4


def test_every_layer_is_fused_and_the_last_asks_for_the_first_token(exported):
    nodes = onnx.load(exported / "model.onnx").graph.node
    operators = [node.op_type for node in nodes]
    counts = {name: operators.count(name) for name in ("MultiHeadAttention", "SkipLayerNormalization", "BiasGelu")}
    assert counts == {"MultiHeadAttention": 3, "SkipLayerNormalization": 6, "BiasGelu": 3}
    assert "Softmax" not in operators
    made = {output: node for node in nodes for output in node.output}
    inputs = [node.input for node in nodes if node.op_type == "MultiHeadAttention"]
    assert all(made[given].op_type == "Add" for own in inputs for given in own[:3])
    queries = [made[made[own[0]].input[0]] for own in inputs]
    assert [made[query.input[0]].op_type == "Slice" for query in queries] == [False, False, True]


@pytest.mark.parametrize("name", ["onnx", "openvino"])
def test_each_stream_reads_a_batch_of_its_own(exported, classifier, name, monkeypatch):
    runtime = load_runtime(exported, name, threads=2)
    runtime.batch_tokens, together, original = 1, Barrier(2, timeout=60), runtime.logits
    monkeypatch.setattr(runtime, "logits", lambda inputs: (together.wait(), original(inputs))[1])
    pairs = [(f"{SPANS[number % 2]} {number}", None) for number in range(6)]
    logits = Classifier(runtime, classifier.tokenizer).logits(pairs)
    assert np.abs(logits - classifier.logits(pairs)).max() < 1e-4


def test_a_batch_that_fails_ends_the_run(exported, classifier, monkeypatch):
    runtime = load_runtime(exported, "onnx", threads=2)
    begun = []

    def fail(inputs):
        begun.append(inputs)
        time.sleep(0.01)
        raise MemoryError("no room")

    runtime.batch_tokens = 1
    monkeypatch.setattr(runtime, "logits", fail)
    with pytest.raises(MemoryError, match="no room"):
        Classifier(runtime, classifier.tokenizer).logits([(f"نص {number}", None) for number in range(200)])
    assert len(begun) < 100


def test_predictions_of_the_fused_graph(exported, classifier):
    predicted = Classifier.from_pretrained(exported, runtime="onnx").predict(SPANS)
    assert predicted[0].stances[0].stance == classifier.predict(SPANS)[0].stances[0].stance


def test_an_architecture_without_fusions_is_written_as_it_is(small_run, tmp_path):
    torch.manual_seed(0)
    labels = AutoConfig.from_pretrained(small_run.model)
    sizes = {"hidden_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 96}
    config = MPNetConfig(vocab_size=labels.vocab_size, **sizes)  # adds relative positions inside its attention
    config.update({name: getattr(labels, name) for name in ("id2label", "label2id", "label_schema", "pad_token_id")})
    folder = tmp_path / "mpnet"
    MPNetForSequenceClassification(config).save_pretrained(folder)
    AutoTokenizer.from_pretrained(small_run.model).save_pretrained(folder)
    assert export_onnx(folder).fused == 0
    pairs = [(text, None) for text in (*SPANS, SPANS[0] * 5)]
    expected = Classifier.from_pretrained(folder, runtime="torch").logits(pairs)
    assert np.abs(Classifier.from_pretrained(folder, runtime="onnx").logits(pairs) - expected).max() < 1e-4


def test_eight_bits_are_written_where_the_decisions_hold(exported, classifier, tmp_path):
    folder = shutil.copytree(exported, tmp_path / "model")
    events = classifier.logits([(span["text"], None) for span in LABELLED])[:, :4]
    decided = [span for span, row in zip(LABELLED, events, strict=True) if np.abs(row).min() > 0.1]  # it learnt little
    assert len(decided) >= 10
    path, parity = export_int8(folder, decided)
    assert path == folder / "model.int8.onnx"
    assert parity.decisions["events"] == 4 * len(decided)
    assert min(parity.equal.values()) >= 0.995
    weights = {t.name: numpy_helper.to_array(t) for t in onnx.load(path).graph.initializer}
    assert sum(array.dtype in (np.int8, np.uint8) and array.ndim == 2 for array in weights.values()) >= 16
    pairs = [(span["text"], None) for span in LABELLED]
    exact = Classifier.from_pretrained(folder, runtime="onnx").logits(pairs)
    rounded = Classifier.from_pretrained(folder, runtime="onnx-int8").logits(pairs)
    assert 1e-5 < np.abs(rounded - exact)[:, :4].mean() < 0.1


def test_eight_bits_are_refused_where_the_decisions_change(small_run, tmp_path):
    def lose_precision(model):
        """Scale one input channel of each product: all others vanish below its quantisation step."""
        for layer in model.bert.encoder.layer:
            layer.intermediate.dense.weight[:, 0] *= 300
            layer.output.dense.weight[:, 0] *= 300

    folder = changed_copy(small_run.model, tmp_path / "model", lose_precision)
    export_onnx(folder)
    before = sorted(path.name for path in folder.iterdir())
    with pytest.raises(
        ParityError, match=r"equal decisions: events \d.*macro-F1: events \d\.\d+ → .* use --runtime onnx"
    ):
        export_int8(folder, LABELLED)
    assert sorted(path.name for path in folder.iterdir()) == before


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


def test_an_interrupted_export_leaves_nothing(exported, tmp_path):
    folder = shutil.copytree(exported, tmp_path / "model")
    (folder / "config.json").write_text("{}", encoding="utf-8")
    before = {path.name: path.stat().st_size for path in folder.iterdir()}
    with pytest.raises((OSError, ValueError)):
        export_onnx(folder)
    (folder / "model.onnx").unlink()
    (folder / "model.onnx").mkdir()
    (folder / "model.onnx/in_the_way").touch()
    shutil.copy(exported / "config.json", folder)
    with pytest.raises(OSError, match=r"model\.onnx"):
        export_onnx(folder)
    assert {path.name for path in folder.iterdir()} == set(before)


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


def test_missing_files_and_packages_are_one_message(small_run, monkeypatch):
    with pytest.raises(FileNotFoundError, match=r"rasd export \S+$"):
        load_runtime(small_run.model, "onnx")
    with pytest.raises(FileNotFoundError, match=r"rasd export .* --int8 --validation FILE"):
        load_runtime(small_run.model, "onnx-int8")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ExportError, match=r"needs onnx and onnxruntime: pip install 'rasd\[onnx\]'"):
        export_onnx(small_run.model)
    for runtime in ("onnx", "openvino"):
        with pytest.raises(RuntimeError, match=rf"pip install 'rasd\[{runtime}\]'"):
            load_runtime(small_run.model, runtime)


def test_torch_runtime_returns_float32_logits(small_run):
    runtime = load_runtime(small_run.model, "torch", device="cpu", threads=torch.get_num_threads())
    inputs = {"input_ids": np.array([[0, 5, 2]]), "attention_mask": np.ones((1, 3), dtype=np.int64)}
    logits = runtime.logits(inputs)
    assert logits.shape == (1, 19)
    assert logits.dtype == np.float32
    assert np.isfinite(logits).all()


@pytest.mark.parametrize("runtime", ["torch", "openvino"])
def test_bf16_is_computed_or_refused(exported, classifier, runtime):
    if not has_bf16(torch.device("cpu")):
        with pytest.raises(RuntimeError, match=f"this cpu has no bfloat16 arithmetic; use '{runtime}'"):
            load_runtime(exported, f"{runtime}-bf16", device="cpu")
        return
    rounded = Classifier.from_pretrained(exported, runtime=f"{runtime}-bf16", device="cpu")
    pairs = [(text, None) for text in SPANS]
    assert 0 < np.abs(rounded.logits(pairs) - classifier.logits(pairs)).max() < 0.2
