"""Checkpoints in 8 bits, for ONNX Runtime and for OpenVINO, written only where the decisions hold.

`rasd export MODEL --int8` writes `model.int8.onnx`, `--openvino-int8` writes `model.openvino-int8.onnx`, beside the
`model.onnx` that both are made from. Each carries the margins below which its runtime has passes read again.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

import numpy as np

from rasd.close_calls import decision_margins, find_close_calls
from rasd.inference import Classifier
from rasd.modeling import FloatArray, SpanPrediction
from rasd.onnx_export import check_packages
from rasd.parity import EQUAL_SHARE, F1_LOSS, Parity, ParityError, Span, compare, predict_labelled
from rasd.passes import Pair
from rasd.quantisation import quantise, quantise_for_openvino, store_margins
from rasd.runtimes import INT8_FILES, ONNX_FILE, check_runtime, load_int8

Int8Runtime = Literal["onnx-int8", "openvino-int8"]
WRITERS: dict[Int8Runtime, Callable[[Path, Path], int]] = {
    "onnx-int8": quantise,
    "openvino-int8": quantise_for_openvino,
}
COVERED = 0.98  # of the changes that 8 bits make to margins are smaller than the margin below which is read again
AGAIN = 1 / 3  # of the passes at most: beyond that 8 bits gain nothing


@dataclass(frozen=True)
class Rounded:
    """A written file in 8 bits: how it decides, and which share of the labelled passes it had read again."""

    path: Path
    parity: Parity
    again: float


@dataclass
class Reference:
    """A checkpoint in PyTorch and labelled spans; its answers are computed when they are first wanted, and once."""

    folder: Path
    spans: Sequence[Span]
    progress: bool = False

    @cached_property
    def classifier(self) -> Classifier:
        """The checkpoint as it was trained."""
        return Classifier.from_pretrained(self.folder, runtime="torch", device="cpu")

    @cached_property
    def pairs(self) -> list[Pair]:
        """The spans alone, and with each actor that has a label."""
        actors = [(span["text"], stance["surface"]) for span in self.spans for stance in span["stances"]]
        return [*((span["text"], None) for span in self.spans), *actors]

    @cached_property
    def logits(self) -> FloatArray:
        """Of the pairs, shape (pairs, labels)."""
        return self.classifier.logits(self.pairs, progress=self.progress)

    @cached_property
    def predictions(self) -> list[SpanPrediction]:
        """Of the spans."""
        return predict_labelled(self.classifier, self.spans, progress=self.progress)


def export_int8(reference: Reference, runtime: Int8Runtime) -> Rounded:
    """Write a runtime's file in 8 bits if it then decides as PyTorch does on labelled spans.

    Raises ParityError with the measured numbers where it does not, or where too much would be read again; nothing is
    then written. The margins are measured on the spans without their labels.
    """
    check_packages()
    check_runtime(runtime)
    folder = reference.folder
    if not (folder / ONNX_FILE).is_file():
        raise FileNotFoundError(f"{folder / ONNX_FILE} does not exist; make it with: rasd export {folder}")
    original = reference.classifier
    with TemporaryDirectory(prefix=".export-", dir=folder) as place:
        path = Path(place) / INT8_FILES[runtime]
        (Path(place) / "config.json").write_bytes((folder / "config.json").read_bytes())
        again = _write_int8(path, runtime, reference)
        refused, advice = f"{folder}: {path.name} is not written", f"use --runtime {runtime.split('-')[0]}"
        if again > AGAIN:
            raise ParityError(f"{refused}: {again:.0%} of the passes would be read again in more bits; {advice}")
        classifier = Classifier(load_int8(runtime, path, folder / ONNX_FILE), original.tokenizer, original.lexicon)
        predictions = predict_labelled(classifier, reference.spans, progress=reference.progress)
        parity = compare(reference.predictions, predictions, reference.spans, original.schema)
        if not parity.holds:
            raise ParityError(
                f"{refused}: in 8 bits the decisions change too much ({parity}); wanted are {EQUAL_SHARE:.1%} equal "
                f"and at most {F1_LOSS} less macro-F1; {advice}"
            )
        path.replace(folder / path.name)
    return Rounded(folder / path.name, parity, again)


def _write_int8(path: Path, runtime: Int8Runtime, reference: Reference) -> float:
    """Write the graph in 8 bits with the margins that its changes show; no decisions are compared.

    Where all pairs are of one kind, the other has its margin too. Returns the share of them that will be read again.
    `path` is in a folder with the checkpoint's configuration.
    """
    WRITERS[runtime](reference.folder / ONNX_FILE, path)
    original, pairs = reference.classifier, reference.pairs
    about = [actor is not None for _, actor in pairs]
    rounded = Classifier(load_int8(runtime, path), original.tokenizer)
    logits = rounded.logits(pairs, progress=reference.progress)
    before, after = (decision_margins(found, about, original.schema) for found in (reference.logits, logits))
    changes = np.abs(after - before)
    kinds = (changes[np.array(about) == kind] for kind in (False, True))
    alone, about_actor = (float(np.quantile(own if own.size else changes, COVERED)) for own in kinds)
    store_margins(path, (alone, about_actor))
    return float(find_close_calls(logits, about, original.schema, (alone, about_actor)).mean())
