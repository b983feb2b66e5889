"""The systems whose speed `benchmarks.inference` compares: what users would write, and our runtimes."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from transformers import AutoConfig, AutoTokenizer, BertConfig, BertForSequenceClassification, pipeline

from rasd import Classifier
from rasd.batching import BATCH_TOKENS
from rasd.labels import CONFIG_KEY
from rasd.mixed_precision import list_products, quantise_products
from rasd.onnx_export import export_onnx, trace_graph
from rasd.quantisation import quantise
from rasd.runtimes import INT8_FILE, MIXED_FILE, ONNX_FILE, load_float32, load_runtime

PEERS = ("(a) pipeline", "(b) pipeline, batch 32", "(c) CrossEncoder", "(d) ONNX Runtime, batch 32")
MIXED = "openvino-mixed"
OURS = ("torch", "torch-bf16", "onnx", "onnx-int8", "openvino", "openvino-bf16", MIXED)
LARGE = "onnx, large batches"
UNFUSED = "unfused.onnx"
BATCH = 32
Predict = Callable[[list[str]], np.ndarray[Any, Any]]


def build_base(like: Path, folder: Path) -> None:
    """Write a BERT-base of AraBERT's shape with random weights, and the labels and tokenizer of another checkpoint."""
    torch.manual_seed(0)
    config = BertConfig(vocab_size=64_000)  # all other defaults are BERT-base
    labels = AutoConfig.from_pretrained(like)
    config.update({"id2label": labels.id2label, "label2id": labels.label2id, CONFIG_KEY: getattr(labels, CONFIG_KEY)})
    config.update({"problem_type": labels.problem_type, "pad_token_id": labels.pad_token_id})
    BertForSequenceClassification(config).save_pretrained(folder)
    AutoTokenizer.from_pretrained(like).save_pretrained(folder)


def build_graphs(model: Path, folder: Path, rounded: Sequence[str]) -> Path:
    """Copy a checkpoint and write its graphs beside the copy; return the copy's folder.

    `rounded` are the products in 8 bits where the precision is mixed; without any, that graph is left out.
    """
    copy = folder / "checkpoint"
    load_float32(model).save_pretrained(copy)
    tokenizer = AutoTokenizer.from_pretrained(model)
    tokenizer.save_pretrained(copy)
    export_onnx(copy)
    quantise(copy / ONNX_FILE, copy / INT8_FILE)
    if rounded:
        products = list_products(copy / ONNX_FILE)
        quantise_products(copy / ONNX_FILE, copy / MIXED_FILE, [name for name in rounded if name in products])
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
