"""How logits are computed, behind one small interface: PyTorch, or ONNX Runtime for an exported checkpoint."""

import importlib.util
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt
import torch
from transformers import AutoConfig, AutoModelForSequenceClassification, PreTrainedConfig, PreTrainedModel

RuntimeName = Literal["auto", "torch", "torch-bf16", "onnx", "onnx-int8"]
ONNX_FILE = "model.onnx"
INT8_FILE = "model.int8.onnx"
Inputs = dict[str, npt.NDArray[np.int64]]


class Runtime(Protocol):
    """Turns one padded batch into logits."""

    config: PreTrainedConfig

    def logits(self, inputs: Inputs) -> npt.NDArray[np.float32]:
        """Return logits of shape (batch, labels) for arrays of shape (batch, length)."""
        ...


class TorchRuntime:
    """The checkpoint in PyTorch, on an accelerator where there is one."""

    def __init__(
        self, folder: Path, device: str | None = None, *, bf16: bool = False, threads: int | None = None
    ) -> None:
        """Load the weights in float32 onto the device (default: cuda where present, else cpu).

        `bf16` computes matrix products in bfloat16, where the hardware can; `threads` counts for the whole process.
        """
        self.device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        if bf16 and not has_bf16(self.device):
            raise RuntimeError(f"runtime 'torch-bf16': this {self.device.type} has no bfloat16 arithmetic; use 'torch'")
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
    """An exported checkpoint in ONNX Runtime on the CPU."""

    def __init__(self, path: Path, *, threads: int | None = None) -> None:
        """Open a session of `rasd export`'s file, which stands in the checkpoint's folder."""
        if importlib.util.find_spec("onnxruntime") is None:
            raise RuntimeError("the runtimes 'onnx' and 'onnx-int8' need onnxruntime: pip install 'rasd[onnx]'")
        import onnxruntime  # heavy and optional

        if not path.is_file():
            how = " --int8 --validation FILE" if path.name == INT8_FILE else ""
            raise FileNotFoundError(f"{path} does not exist; make it with: rasd export {path.parent}{how}")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or torch.get_num_threads()  # as OMP_NUM_THREADS says
        self.session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        self.names = {value.name for value in self.session.get_inputs()}
        self.config: PreTrainedConfig = AutoConfig.from_pretrained(path.parent)

    def logits(self, inputs: Inputs) -> npt.NDArray[np.float32]:
        """Return logits of shape (batch, labels) for arrays of shape (batch, length)."""
        fed = {name: values for name, values in inputs.items() if name in self.names}
        return np.asarray(self.session.run(["logits"], fed)[0], dtype=np.float32)


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
    return {"onnx": ONNX_FILE, "onnx-int8": INT8_FILE}.get(name, "*.safetensors")


def load_runtime(
    folder: Path, name: RuntimeName = "auto", device: str | None = None, threads: int | None = None
) -> Runtime:
    """Return the runtime of that name; `auto` is PyTorch in float32. `threads` is for the CPU, None for one a core."""
    if name in ("onnx", "onnx-int8"):
        return OnnxRuntime(folder / (ONNX_FILE if name == "onnx" else INT8_FILE), threads=threads)
    if name in ("auto", "torch", "torch-bf16"):
        return TorchRuntime(folder, device, bf16=name == "torch-bf16", threads=threads)
    raise ValueError(f"unknown runtime {name!r}: use 'auto', 'torch', 'torch-bf16', 'onnx' or 'onnx-int8'")
