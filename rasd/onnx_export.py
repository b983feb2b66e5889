"""Write a checkpoint as an ONNX graph whose transformer layers are fused, which OpenVINO reads too.

`rasd export MODEL` writes `model.onnx`. Attention, skip connection with layer norm, and bias with (exact) GELU become
one operator each, where ONNX Runtime knows the architecture. The last attention is asked for the first token alone,
since the pooler takes no other. A file is checked before it gets its name. Fewer bits: `rasd.fewer_bits`.
"""

import importlib.util
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from transformers import AutoTokenizer, PreTrainedModel

from rasd.runtimes import ONNX_FILE, Inputs, OnnxRuntime, load_float32

OPSET = 17
CHECKED_LENGTHS = (3, 40, 17, 64)  # tokens of the random texts that the exported graph is checked on
TOLERANCE = 1e-4  # in logits


class ExportError(RuntimeError):
    """A checkpoint that cannot be exported; the message says why."""


@dataclass(frozen=True)
class Exported:
    """A written graph, and how many of its attention layers are fused."""

    path: Path
    fused: int


def export_onnx(folder: Path) -> Exported:
    """Write `model.onnx` beside a checkpoint, with dynamic batch and length; its logits equal PyTorch's.

    An architecture that cannot be fused is written as it is, `fused` is then 0.
    """
    check_packages()
    import onnx  # optional

    model = load_float32(folder, attn_implementation="eager").eval()
    names = AutoTokenizer.from_pretrained(folder).model_input_names
    with TemporaryDirectory(prefix=".export-", dir=folder) as place:
        plain, fused = Path(place) / "plain.onnx", Path(place) / "fused.onnx"
        trace_graph(model, names, plain)
        graph = _fuse(plain, model)
        if graph is not None:
            onnx.save(graph, fused)
        (Path(place) / "config.json").write_bytes((folder / "config.json").read_bytes())
        chosen = fused if graph is not None and _difference(model, names, fused) <= TOLERANCE else plain
        if (difference := _difference(model, names, chosen)) > TOLERANCE:
            raise ExportError(f"{folder}: the exported graph's logits differ by {difference:.2g}; nothing is written")
        chosen.replace(folder / ONNX_FILE)
    return Exported(folder / ONNX_FILE, model.config.num_hidden_layers if chosen == fused else 0)


def check_packages() -> None:
    """Raise ExportError where a package is missing that the graphs are written with."""
    missing = [name for name in ("onnx", "onnxruntime") if importlib.util.find_spec(name) is None]
    if missing:
        raise ExportError(f"the export needs {' and '.join(missing)}: pip install 'rasd[onnx]'")


def trace_graph(model: PreTrainedModel, names: Sequence[str], path: Path) -> None:
    """Write the graph as PyTorch traces it: the exporter whose graphs ONNX Runtime's fusions recognise."""
    sample = {name: torch.ones(2, 8, dtype=torch.int64) for name in names}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about tracing; the graph is checked on other shapes
        torch.onnx.export(
            model,
            args=(sample,),
            f=str(path),
            input_names=list(names),
            output_names=["logits"],
            dynamic_axes={name: {0: "batch", 1: "length"} for name in names} | {"logits": {0: "batch"}},
            opset_version=OPSET,
            dynamo=False,
        )


def _fuse(path: Path, model: PreTrainedModel) -> Any | None:
    """Return the fused graph (an onnx.ModelProto), None where not every attention layer could be fused."""
    from onnxruntime.transformers.fusion_options import FusionOptions  # optional
    from onnxruntime.transformers.optimizer import optimize_model  # optional

    config = model.config
    heads, width = getattr(config, "num_attention_heads", 0), getattr(config, "hidden_size", 0)
    options = FusionOptions("bert")
    options.use_multi_head_attention = True  # the projections stay matrix products, which can be quantised by row
    optimised = optimize_model(str(path), "bert", heads, width, options, opt_level=0)
    if optimised.get_fused_operator_statistics()["MultiHeadAttention"] != getattr(config, "num_hidden_layers", None):
        return None
    _keep_first_token(optimised.model.graph)
    _add_biases_before_attention(optimised.model.graph)
    return optimised.model


