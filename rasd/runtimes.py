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

RuntimeName = Literal["auto", "torch", "torch-bf16", "onnx", "onnx-int8", "openvino", "openvino-bf16"]
ONNX_FILE = "model.onnx"
INT8_FILE = "model.int8.onnx"
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
        self.device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        self.batch_tokens = batch_tokens(self.device.type)
        if bf16:
            _check_bf16(self.device, "torch")
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
        _check_exported(path, "onnxruntime", "onnx")
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
    """An exported checkpoint in OpenVINO on the CPU, from the same file; each core with a batch of its own."""

    def __init__(self, path: Path, *, bf16: bool = False, threads: int | None = None) -> None:
        """Compile `rasd export`'s file; with `bf16` all but the logits is computed in bfloat16, where the CPU can."""
        _check_exported(path, "openvino", "openvino")
        if bf16:
            _check_bf16(torch.device("cpu"), "openvino")
        import openvino  # heavy and optional

        core = openvino.Core()
        self.streams = threads or torch.get_num_threads()  # as OMP_NUM_THREADS says
        options = {
            "INFERENCE_PRECISION_HINT": "bf16" if bf16 else "f32",
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
    return INT8_FILE if name == "onnx-int8" else ONNX_FILE


def load_runtime(
    folder: Path, name: RuntimeName = "auto", device: str | None = None, threads: int | None = None
) -> Runtime:
    """Return the runtime of that name; `auto` is PyTorch in float32. `threads` is for the CPU, None for one a core."""
    if name not in get_args(RuntimeName):
        raise ValueError(f"unknown runtime {name!r}: use one of {', '.join(get_args(RuntimeName))}")
    bf16 = name.endswith("-bf16")
    if name.startswith("onnx"):
        return OnnxRuntime(folder / weights_pattern(name), threads=threads)
    if name.startswith("openvino"):
        return OpenVinoRuntime(folder / weights_pattern(name), bf16=bf16, threads=threads)
    return TorchRuntime(folder, device, bf16=bf16, threads=threads)


def _check_exported(path: Path, package: str, extra: str) -> None:
    if importlib.util.find_spec(package) is None:
        raise RuntimeError(f"this runtime needs {package}: pip install 'rasd[{extra}]'")
    if not path.is_file():
        how = " --int8 --validation FILE" if path.name == INT8_FILE else ""
        raise FileNotFoundError(f"{path} does not exist; make it with: rasd export {path.parent}{how}")


def _check_bf16(device: torch.device, runtime: str) -> None:
    if not has_bf16(device):
        raise RuntimeError(f"runtime '{runtime}-bf16': this {device.type} has no bfloat16 arithmetic; use '{runtime}'")
