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
from rasd.close_calls import decision_margins
from rasd.fewer_bits import WRITERS, Int8Runtime, write_int8
from rasd.labels import CONFIG_KEY
from rasd.onnx_export import export_onnx, trace_graph
from rasd.quantisation import store_margins
from rasd.runtimes import INT8_FILES, ONNX_FILE, load_float32, load_int8, load_runtime

PEERS = ("(a) pipeline", "(b) pipeline, batch 32", "(c) CrossEncoder", "(d) ONNX Runtime, batch 32")
OURS = ("torch", "torch-bf16", "onnx", "onnx-int8", "openvino", "openvino-bf16", "openvino-int8")
LARGE = "onnx, large batches"
UNFUSED = "unfused.onnx"
BATCH = 32
# The share of spans that random weights read again: as of the same news with the trained checkpoint of README.md.
AGAIN: dict[Int8Runtime, float] = {"onnx-int8": 0.095, "openvino-int8": 0.043}
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


def build_graphs(model: Path, folder: Path, texts: Sequence[str]) -> Path:
    """Copy a checkpoint and write its graphs beside the copy; return the copy's folder.

    Where `rasd export` has written one in 8 bits, that is copied; else its margin has the share AGAIN of the texts
    read again.
    """
    copy = folder / "checkpoint"
    load_float32(model).save_pretrained(copy)
    tokenizer = AutoTokenizer.from_pretrained(model)
    tokenizer.save_pretrained(copy)
    export_onnx(copy)
    original = Classifier.from_pretrained(copy, runtime="onnx")
    for name in WRITERS:
        file = INT8_FILES[name]
        if (model / file).is_file():
            (copy / file).write_bytes((model / file).read_bytes())
        else:
            pairs = [(text, None) for text in texts]
            write_int8(copy / ONNX_FILE, copy / file, name, original, pairs)
            logits = Classifier(load_int8(name, copy / file), original.tokenizer).logits(pairs)
            margins = decision_margins(logits, [False] * len(pairs), original.schema)
            store_margins(copy / file, (float(np.quantile(margins, AGAIN[name])), 0.0))
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
