"""The systems whose speed `benchmarks.inference` compares: what users would write, and our runtimes."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from transformers import AutoTokenizer, pipeline

from rasd import Classifier
from rasd.batching import BATCH_TOKENS
from rasd.onnx_export import export_onnx, trace_graph
from rasd.runtimes import INT8_FILES, load_float32, load_runtime

PEERS = ("(a) pipeline", "(b) pipeline, batch 32", "(c) CrossEncoder", "(d) ONNX Runtime, batch 32")
OURS = ("torch", "torch-bf16", "onnx", "onnx-int8", "openvino", "openvino-bf16", "openvino-int8")
LARGE = "onnx, large batches"
UNFUSED = "unfused.onnx"
BATCH = 32
Predict = Callable[[list[str]], np.ndarray[Any, Any]]


def build_graphs(model: Path, folder: Path) -> Path:
    """Copy a checkpoint with its files in 8 bits, where `rasd export` has written them, and write its other graphs.

    Returns the copy's folder.
    """
    copy = folder / "checkpoint"
    load_float32(model).save_pretrained(copy)
    tokenizer = AutoTokenizer.from_pretrained(model)
    tokenizer.save_pretrained(copy)
    export_onnx(copy)
    for file in INT8_FILES.values():
        if (model / file).is_file():
            shutil.copy(model / file, copy)
    trace_graph(load_float32(copy, attn_implementation="eager").eval(), tokenizer.model_input_names, copy / UNFUSED)
    return copy


def plain_session(path: Path, threads: int) -> Any:
    """Open a graph as ONNX Runtime's documentation shows it: all threads work on the same batch."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def load_system(name: str, folder: Path, threads: int) -> Predict:
    """Return a system as a function from texts to logits of shape (texts, labels)."""
    if name in (*OURS, LARGE):
        runtime: Any = load_runtime(folder, "onnx" if name == LARGE else name, threads=threads)  # type: ignore[arg-type]
        runtime.batch_tokens = BATCH_TOKENS if name == LARGE else runtime.batch_tokens
        classifier = Classifier(runtime, AutoTokenizer.from_pretrained(folder))
        return lambda texts: classifier.logits([(text, None) for text in texts])
    if name == PEERS[2]:
        from sentence_transformers import CrossEncoder  # no dependency of the project

        encoder = CrossEncoder(str(folder), activation_fn=torch.nn.Identity(), device="cpu")
        return lambda texts: np.asarray(encoder.predict([(text, "") for text in texts], batch_size=BATCH))
    if name == PEERS[3]:
        session, tokenizer = plain_session(folder / UNFUSED, threads), AutoTokenizer.from_pretrained(folder)

        def predict(texts: list[str]) -> np.ndarray[Any, Any]:
            parts = [texts[at : at + BATCH] for at in range(0, len(texts), BATCH)]
            batches = [tokenizer(part, padding=True, truncation=True, return_tensors="np") for part in parts]
            return np.concatenate([session.run(["logits"], dict(batch))[0] for batch in batches])

        return predict
    pipe: Any = pipeline("text-classification", model=str(folder), device="cpu", dtype=torch.float32)
    size = 1 if name == PEERS[0] else BATCH
    order = [pipe.model.config.id2label[index] for index in range(pipe.model.config.num_labels)]

    def classify(texts: list[str]) -> np.ndarray[Any, Any]:
        rows = pipe(texts, batch_size=size, top_k=None, function_to_apply="none", truncation=True)
        by_label = [{answer["label"]: answer["score"] for answer in row} for row in rows]
        return np.array([[row[label] for label in order] for row in by_label])

    return classify
