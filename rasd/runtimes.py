"""How logits are computed, behind one small interface: PyTorch; for an exported checkpoint ONNX Runtime or OpenVINO.

A runtime in 8 bits has a second one in more bits, which reads again what the first decides by a small margin.
"""

import importlib.util
from pathlib import Path
from threading import local
from typing import Any, Literal, Protocol, get_args

import numpy as np
import numpy.typing as npt
import torch
from transformers import AutoConfig, AutoModelForSequenceClassification, PreTrainedConfig, PreTrainedModel

from rasd.batching import batch_tokens
from rasd.quantisation import MARGINS_KEY, Margins, parse_margins

RuntimeName = Literal["auto", "torch", "torch-bf16", "onnx", "onnx-int8", "openvino", "openvino-bf16", "openvino-int8"]
ONNX_FILE = "model.onnx"
INT8_FILES = {"onnx-int8": "model.int8.onnx", "openvino-int8": "model.openvino-int8.onnx"}
QUANTISED_TOGETHER = (192, 128, 64)  # activations of a token under one scale in OpenVINO; must divide the width
Inputs = dict[str, npt.NDArray[np.int64]]


class Runtime(Protocol):
    """Turns one padded batch into logits."""

    config: PreTrainedConfig
    batch_tokens: int
    """Padded tokens that it reads best at once."""
    streams: int
    """How many batches it can read at the same time, each asked for by a thread of its own."""
    second: "Runtime | None"
    """Reads again what this one decides by less than its margins."""
    margins: Margins

    def logits(self, inputs: Inputs) -> npt.NDArray[np.float32]:
        """Return logits of shape (batch, labels) for arrays of shape (batch, length)."""
        ...


class TorchRuntime:
    """The checkpoint in PyTorch, on an accelerator where there is one; all cores work on the same batch."""

    streams = 1
    second: Runtime | None = None
    margins = (0.0, 0.0)

    def __init__(
        self, folder: Path, device: str | None = None, *, bf16: bool = False, threads: int | None = None
    ) -> None:
        """Load the weights in float32 onto the device (default: cuda where present, else cpu).

        `bf16` computes matrix products in bfloat16, where the hardware can; `threads` counts for the whole process.
        """
        self.device = _torch_device(device)
        self.batch_tokens = batch_tokens(self.device.type)
        if threads is not None:
            torch.set_num_threads(threads)
        self.bf16 = bf16
        model: Any = load_float32(folder)
        self.model = model.to(self.device).eval()
        self.config = model.config

    @torch.inference_mode()
    def logits(self, inputs: Inputs) -> npt.NDArray[np.float32]:
        """Return logits of shape (batch, labels) for arrays of shape (batch, length)."""
        tensors = {name: torch.from_numpy(values).to(self.device) for name, values in inputs.items()}
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16):
            return self.model(**tensors).logits.float().cpu().numpy()


class OnnxRuntime:
    """An exported checkpoint in ONNX Runtime on the CPU, each core with a batch of its own."""

    def __init__(self, path: Path, *, second: Runtime | None = None, threads: int | None = None) -> None:
        """Open a session of one of `rasd export`'s files, which stands in the checkpoint's folder."""
        _check_exported(path)
        import onnxruntime  # heavy and optional

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.streams = threads or torch.get_num_threads()  # as OMP_NUM_THREADS says
        self.session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        self.second = second
        self.margins = parse_margins(self.session.get_modelmeta().custom_metadata_map.get(MARGINS_KEY))
        self.names = {value.name for value in self.session.get_inputs()}
        self.config: PreTrainedConfig = AutoConfig.from_pretrained(path.parent)
        self.batch_tokens = batch_tokens("cpu")

    def logits(self, inputs: Inputs) -> npt.NDArray[np.float32]:
        """Return logits of shape (batch, labels) for arrays of shape (batch, length)."""
        fed = {name: values for name, values in inputs.items() if name in self.names}
        return np.asarray(self.session.run(["logits"], fed)[0], dtype=np.float32)


