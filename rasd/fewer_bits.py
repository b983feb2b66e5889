"""Checkpoints in 8 bits, for ONNX Runtime and for OpenVINO, written only where the decisions hold.

`rasd export MODEL --int8` writes `model.int8.onnx`, `--openvino-int8` writes `model.openvino-int8.onnx`, beside the
`model.onnx` that both are made from. Each carries the margins below which its runtime has passes read again.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

import numpy as np

from rasd.close_calls import decision_margins, find_close_calls
from rasd.inference import Classifier
from rasd.onnx_export import check_packages
from rasd.parity import EQUAL_SHARE, F1_LOSS, Parity, ParityError, Span, compare
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


def export_int8(
    folder: Path, spans: Sequence[Span], runtime: Int8Runtime = "onnx-int8", *, progress: bool = False
) -> Rounded:
    """Write a runtime's file in 8 bits if it then decides as PyTorch does on labelled spans.

    Raises ParityError with the measured numbers where it does not, or where too much would be read again; nothing is
    then written. The margins are measured on the spans without their labels.
    """
    check_packages()
    check_runtime(runtime)
    if not (folder / ONNX_FILE).is_file():
        raise FileNotFoundError(f"{folder / ONNX_FILE} does not exist; make it with: rasd export {folder}")
    original = Classifier.from_pretrained(folder, runtime="torch", device="cpu")
    pairs: list[Pair] = [(span["text"], None) for span in spans]
    pairs += [(span["text"], stance["surface"]) for span in spans for stance in span["stances"]]
    with TemporaryDirectory(prefix=".export-", dir=folder) as place:
        path = Path(place) / INT8_FILES[runtime]
        (Path(place) / "config.json").write_bytes((folder / "config.json").read_bytes())
        again = write_int8(folder / ONNX_FILE, path, runtime, original, pairs, progress=progress)
        refused, advice = f"{folder}: {path.name} is not written", f"use --runtime {runtime.split('-')[0]}"
        if again > AGAIN:
            raise ParityError(f"{refused}: {again:.0%} of the passes would be read again in more bits; {advice}")
        classifier = Classifier(load_int8(runtime, path, folder / ONNX_FILE), original.tokenizer, original.lexicon)
        parity = compare(original, classifier, spans, progress=progress)
        if not parity.holds:
            raise ParityError(
                f"{refused}: in 8 bits the decisions change too much ({parity}); wanted are {EQUAL_SHARE:.1%} equal "
                f"and at most {F1_LOSS} less macro-F1; {advice}"
            )
        path.replace(folder / path.name)
    return Rounded(folder / path.name, parity, again)


def write_int8(
    source: Path,
    path: Path,
    runtime: Int8Runtime,
    original: Classifier,
    pairs: Sequence[Pair],
    *,
    progress: bool = False,
) -> float:
    """Write a graph in 8 bits with the margins that these pairs show; no decisions are compared.

    Where all are of one kind, the other has its margin too. Returns the share of the pairs that will be read again.
    `path` is in a folder with the checkpoint's configuration.
    """
    WRITERS[runtime](source, path)
    about = [actor is not None for _, actor in pairs]
    rounded = Classifier(load_int8(runtime, path), original.tokenizer)
    exact, logits = (classifier.logits(pairs, progress=progress) for classifier in (original, rounded))
    before, after = (decision_margins(found, about, original.schema) for found in (exact, logits))
    changes = np.abs(after - before)
    kinds = (changes[np.array(about) == kind] for kind in (False, True))
    alone, about_actor = (float(np.quantile(own if own.size else changes, COVERED)) for own in kinds)
    store_margins(path, (alone, about_actor))
    return float(find_close_calls(logits, about, original.schema, (alone, about_actor)).mean())
