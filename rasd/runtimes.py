"""How logits are computed, behind one small interface: PyTorch, or ONNX Runtime for an exported checkpoint."""

import importlib.util
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer, PreTrainedConfig, PreTrainedModel

RuntimeName = Literal["auto", "torch", "onnx"]
ONNX_FILE = "model.onnx"
Inputs = dict[str, npt.NDArray[np.int64]]


class Runtime(Protocol):
    """Turns one padded batch into logits."""

    config: PreTrainedConfig

    def logits(self, inputs: Inputs) -> npt.NDArray[np.float32]:
        """Return logits of shape (batch, labels) for arrays of shape (batch, length)."""
        ...


class TorchRuntime:
    """The checkpoint in PyTorch, on an accelerator where there is one."""

    def __init__(self, folder: Path, device: str | None = None) -> None:
        """Load the weights in float32 onto the device (default: cuda where present, else cpu)."""
        self.device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        model: Any = load_float32(folder)
        self.model = model.to(self.device).eval()
        self.config = model.config

    @torch.inference_mode()
    def logits(self, inputs: Inputs) -> npt.NDArray[np.float32]:
        """Return logits of shape (batch, labels) for arrays of shape (batch, length)."""
        tensors = {name: torch.from_numpy(values).to(self.device) for name, values in inputs.items()}
        return self.model(**tensors).logits.float().cpu().numpy()


class OnnxRuntime:
    """The checkpoint's `model.onnx` in ONNX Runtime on the CPU."""

    def __init__(self, folder: Path) -> None:
        """Open the session; the file comes from `rasd export`."""
        if importlib.util.find_spec("onnxruntime") is None:
            raise RuntimeError("runtime 'onnx' needs onnxruntime: pip install 'rasd[onnx]'")
        import onnxruntime  # heavy and optional

        if not (folder / ONNX_FILE).is_file():
            raise FileNotFoundError(f"{folder / ONNX_FILE} does not exist; make it with: rasd export {folder}")
        self.session = onnxruntime.InferenceSession(folder / ONNX_FILE, providers=["CPUExecutionProvider"])
        self.names = {value.name for value in self.session.get_inputs()}
        self.config = PreTrainedConfig.from_pretrained(folder)

    def logits(self, inputs: Inputs) -> npt.NDArray[np.float32]:
        """Return logits of shape (batch, labels) for arrays of shape (batch, length)."""
        fed = {name: values for name, values in inputs.items() if name in self.names}
        return np.asarray(self.session.run(["logits"], fed)[0], dtype=np.float32)


def load_float32(folder: Path) -> PreTrainedModel:
    """Load a checkpoint's weights in float32, whatever type they were saved in."""
    return AutoModelForSequenceClassification.from_pretrained(folder, dtype=torch.float32)


def weights_pattern(name: RuntimeName) -> str:
    """Return the name of the file, or of the files, that a runtime's weights are read from."""
    return ONNX_FILE if name == "onnx" else "*.safetensors"


def load_runtime(folder: Path, name: RuntimeName = "auto", device: str | None = None) -> Runtime:
    """Return the runtime of that name; `auto` is PyTorch."""
    if name == "onnx":
        return OnnxRuntime(folder)
    if name in ("auto", "torch"):
        return TorchRuntime(folder, device)
    raise ValueError(f"unknown runtime {name!r}: use 'auto', 'torch' or 'onnx'")


def export_onnx(folder: Path) -> Path:
    """Write `model.onnx` beside a checkpoint, with dynamic batch and length; return its path."""
    if importlib.util.find_spec("onnxscript") is None:
        raise RuntimeError("the export needs onnx and onnxscript: pip install 'rasd[onnx]'")
    model = load_float32(folder).eval()
    names = AutoTokenizer.from_pretrained(folder).model_input_names
    sample = {name: torch.ones(2, 8, dtype=torch.int64) for name in names}
    batch, length = torch.export.Dim("batch"), torch.export.Dim("length")
    unfinished = folder / f".{ONNX_FILE}"
    torch.onnx.export(
        model,
        kwargs=sample,
        f=unfinished,
        input_names=names,
        output_names=["logits"],
        dynamic_shapes={name: {0: batch, 1: length} for name in names},
        dynamo=True,
        external_data=False,
    )
    return unfinished.rename(folder / ONNX_FILE)