class OpenVinoRuntime:
    """An exported checkpoint in OpenVINO on the CPU; each core with a batch of its own."""

    def __init__(
        self, path: Path, *, bf16: bool = False, second: Runtime | None = None, threads: int | None = None
    ) -> None:
        """Compile one of `rasd export`'s files; with `bf16` all but the logits is computed in bfloat16.

        Products whose matrix the file has in 8 bits are computed in 8 bits.
        """
        _check_exported(path)
        import openvino  # heavy and optional

        core = openvino.Core()
        self.config: PreTrainedConfig = AutoConfig.from_pretrained(path.parent)
        self.streams = threads or torch.get_num_threads()  # as OMP_NUM_THREADS says
        width = getattr(self.config, "hidden_size", 1)
        options = {
            "INFERENCE_PRECISION_HINT": "bf16" if bf16 else "f32",
            "DYNAMIC_QUANTIZATION_GROUP_SIZE": next((n for n in QUANTISED_TOGETHER if width % n == 0), 0),
            "INFERENCE_NUM_THREADS": self.streams,
            "NUM_STREAMS": self.streams,
        }
        graph = core.read_model(path)
        where = ["framework", MARGINS_KEY]  # of a file's metadata
        self.second = second
        self.margins = parse_margins(graph.get_rt_info(where).astype(str) if graph.has_rt_info(where) else None)
        self.model = core.compile_model(graph, "CPU", options)
        self.names = {value.any_name for value in self.model.inputs}
        self.requests = local()  # a request is one thread's
        self.batch_tokens = batch_tokens("cpu")
        # OpenVINO's bindings set themselves up at first use, in which two threads at once can wait for each other
        self.logits({name: np.zeros((1, 1), dtype=np.int64) for name in self.names})

    def logits(self, inputs: Inputs) -> npt.NDArray[np.float32]:
        """Return logits of shape (batch, labels) for arrays of shape (batch, length)."""
        fed = {name: values for name, values in inputs.items() if name in self.names}
        if not hasattr(self.requests, "own"):
            self.requests.own = self.model.create_infer_request()
        return np.array(self.requests.own.infer(fed)["logits"], dtype=np.float32)


def load_float32(folder: Path, **options: Any) -> PreTrainedModel:
    """Load a checkpoint's weights in float32, whatever type they were saved in."""
    return AutoModelForSequenceClassification.from_pretrained(folder, dtype=torch.float32, **options)


def has_bf16(device: torch.device) -> bool:
    """Say whether the device computes in bfloat16 by itself; emulated, it would be slower than float32."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    features = torch.cpu.get_capabilities()
    return bool(features.get("avx512_bf16") or features.get("amx_bf16"))


def weights_patterns(name: RuntimeName) -> tuple[str, ...]:
    """Return the names of the files, or a pattern of them, that a runtime's weights are read from."""
    if name in ("auto", "torch", "torch-bf16"):
        return ("*.safetensors",)
    return (INT8_FILES[name], ONNX_FILE) if name in INT8_FILES else (ONNX_FILE,)


def load_runtime(
    folder: Path, name: RuntimeName = "auto", device: str | None = None, threads: int | None = None
) -> Runtime:
    """Return the runtime of that name; `auto` is PyTorch in float32. `threads` is for the CPU, None for one a core."""
    if name not in get_args(RuntimeName):
        raise ValueError(f"unknown runtime {name!r}: use one of {', '.join(get_args(RuntimeName))}")
    check_runtime(name, device)
    if name in INT8_FILES:
        return load_int8(name, folder / INT8_FILES[name], folder / ONNX_FILE, threads)
    if name == "onnx":
        return OnnxRuntime(folder / ONNX_FILE, threads=threads)
    if name.startswith("openvino"):
        return OpenVinoRuntime(folder / ONNX_FILE, bf16=name.endswith("-bf16"), threads=threads)
    return TorchRuntime(folder, device, bf16=name.endswith("-bf16"), threads=threads)


def load_int8(name: RuntimeName, path: Path, exact: Path | None = None, threads: int | None = None) -> Runtime:
    """Return the runtime of a file in 8 bits; `exact` is the graph that reads close calls again, None for nothing.

    OpenVINO computes in bfloat16 what is not in 8 bits, the second reading too, where the CPU can.
    """
    _check_exported(path)
    if name == "onnx-int8":
        second: Runtime | None = OnnxRuntime(exact, threads=threads) if exact else None
        return OnnxRuntime(path, second=second, threads=threads)
    bf16 = has_bf16(torch.device("cpu"))
    second = OpenVinoRuntime(exact, bf16=bf16, threads=threads) if exact else None
    return OpenVinoRuntime(path, bf16=bf16, second=second, threads=threads)


def check_runtime(name: RuntimeName, device: str | None = None) -> None:
    """Raise RuntimeError where a runtime's package is missing, or the device does not compute in its precision."""
    kind = name.split("-")[0]
    package = {"onnx": "onnxruntime"}.get(kind, kind)
    if kind in ("onnx", "openvino") and importlib.util.find_spec(package) is None:
        raise RuntimeError(f"this runtime needs {package}: pip install 'rasd[{kind}]'")
    where = _torch_device(device if kind in ("auto", "torch") else "cpu")
    if name.endswith("-bf16") and not has_bf16(where):
        raise RuntimeError(f"runtime '{name}': this {where.type} has no bfloat16 arithmetic; use '{kind}'")


def _torch_device(device: str | None) -> torch.device:
    return torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))


def export_command(path: Path) -> str:
    """Return the command that writes one of an exported checkpoint's files."""
    flags = {INT8_FILES["onnx-int8"]: " --int8", INT8_FILES["openvino-int8"]: " --openvino-int8"}
    how = f"{flags[path.name]} --validation FILE" if path.name in flags else ""
    return f"rasd export {path.parent}{how}"


def _check_exported(path: Path) -> None:
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist; make it with: {export_command(path)}")
