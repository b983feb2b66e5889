"""Layers that are not trained: keep them as they are, and compute their output on the examples only once.

On a CPU the frozen layers are a large part of each step, although their output is the same in every epoch, and for
every seed that trains on the same examples. It is kept in the cache folder in half precision, `2 * hidden size` bytes a
token; dropout does not touch it.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from datasets import Dataset
from torch import Tensor
from torch.utils.data import Dataset as TorchDataset
from tqdm.auto import tqdm
from transformers import DataCollatorWithPadding, PreTrainedModel, PreTrainedTokenizerBase

from rasd.backbones import cache_folder
from rasd.batching import batch_tokens, plan_batches
from rasd.files import whole_file
from train.config import ConfigError

Features = dict[str, Any]


def freeze(model: PreTrainedModel, embeddings: bool, layers: int) -> None:
    """Keep the embeddings and the lowest encoder layers as they are."""
    encoder: Any = model.base_model
    if not embeddings and not layers:
        return
    if not hasattr(getattr(encoder, "encoder", None), "layer"):
        name = type(model).__name__
        raise ConfigError(f"{name} has no layers that rasd can freeze: model.freeze_layers 0, freeze_embeddings false")
    if layers > len(encoder.encoder.layer):
        raise ConfigError(f"model.freeze_layers is {layers}, but the encoder has {len(encoder.encoder.layer)} layers")
    frozen = [encoder.embeddings] if embeddings else []
    for module in [*frozen, *encoder.encoder.layer[:layers]]:
        module.requires_grad_(False)


@dataclass(frozen=True)
class CachedExamples(TorchDataset[Features]):
    """Examples with the output of the frozen layers in place of their tokens."""

    states: npt.NDArray[np.float16]
    """Shape (tokens of all examples, hidden size), on disk."""
    offsets: npt.NDArray[np.int64]
    """Where each example begins, and the end, shape (examples + 1,)."""
    labels: Sequence[Sequence[float]]

    def __len__(self) -> int:
        """Return the number of examples."""
        return len(self.labels)

    def __getitem__(self, index: int) -> Features:
        """Return one example: `inputs_embeds` of shape (tokens, hidden size), and `labels`."""
        states = self.states[self.offsets[index] : self.offsets[index + 1]]
        return {"inputs_embeds": torch.from_numpy(states.astype(np.float32)), "labels": self.labels[index]}


class Collator(DataCollatorWithPadding):
    """Pads a batch of tokens, or of cached states."""

    def __call__(self, features: list[Features]) -> Features:
        """Return the padded batch: `attention_mask`, `labels`, and `input_ids` or `inputs_embeds`."""
        if "inputs_embeds" not in features[0]:
            return super().__call__(features)
        states: list[Tensor] = [example["inputs_embeds"] for example in features]
        masks = [torch.ones(len(part), dtype=torch.int64) for part in states]
        return {
            "inputs_embeds": torch.nn.utils.rnn.pad_sequence(states, batch_first=True),
            "attention_mask": torch.nn.utils.rnn.pad_sequence(masks, batch_first=True),
            "labels": torch.tensor([example["labels"] for example in features]),
        }


def cache_examples(
    model: PreTrainedModel, examples: Dataset, layers: int, tokenizer: PreTrainedTokenizerBase
) -> CachedExamples:
    """Return the examples as the embeddings and the lowest layers leave them, computed now or found in the cache."""
    encoder: Any = model.base_model
    names = [name for name in tokenizer.model_input_names if name in examples.column_names]
    encoded = [dict(zip(names, row, strict=True)) for row in zip(*(examples[name] for name in names), strict=True)]
    offsets = np.concatenate([[0], np.cumsum(examples["length"])]).astype(np.int64)
    weights = [*encoder.embeddings.parameters(), *encoder.encoder.layer[:layers].parameters()]
    path = cache_folder() / "frozen" / f"{digest([str(encoder.config), str(encoded)], weights)}.npy"
    if not path.is_file():
        with whole_file(path) as unfinished:
            _write_states(unfinished, encoder, encoded, offsets, layers, tokenizer)
    return CachedExamples(np.load(path, mmap_mode="r"), offsets, list(examples["labels"]))


def start_above(model: PreTrainedModel, layers: int) -> None:
    """Let the model take `inputs_embeds` for the output of its lowest layers; with `input_ids` nothing changes.

    The modules and their weights stay where they are: checkpoints are those of the whole model.
    """
    encoder: Any = model.base_model
    embed = encoder.embeddings.forward
    state = {"is_above": False}

    def embed_or_pass(*, inputs_embeds: Tensor | None = None, **kwargs: Any) -> Tensor:
        state["is_above"] = inputs_embeds is not None
        return embed(**kwargs) if inputs_embeds is None else inputs_embeds

    def run_or_pass(run: Any) -> Any:
        return lambda states, *args, **kwargs: states if state["is_above"] else run(states, *args, **kwargs)

    encoder.embeddings.forward = embed_or_pass
    for layer in encoder.encoder.layer[:layers]:
        layer.forward = run_or_pass(layer.forward)


def digest(texts: Iterable[str], weights: Iterable[Tensor]) -> str:
    """Return a name for what a network with these weights computes from these inputs."""
    sha256 = hashlib.sha256()
    for text in texts:
        sha256.update(text.encode())
    for tensor in weights:
        sha256.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return sha256.hexdigest()


@torch.inference_mode()
def _write_states(
    path: Path,
    encoder: Any,
    encoded: Sequence[Features],
    offsets: npt.NDArray[np.int64],
    layers: int,
    tokenizer: PreTrainedTokenizerBase,
) -> None:
    shape = (int(offsets[-1]), int(encoder.config.hidden_size))
    states = np.lib.format.open_memmap(path, "w+", np.float16, shape)
    all_layers, was_training = encoder.encoder.layer, encoder.training
    encoder.encoder.layer = all_layers[:layers]
    encoder.eval()
    try:
        with tqdm(total=len(encoded), desc="frozen layers", unit="example") as bar:
            for batch in plan_batches(np.diff(offsets).tolist(), batch_tokens(encoder.device.type)):
                padded = tokenizer.pad([encoded[i] for i in batch], return_tensors="pt").to(encoder.device)
                for i, row in zip(batch, encoder(**padded).last_hidden_state, strict=True):
                    length = int(offsets[i + 1] - offsets[i])
                    states[offsets[i] : offsets[i + 1]] = row[:length].half().cpu().numpy()
                bar.update(len(batch))
    finally:
        encoder.encoder.layer = all_layers
        encoder.train(was_training)
    states.flush()
