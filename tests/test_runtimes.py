import importlib.util
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path
from threading import Barrier

import numpy as np
import onnx
import pytest
import torch
from transformers import (
    AutoConfig,
    AutoTokenizer,
    MPNetConfig,
    MPNetForSequenceClassification,
)

from rasd import Classifier
from rasd.onnx_export import ExportError, export_onnx
from rasd.runtimes import has_bf16, load_runtime

SPANS = ["قصفت ميليشيا أسد الطائفية أحياء البلدة بالمدفعية فجر اليوم.", "وصلت المحادثات إلى طريق مسدود."]
ROWS = Path("data/authored/validation.jsonl").read_text(encoding="utf-8").splitlines()
LABELLED = [json.loads(row) for row in ROWS[:40]]


@pytest.fixture(scope="module")
def exported(small_run, tmp_path_factory):
    """The small run's checkpoint with its fused graph."""
    folder = shutil.copytree(small_run.model, tmp_path_factory.mktemp("exported") / "model")
    assert export_onnx(folder).fused == 3
    return folder


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


FIRST_USE = """
import sys
from pathlib import Path
from threading import Thread
from rasd.runtimes import load_runtime

model = load_runtime(Path(sys.argv[1]), "openvino", threads=2).model
tensors = [model.create_infer_request().get_tensor("input_ids") for _ in range(2)]
number, begun = 1_000_000, False

def first():
    global begun
    begun = True
    3**number  # holds Python's lock so long that the other thread asks for it, and gets it inside of what follows
    tensors[0].data

def second():
    while not begun:
        pass
    tensors[1].data

threads = [Thread(target=work, daemon=True) for work in (second, first)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join(20)
sys.exit(any(thread.is_alive() for thread in threads))
"""


def test_two_threads_that_begin_together_do_not_wait_for_each_other(exported):
    finished = subprocess.run([sys.executable, "-c", FIRST_USE, str(exported)], timeout=120, check=False)
    assert finished.returncode == 0


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


def test_missing_files_and_packages_are_one_message(small_run, monkeypatch):
    with pytest.raises(FileNotFoundError, match=r"rasd export \S+$"):
        load_runtime(small_run.model, "onnx")
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
