import json
import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper

from rasd import Classifier
from rasd.fewer_bits import export_mixed
from rasd.mixed_precision import NOISE, choose_products, list_products, list_rounded, measure_changes, quantise_products
from rasd.onnx_export import export_onnx
from rasd.parity import Parity, ParityError
from rasd.runtimes import OpenVinoRuntime, has_bf16, load_runtime

ROWS = Path("data/authored/validation.jsonl").read_text(encoding="utf-8").splitlines()
LABELLED = [json.loads(row) for row in ROWS[:40]]
PAIRS = [(span["text"], None) for span in LABELLED[:12]]
needs_bf16 = pytest.mark.skipif(not has_bf16(torch.device("cpu")), reason="this CPU does not compute in bfloat16")


@pytest.fixture(scope="module")
def exported(small_run, tmp_path_factory):
    """The small run's checkpoint with its fused graph."""
    folder = shutil.copytree(small_run.model, tmp_path_factory.mktemp("mixed") / "model")
    export_onnx(folder)
    return folder


def test_products_come_in_the_order_of_change_for_each_multiplication():
    sizes = {"small": 100, "large": 400, "costly": 100, "free": 100}
    changes = {"small": 0.03, "large": 0.04, "costly": 0.2, "free": 0.0}
    assert choose_products(sizes, changes, 0.05) == ["free", "large", "small"]
    assert choose_products(sizes, changes, 0.049) == ["free", "large"]  # 0.03² + 0.04² = 0.05²
    assert choose_products(sizes, changes, 0.0) == ["free"]


def test_only_the_named_matrices_are_rounded(exported, tmp_path):
    sizes = list_products(exported / "model.onnx")
    assert len(sizes) == 3 * 6
    named = [name for name in sizes if "intermediate" in name][:2]
    quantise_products(exported / "model.onnx", tmp_path / "some.onnx", named)
    assert list_rounded(tmp_path / "some.onnx") == named
    before, after = (
        {tensor.name: numpy_helper.to_array(tensor) for tensor in onnx.load(path).graph.initializer}
        for path in (exported / "model.onnx", tmp_path / "some.onnx")
    )
    gone = [name for name in before if name not in after]
    assert len(gone) == 2
    for name in gone:
        values, scales = after[f"{name}_int8"], after[f"{name}_scale"]
        assert (values.dtype, scales.shape) == (np.int8, (before[name].shape[1],))
        assert np.abs(values * scales - before[name]).max() <= scales.max() / 2 * 1.001
    with pytest.raises(ValueError, match="no product with a constant matrix is named nowhere"):
        quantise_products(exported / "model.onnx", tmp_path / "none.onnx", ["nowhere"])
    assert not (tmp_path / "none.onnx").exists()


def test_changes_of_single_products_foretell_those_of_many(exported, classifier, tmp_path):
    source, target = exported / "model.onnx", tmp_path / "some.onnx"
    (tmp_path / "config.json").write_bytes((exported / "config.json").read_bytes())
    exact = openvino_logits(source, classifier)
    changes, budget = measure_changes(source, tmp_path, classifier, PAIRS)
    assert budget == pytest.approx(NOISE * exact.std(axis=0).mean())
    assert changes.keys() == list_products(source).keys()
    half = choose_products(list_products(source), changes, np.sqrt(sum(c**2 for c in changes.values()) / 2))
    for names in (half, list(changes)):
        quantise_products(source, target, names)
        change = np.sqrt(((openvino_logits(target, classifier) - exact) ** 2).mean())
        assert 0.5 < change / np.sqrt(sum(changes[name] ** 2 for name in names)) < 2
    assert 0 < len(half) < len(changes)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["config.json", "some.onnx"]


def openvino_logits(path, classifier):
    """Return OpenVINO's logits of PAIRS, with a fresh model."""
    return Classifier(OpenVinoRuntime(path), classifier.tokenizer).logits(PAIRS)


@needs_bf16
def test_the_mixed_file_is_written_and_read(exported, classifier, tmp_path):
    folder = shutil.copytree(exported, tmp_path / "model")
    events = classifier.logits([(span["text"], None) for span in LABELLED])[:, :4]
    decided = [span for span, row in zip(LABELLED, events, strict=True) if np.abs(row).min() > 0.1]  # it learnt little
    path, parity = export_mixed(folder, decided)
    assert path == folder / "model.mixed.onnx"
    assert min(parity.equal.values()) >= 0.995
    assert list_rounded(path)
    mixed = Classifier.from_pretrained(folder, runtime="openvino-mixed").logits(PAIRS)
    assert 1e-5 < np.abs(mixed - classifier.logits(PAIRS))[:, :4].mean() < 0.1


@needs_bf16
def test_fewer_products_are_tried_until_the_decisions_hold(exported, tmp_path, monkeypatch):
    folder = shutil.copytree(exported, tmp_path / "model")
    names = list(list_products(folder / "model.onnx"))
    powers = dict.fromkeys(names, 10_000) | dict(zip(names[:4], (1, 2, 4, 8), strict=True))
    measured = {name: power**0.5 for name, power in powers.items()}, 15.5**0.5
    tried = []

    def compare(original, quantised, spans):
        tried.append(list_rounded(next(folder.glob(".export-*/model.mixed.onnx"))))
        return Parity({"events": 200}, {"events": 1.0 if len(tried) == 3 else 0.99}, {})

    monkeypatch.setattr("rasd.fewer_bits.measure_changes", lambda *given, **options: measured)
    monkeypatch.setattr("rasd.fewer_bits.compare", compare)
    export_mixed(folder, LABELLED)
    assert [len(part) for part in tried] == [4, 3, 2]
    assert list_rounded(folder / "model.mixed.onnx") == tried[-1]


@needs_bf16
def test_nothing_is_left_where_no_choice_holds(exported, tmp_path, monkeypatch):
    folder = shutil.copytree(exported, tmp_path / "model")
    before = sorted(path.name for path in folder.iterdir())
    changes = dict.fromkeys(list_products(folder / "model.onnx"), 0.0)
    monkeypatch.setattr("rasd.fewer_bits.measure_changes", lambda *given, **options: (changes, 1.0))

    def lose_all(matrix):
        """Round a matrix to nothing."""
        return np.zeros(matrix.shape, dtype=np.int8), np.ones(matrix.shape[1], dtype=np.float32)

    monkeypatch.setattr("rasd.mixed_precision.quantise_weight", lose_all)
    with pytest.raises(ParityError, match=r"model\.mixed\.onnx is not written \(equal decisions: events \d"):
        export_mixed(folder, LABELLED)
    assert sorted(path.name for path in folder.iterdir()) == before


def test_a_machine_without_bf16_is_told(exported, monkeypatch):
    monkeypatch.setattr("rasd.runtimes.has_bf16", lambda device: False)
    for begin in (lambda: export_mixed(exported, LABELLED), lambda: load_runtime(exported, "openvino-mixed")):
        with pytest.raises(RuntimeError, match="'openvino-mixed': this cpu has no bfloat16 arithmetic; use 'openvino'"):
            begin()


def test_a_missing_mixed_file_is_named(exported, monkeypatch):
    monkeypatch.setattr("rasd.runtimes.has_bf16", lambda device: True)
    with pytest.raises(FileNotFoundError, match=r"rasd export .* --mixed --validation FILE"):
        load_runtime(exported, "openvino-mixed")
