import shutil

import numpy as np
import pytest

from rasd import Classifier
from rasd.runtimes import export_onnx, load_runtime

SPANS = ["قصفت ميليشيا أسد الطائفية أحياء البلدة بالمدفعية فجر اليوم.", "وصلت المحادثات إلى طريق مسدود."]


def test_onnx_gives_the_same_predictions(small_run, classifier, tmp_path):
    folder = shutil.copytree(small_run.model, tmp_path / "model")
    with pytest.raises(FileNotFoundError, match="rasd export"):
        load_runtime(folder, "onnx")
    assert export_onnx(folder) == folder / "model.onnx"
    assert not list(folder.glob(".model*"))
    exported = Classifier.from_pretrained(folder, runtime="onnx")
    pairs = [(SPANS[0], None), (SPANS[0], "ميليشيا أسد الطائفية"), (SPANS[1], None)]
    assert np.allclose(exported.logits(pairs), classifier.logits(pairs), atol=1e-4)
    assert exported.predict(SPANS)[0].stances[0].stance == classifier.predict(SPANS)[0].stances[0].stance


def test_torch_runtime_returns_float32_logits(small_run):
    runtime = load_runtime(small_run.model, "torch", device="cpu")
    inputs = {"input_ids": np.array([[0, 5, 2]]), "attention_mask": np.ones((1, 3), dtype=np.int64)}
    logits = runtime.logits(inputs)
    assert logits.shape == (1, 19)
    assert logits.dtype == np.float32
    assert np.isfinite(logits).all()
