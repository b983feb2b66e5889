"""How logits are computed, behind one small interface: PyTorch; for an exported checkpoint ONNX Runtime or OpenVINO."""

import importlib.util
from pathlib import Path
from threading import local
from typing import Any, Literal, Protocol, get_args

import numpy as np
import numpy.typing as npt
import torch
from transformers import AutoConfig, AutoModelForSequenceClassification, PreTrainedConfig, PreTrainedModel

from rasd.batching import batch_tokens

RuntimeName = Literal["auto", "torch", "torch-bf16", "onnx", "onnx-int8", "openvino", "openvino-bf16", "openvino-mixed"]
ONNX_FILE = "model.onnx"
INT8_FILE = "model.int8.onnx"
MIXED_FILE = "model.mixed.onnx"
QUANTISED_TOGETHER = 64  # activations of a token under one scale, where a matrix is in 8 bits
Inputs = dict[str, npt.NDArray[np.int64]]


class Runtime(Protocol):
    """Turns one padded batch into logits."""

    config: PreTrainedConfig
    batch_tokens: int
    """Padded tokens that it reads best at once."""
    streams: int
    """How many batches it can read at the same time, each asked for by a thread of its own."""

    def logits(self, inputs: Inputs) -> npt.NDArray[np.float32]:
        """Return logits of shape (batch, labels) for arrays of shape (batch, length)."""
        ...


class TorchRuntime:
    """The checkpoint in PyTorch, on an accelerator where there is one; all cores work on the same batch."""

    streams = 1

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

    def __init__(self, path: Path, *, threads: int | None = None) -> None:
        """Open a session of `rasd export`'s file, which stands in the checkpoint's folder."""
        _check_exported(path)
        import onnxruntime  # heavy and optional

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.streams = threads or torch.get_num_threads()  # as OMP_NUM_THREADS says
        self.session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        self.names = {value.name for value in self.session.get_inputs()}
        self.config: PreTrainedConfig = AutoConfig.from_pretrained(path.parent)
        self.batch_tokens = batch_tokens("cpu")

    def logits(self, inputs: Inputs) -> npt.NDArray[np.float32]:
        """Return logits of shape (batch, labels) for arrays of shape (batch, length)."""
        fed = {name: values for name, values in inputs.items() if name in self.names}
        return np.asarray(self.session.run(["logits"], fed)[0], dtype=np.float32)


class OpenVinoRuntime:
    """An exported checkpoint in OpenVINO on the CPU; each core with a batch of its own."""

    def __init__(self, path: Path, *, bf16: bool = False, threads: int | None = None) -> None:
        """Compile one of `rasd export`'s files; with `bf16` all but the logits is computed in bfloat16.

        Products whose matrix the file has in 8 bits are computed in 8 bits.
        """
        _check_exported(path)
        import openvino  # heavy and optional

        core = openvino.Core()
        self.streams = threads or torch.get_num_threads()  # as OMP_NUM_THREADS says
        options = {
            "INFERENCE_PRECISION_HINT": "bf16" if bf16 else "f32",
            "DYNAMIC_QUANTIZATION_GROUP_SIZE": QUANTISED_TOGETHER,
            "INFERENCE_NUM_THREADS": self.streams,
            "NUM_STREAMS": self.streams,
        }
        self.model = core.compile_model(core.read_model(path), "CPU", options)
        self.names = {value.any_name for value in self.model.inputs}
        self.requests = local()  # a request is one thread's
        self.config: PreTrainedConfig = AutoConfig.from_pretrained(path.parent)
        self.batch_tokens = batch_tokens("cpu")

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


def weights_pattern(name: RuntimeName) -> str:
    """Return the name of the file, or of the files, that a runtime's weights are read from."""
    if name in ("auto", "torch", "torch-bf16"):
        return "*.safetensors"
    return {"onnx-int8": INT8_FILE, "openvino-mixed": MIXED_FILE}.get(name, ONNX_FILE)


def load_runtime(
    folder: Path, name: RuntimeName = "auto", device: str | None = None, threads: int | None = None
) -> Runtime:
    """Return the runtime of that name; `auto` is PyTorch in float32. `threads` is for the CPU, None for one a core."""
    if name not in get_args(RuntimeName):
        raise ValueError(f"unknown runtime {name!r}: use one of {', '.join(get_args(RuntimeName))}")
    check_runtime(name, device)
    bf16 = _is_bf16(name)
    if name.startswith("onnx"):
        return OnnxRuntime(folder / weights_pattern(name), threads=threads)
    if name.startswith("openvino"):
        return OpenVinoRuntime(folder / weights_pattern(name), bf16=bf16, threads=threads)
    return TorchRuntime(folder, device, bf16=bf16, threads=threads)


def check_runtime(name: RuntimeName, device: str | None = None) -> None:
    """Raise RuntimeError where a runtime's package is missing, or the device does not compute in its precision."""
    kind = name.split("-")[0]
    package = {"onnx": "onnxruntime"}.get(kind, kind)
    if kind in ("onnx", "openvino") and importlib.util.find_spec(package) is None:
        raise RuntimeError(f"this runtime needs {package}: pip install 'rasd[{kind}]'")
    where = _torch_device(device if kind in ("auto", "torch") else "cpu")
    if _is_bf16(name) and not has_bf16(where):
        raise RuntimeError(f"runtime '{name}': this {where.type} has no bfloat16 arithmetic; use '{kind}'")


def _is_bf16(name: RuntimeName) -> bool:
    return name.endswith(("-bf16", "-mixed"))


def _torch_device(device: str | None) -> torch.device:
    return torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))


def _check_exported(path: Path) -> None:
    if not path.is_file():
        how = {INT8_FILE: " --int8 --validation FILE", MIXED_FILE: " --mixed --validation FILE"}.get(path.name, "")
        raise FileNotFoundError(f"{path} does not exist; make it with: rasd export {path.parent}{how}")
