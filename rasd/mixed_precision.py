"""Mixed precision for OpenVINO: matrix products in 8 bits where the logits hardly feel it, in bfloat16 elsewhere.

Every product with a constant matrix is put into 8 bits alone, and the change that this makes to the logits of some
texts is measured. Such changes are nearly independent, so their squares add up. The products are then taken in the
order of squared change for each multiplication, while their sum stays within a budget. In OpenVINO a matrix has one
scale an output channel, and the activations have one for each 64 values of a token.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from rasd.inference import Classifier
from rasd.passes import Pair
from rasd.quantisation import quantise_weight
from rasd.runtimes import OpenVinoRuntime

NOISE = 0.011  # of the logits' standard deviation: what bfloat16 changes (root mean square, trained embedded encoder)


def list_products(source: Path) -> dict[str, int]:
    """Return the graph's products with constant matrices by name, with the numbers in each matrix."""
    import onnx  # optional

    graph = onnx.load(source).graph
    sizes = {tensor.name: int(np.prod(tensor.dims)) for tensor in graph.initializer}
    return {node.name: sizes[node.input[1]] for node in graph.node if _has_constant_matrix(node, sizes)}


def list_rounded(path: Path) -> list[str]:
    """Return the names of a graph's products whose matrix is in 8 bits."""
    import onnx  # optional

    nodes = onnx.load(path).graph.node
    restored = {node.output[0] for node in nodes if node.op_type == "DequantizeLinear"}
    return [node.name for node in nodes if node.op_type == "MatMul" and node.input[1] in restored]


def quantise_products(source: Path, target: Path, names: Iterable[str]) -> None:
    """Write the graph with the matrices of these products in 8 bits, which OpenVINO takes as the wish to multiply so.

    Raises ValueError where a name is none of `list_products`.
    """
    import onnx  # optional
    from onnx import helper, numpy_helper

    model, wanted = onnx.load(source), set(names)
    graph = model.graph
    weights = {tensor.name: tensor for tensor in graph.initializer}
    nodes: list[Any] = []
    for node in graph.node:
        if node.name in wanted and _has_constant_matrix(node, weights):
            wanted.remove(node.name)
            matrix = node.input[1]
            values, scales = quantise_weight(numpy_helper.to_array(weights[matrix]))
            parts: dict[str, Any] = {"int8": values, "scale": scales, "zero": np.zeros(len(scales), dtype=np.int8)}
            stored = {f"{matrix}_{part}": array for part, array in parts.items()}
            weights |= {name: numpy_helper.from_array(array, name) for name, array in stored.items()}
            node.input[1] = f"{matrix}_restored"
            nodes.append(helper.make_node("DequantizeLinear", list(stored), [node.input[1]], node.input[1], axis=1))
        nodes.append(node)
    if wanted:
        raise ValueError(f"{source}: no product with a constant matrix is named {', '.join(sorted(wanted))}")
    read = {name for node in nodes for name in node.input}
    del graph.node[:], graph.initializer[:]
    graph.node.extend(nodes)
    graph.initializer.extend(tensor for name, tensor in weights.items() if name in read)
    onnx.save(model, target)


def choose_products(sizes: Mapping[str, int], changes: Mapping[str, float], budget: float) -> list[str]:
    """Return the products with the least change for each multiplication, as many as together stay within a budget.

    `changes` are root mean squares; so is the budget.
    """
    chosen, spent = [], 0.0
    for name in sorted(changes, key=lambda name: changes[name] ** 2 / sizes[name]):
        spent += changes[name] ** 2
        if spent > budget**2:
            break
        chosen.append(name)
    return chosen


def measure_changes(
    source: Path, place: Path, original: Classifier, pairs: Sequence[Pair], *, progress: bool = False
) -> tuple[dict[str, float], float]:
    """Return how each product alone in 8 bits changes the logits of some spans, and what bfloat16 might change.

    Both are root mean squares, in logits. `place` is a folder for passing files, with the checkpoint's configuration.
    """
    trial = place / "trial.onnx"

    def logits(names: list[str]) -> npt.NDArray[np.float32]:
        quantise_products(source, trial, names)
        return Classifier(OpenVinoRuntime(trial), original.tokenizer).logits(pairs)

    exact = logits([])
    bar = tqdm(list_products(source), desc="8 bits, one product at a time", disable=not progress)
    changes = {name: float(np.sqrt(((logits([name]) - exact) ** 2).mean())) for name in bar}
    trial.unlink()
    return changes, NOISE * float(exact.std(axis=0).mean())


def _has_constant_matrix(node: Any, constants: Mapping[str, Any]) -> bool:
    return node.op_type == "MatMul" and node.input[1] in constants
