"""Checkpoints in fewer bits, for ONNX Runtime and for OpenVINO, written only where the decisions hold.

`rasd export MODEL --int8` writes `model.int8.onnx` (`rasd.quantisation`), `--mixed` writes `model.mixed.onnx`
(`rasd.mixed_precision`), beside the `model.onnx` that both are made from.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from rasd.inference import Classifier
from rasd.mixed_precision import choose_products, list_products, measure_changes, quantise_products
from rasd.onnx_export import check_packages
from rasd.parity import EQUAL_SHARE, F1_LOSS, Parity, ParityError, Span, compare
from rasd.passes import Pair
from rasd.quantisation import quantise
from rasd.runtimes import INT8_FILE, MIXED_FILE, ONNX_FILE, OnnxRuntime, OpenVinoRuntime, Runtime, check_runtime

SAMPLE = 64  # spans on which the single products are tried
TRIES = 3  # with ever fewer products


def export_int8(folder: Path, spans: Sequence[Span]) -> tuple[Path, Parity]:
    """Write `model.int8.onnx` if ONNX Runtime then decides as PyTorch does on labelled spans.

    Raises ParityError with the measured numbers where it does not; nothing is then written.
    """

    def write(target: Path, _: Classifier) -> Iterator[None]:
        quantise(folder / ONNX_FILE, target)
        yield

    return _keep_where_decisions_hold(folder, INT8_FILE, write, OnnxRuntime, spans)


def export_mixed(folder: Path, spans: Sequence[Span], *, progress: bool = False) -> tuple[Path, Parity]:
    """Write `model.mixed.onnx` with many products in 8 bits, if OpenVINO then decides as PyTorch does.

    It begins with as many as change the logits as much as bfloat16 does, and halves that power TRIES - 1 times. The
    products are tried on SAMPLE of the spans, without their labels. Raises ParityError with the last numbers where
    the decisions do not hold, nothing is then written; RuntimeError without OpenVINO or a CPU with bfloat16.
    """
    check_runtime("openvino-mixed")
    sample = spans[:: max(1, len(spans) // SAMPLE)][:SAMPLE]
    pairs: list[Pair] = [(span["text"], None) for span in sample]
    pairs += [(span["text"], stance["surface"]) for span in sample for stance in span["stances"][:1]]

    def write(target: Path, original: Classifier) -> Iterator[None]:
        source = folder / ONNX_FILE
        changes, budget = measure_changes(source, target.parent, original, pairs, progress=progress)
        for halvings in range(TRIES):
            names = choose_products(list_products(source), changes, budget / 2 ** (halvings / 2))
            quantise_products(source, target, names)
            yield

    return _keep_where_decisions_hold(folder, MIXED_FILE, write, lambda path: OpenVinoRuntime(path, bf16=True), spans)


def _keep_where_decisions_hold(
    folder: Path,
    name: str,
    write: Callable[[Path, Classifier], Iterator[None]],
    open_runtime: Callable[[Path], Runtime],
    spans: Sequence[Span],
) -> tuple[Path, Parity]:
    """Have a file written, again and again, until one decides as PyTorch does; that one gets its name."""
    check_packages()
    if not (folder / ONNX_FILE).is_file():
        raise FileNotFoundError(f"{folder / ONNX_FILE} does not exist; make it with: rasd export {folder}")
    original = Classifier.from_pretrained(folder, runtime="torch", device="cpu")
    with TemporaryDirectory(prefix=".export-", dir=folder) as place:
        path = Path(place) / name
        (Path(place) / "config.json").write_bytes((folder / "config.json").read_bytes())
        for _ in write(path, original):
            parity = compare(original, Classifier(open_runtime(path), original.tokenizer, original.lexicon), spans)
            if parity.holds:
                path.replace(folder / name)
                return folder / name, parity
    raise ParityError(
        f"{folder}: in 8 bits the decisions change too much, {name} is not written ({parity}); wanted are "
        f"{EQUAL_SHARE:.1%} equal and at most {F1_LOSS} less macro-F1; use --runtime onnx"
    )