def _keep_first_token(graph: Any) -> None:
    """Cut the last attention's query and its skip connection down to the first token, in place.

    Only where nothing but a Gather of token 0 reads the last layer.
    """
    from onnx import helper, numpy_helper  # optional

    made = {output: node for node in graph.node for output in node.output}
    constants = {tensor.name: tensor for tensor in graph.initializer}
    constants |= {node.output[0]: node.attribute[0].t for node in graph.node if node.op_type == "Constant"}
    norms = [node for node in graph.node if node.op_type == "SkipLayerNormalization"]
    if not norms:
        return
    last = norms[-1]
    readers = [node for node in graph.node if last.output[0] in node.input]
    is_first = [
        node.op_type == "Gather"
        and node.input[1] in constants
        and numpy_helper.to_array(constants[node.input[1]]).tolist() == 0
        and helper.get_node_attr_value(node, "axis") == 1
        for node in readers
    ]
    attention = [node for node in graph.node if node.op_type == "MultiHeadAttention"][-1]
    after = [node for node in graph.node if attention.output[0] in node.input]
    sources = [made[name] for name in last.input[:2] if name in made]
    skip = next((node for node in sources if node.op_type == "SkipLayerNormalization"), None)
    query = made.get(attention.input[0])
    if not is_first or not all(is_first) or len(after) != 1 or skip is None or query is None:
        return
    states = query.input[0]
    if query.op_type != "MatMul" or set(skip.input[:2]) != {after[0].output[0], states}:
        return
    bounds = [helper.make_tensor(f"first_token_{k}", 7, [1], [v]) for k, v in (("start", 0), ("end", 1), ("axis", 1))]
    graph.initializer.extend(bounds)
    name = f"{states}_first_token"
    piece = helper.make_node("Slice", [states, *(bound.name for bound in bounds)], [name], name=name)
    graph.node.insert(list(graph.node).index(query), piece)
    query.input[0] = skip.input[list(skip.input).index(states)] = name


def _add_biases_before_attention(graph: Any) -> None:
    """Take the biases of query, key and value out of the attention, in place, right behind their projections.

    OpenVINO computes a product and its bias in one; ONNX Runtime is as fast either way.
    """
    from onnx import helper, numpy_helper  # optional

    constants = {tensor.name: tensor for tensor in graph.initializer}
    nodes: list[Any] = []
    for node in graph.node:
        if node.op_type == "MultiHeadAttention" and len(node.input) > 3 and node.input[3] in constants:
            packed = constants[node.input[3]]
            for index, part in enumerate(np.split(numpy_helper.to_array(packed), 3)):
                bias, biased = f"{packed.name}_{index}", f"{node.input[index]}_biased"
                graph.initializer.append(numpy_helper.from_array(part.copy(), bias))
                nodes.append(helper.make_node("Add", [node.input[index], bias], [biased], biased))
                node.input[index] = biased
            graph.initializer.remove(packed)
            node.input[3] = ""
        nodes.append(node)
    del graph.node[:]
    graph.node.extend(nodes)


def _difference(model: PreTrainedModel, names: Sequence[str], path: Path) -> float:
    """Return the largest difference between PyTorch's logits and the graph's, on random texts of mixed lengths."""
    random = np.random.default_rng(0)
    mask = np.arange(max(CHECKED_LENGTHS)) < np.array(CHECKED_LENGTHS)[:, None]
    inputs: Inputs = {name: np.zeros(mask.shape, dtype=np.int64) for name in names}
    inputs["input_ids"] = np.where(
        mask, random.integers(5, model.config.vocab_size, mask.shape), model.config.pad_token_id
    )
    inputs["attention_mask"] = mask.astype(np.int64)
    with torch.inference_mode():
        expected = model(**{name: torch.from_numpy(values) for name, values in inputs.items()}).logits.numpy()
    return float(np.abs(OnnxRuntime(path).logits(inputs) - expected).max())
