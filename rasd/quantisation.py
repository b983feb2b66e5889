"""Matrix products of a fused graph in 8 bits, a token's activations by scales of their own.

For OpenVINO only the matrices are rounded: it rounds activations itself, some hundreds of a token under one scale
(`rasd.runtimes`). For ONNX Runtime the graph does it. One scale for a whole tensor, as in its dynamic quantisation,
loses the small values of every other token to the largest token; so each row is divided by its largest value before,
and its product multiplied by it after, which also keeps a text's answer independent of its batch. Weights have one
scale an output channel and 8 bits; activations have 7, since two products of 8 bits each overflow the 16 bits in which
processors without VNNI add them, unnoticed.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

MARGINS_KEY = "rasd.margins"  # in a file's metadata
Matrix = npt.NDArray[np.float32]
Replacement = Callable[[Any, Matrix, Mapping[str, str]], tuple[list[Any], dict[str, Any]]]
"""From a product, its matrix and the kind of node behind each name, to nodes and the constants that they read."""
Margins = tuple[float, float]
"""In logits, of passes of spans alone and of those about actors: what decides by less is read again in more bits."""
CONSTANTS: dict[str, Any] = {
    # activations between -1 and 1, as 1 … 127 around 64
    "rasd_scale": np.float32(1 / 63),
    "rasd_zero": np.uint8(64),
    # GELU's outputs, from -0.17 up, with at most 1 as 127 over 19
    "rasd_gelu_scale": np.float32(1 / 108),
    "rasd_gelu_zero": np.uint8(19),
    "rasd_least": np.float32(1e-6),
    "rasd_gelu_least": np.float32(1),
}


def quantise(source: Path, target: Path) -> int:
    """Write a graph for ONNX Runtime whose products with constant matrices are in 8 bits; return how many there are."""
    return _replace_products(source, target, _multiplied_in_8_bits)


def quantise_for_openvino(source: Path, target: Path) -> int:
    """Write a graph whose constant matrices are in 8 bits, which OpenVINO takes as the wish to multiply in 8 bits.

    Returns how many there are.
    """
    return _replace_products(source, target, _stored_in_8_bits)


def store_margins(path: Path, margins: Margins) -> None:
    """Write into a graph's metadata below which margins its decisions are to be read again."""
    import onnx  # optional
    from onnx import helper

    model = onnx.load(path)
    helper.set_model_props(model, {MARGINS_KEY: " ".join(f"{margin:.4f}" for margin in margins)})
    onnx.save(model, path)


def parse_margins(text: str | None) -> Margins:
    """Return the margins that `store_margins` wrote, zeros where it wrote none."""
    alone, about_actor = map(float, text.split()) if text else (0.0, 0.0)
    return alone, about_actor


def _replace_products(source: Path, target: Path, replace: Replacement) -> int:
    """Write a graph with other nodes for each product with a constant matrix; return how many there are."""
    import onnx  # optional
    from onnx import numpy_helper

    model = onnx.load(source)
    graph = model.graph
    constants = {tensor.name: tensor for tensor in graph.initializer}
    kinds = {output: node.op_type for node in graph.node for output in node.output}
    nodes: list[Any] = []
    count = 0
    for node in graph.node:
        if node.op_type != "MatMul" or node.input[1] not in constants:
            nodes.append(node)
            continue
        added, arrays = replace(node, numpy_helper.to_array(constants[node.input[1]]), kinds)
        nodes += added
        kinds |= {output: new.op_type for new in added for output in new.output}
        constants |= {name: numpy_helper.from_array(np.asarray(array), name) for name, array in arrays.items()}
        count += 1
    read = {name for node in nodes for name in node.input}
    del graph.node[:], graph.initializer[:]
    graph.node.extend(nodes)
    graph.initializer.extend(tensor for name, tensor in constants.items() if name in read)
    onnx.save(model, target)
    return count


def _stored_in_8_bits(product: Any, matrix: Matrix, kinds: Mapping[str, str]) -> tuple[list[Any], dict[str, Any]]:
    """Return a product whose matrix is restored from 8 bits, and the constants."""
    from onnx import helper

    entry, name = product.input
    values, scales = quantise_weight(matrix)
    parts = {"int8": values, "scale": scales, "zero": np.zeros(len(scales), dtype=np.int8)}
    constants = {f"{name}_{part}": array for part, array in parts.items()}
    restored = f"{name}_restored"
    return [
        helper.make_node("DequantizeLinear", list(constants), [restored], restored, axis=1),
        helper.make_node("MatMul", [entry, restored], list(product.output), product.name),
    ], constants


def _multiplied_in_8_bits(product: Any, matrix: Matrix, kinds: Mapping[str, str]) -> tuple[list[Any], dict[str, Any]]:
    """Return a product in whole numbers, of rows that are rounded once for all products that read them."""
    from onnx import helper

    entry, name = product.input
    kind = "rasd_gelu" if kinds.get(entry) == "BiasGelu" else "rasd"
    values, scales = quantise_weight(matrix)
    rounded, by_row = f"{entry}_int8", f"{product.output[0]}_by_row"
    inputs = [rounded, f"{name}_int8", f"{kind}_scale", f"{name}_scale", f"{kind}_zero"]
    nodes = [] if rounded in kinds else _row_quantised(entry, kind, helper)
    nodes += [
        helper.make_node("MatMulIntegerToFloat", inputs, [by_row], f"{product.name}_int8", domain="com.microsoft"),
        helper.make_node("Mul", [by_row, f"{entry}_max"], list(product.output), f"{product.name}_scaled"),
    ]
    return nodes, CONSTANTS | {f"{name}_int8": values, f"{name}_scale": scales}


def _row_quantised(entry: str, kind: str, helper: Any) -> list[Any]:
    """Return the nodes that divide each row by its largest absolute value and round it to 7 bits."""
    return [
        helper.make_node("Abs", [entry], [f"{entry}_abs"], f"{entry}_abs"),
        helper.make_node("ReduceMax", [f"{entry}_abs"], [f"{entry}_peak"], f"{entry}_peak", axes=[-1], keepdims=1),
        helper.make_node("Max", [f"{entry}_peak", f"{kind}_least"], [f"{entry}_max"], f"{entry}_max"),
        helper.make_node("Div", [entry, f"{entry}_max"], [f"{entry}_unit"], f"{entry}_unit"),
        helper.make_node(
            "QuantizeLinear", [f"{entry}_unit", f"{kind}_scale", f"{kind}_zero"], [f"{entry}_int8"], f"{entry}_int8"
        ),
    ]


def quantise_weight(weight: Matrix) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.float32]]:
    """Return whole numbers from -127 to 127 and one scale an output channel, shapes (in, out) and (out,)."""
    scales = np.maximum(np.abs(weight).max(axis=0), 1e-8) / 127
    return np.round(weight / scales).astype(np.int8), scales.astype(np.float32)
