"""Write a checkpoint of AraBERT's shape that decides as a trained one of half its width.

Usage: `python -m benchmarks.base_size MODEL FOLDER`, then `rasd export FOLDER` as for any checkpoint.

To time and compare the decisions of a BERT-base, one is needed that decides something: random weights make every
decision a near tie. MODEL, the embedded encoder fine-tuned, has half the width and one layer more. Each of its units
is written twice, and each weight shared by the two copies of its input in random parts, so that sums, and with them
all logits, stay as they are ("Net2Net", Chen, Goodfellow and Shlens, 2016). One layer is left out, of the first eleven
the one whose loss costs the least macro-F1 on a quarter of the validation spans. The table of pieces is filled up with
rows that no text uses.
"""

import argparse
import shutil
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from torch import Tensor
from transformers import AutoTokenizer, BertConfig, BertForSequenceClassification

from rasd.modeling import LEXICON_FILE
from rasd.runtimes import load_float32

LEFT_OUT = 3  # counted from 0
PIECES = 64_000
EMBEDDINGS = "bert.embeddings."
HEADS = ("query", "key", "value")
CLOSE = 1e-3  # logits


def widen(name: str, weight: Tensor, heads: int) -> Tensor:
    """Return a parameter of the network of twice the width; `name` is its name in BertForSequenceClassification.

    Vectors and tables of shape (…, width) become (…, 2 width), matrices (out, in) become (2 out, 2 in); a head has
    its two copies side by side.
    """
    layer = name.split(".")[-2]
    if name.startswith(EMBEDDINGS):
        return torch.cat([weight, weight], dim=-1)
    if layer == "classifier":
        return weight if weight.ndim == 1 else _share(weight)
    if layer in HEADS:
        weight = weight.unflatten(0, (heads, -1))
        copies = torch.cat([weight, weight], dim=1).flatten(0, 1)
        # a score is now the sum of two equal ones, and divided by the root of twice the width
        copies = copies / 2**0.5 if layer == "query" else copies
        return copies if copies.ndim == 1 else _share(copies)
    copies = torch.cat([weight, weight])
    if name.endswith("attention.output.dense.weight"):
        return _share(copies.unflatten(1, (heads, -1))).flatten(1)
    return copies if copies.ndim == 1 else _share(copies)


def _share(weight: Tensor) -> Tensor:
    """Return weights of which each is shared at random by two copies of its input, on the last axis."""
    part = torch.rand_like(weight)
    return torch.cat([weight * part, weight * (1 - part)], dim=-1)


def build(source: Path, folder: Path) -> None:
    """Write the wide checkpoint, and the tokenizer and lexicon of the other, into a new folder."""
    torch.manual_seed(0)
    model: Any = load_float32(source)
    old = model.config
    base = BertConfig(vocab_size=PIECES)  # all other defaults are BERT-base
    if (2 * old.hidden_size, old.num_hidden_layers - 1) != (base.hidden_size, base.num_hidden_layers):
        raise SystemExit(
            f"{source}: wants a BERT of 13 layers and width 384, not {old.num_hidden_layers} of {old.hidden_size}"
        )
    del model.bert.encoder.layer[LEFT_OUT]
    weights = {name: widen(name, weight, old.num_attention_heads) for name, weight in model.state_dict().items()}
    table = f"{EMBEDDINGS}word_embeddings.weight"
    weights[table] = torch.cat([weights[table], torch.zeros(PIECES - old.vocab_size, base.hidden_size)])
    shape = ("vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads")
    config = BertConfig.from_dict(old.to_dict() | {name: getattr(base, name) for name in shape})
    wide: Any = BertForSequenceClassification(config).eval()
    wide.load_state_dict(weights)
    check_equal(model.eval(), wide)
    wide.save_pretrained(folder)
    AutoTokenizer.from_pretrained(source).save_pretrained(folder)
    shutil.copy(source / LEXICON_FILE, folder)


@torch.inference_mode()
def check_equal(narrow: Any, wide: Any) -> None:
    """Stop where two networks answer the same pieces otherwise."""
    pieces = torch.randint(5, narrow.config.vocab_size, (4, 100))
    difference = float((narrow(pieces).logits - wide(pieces).logits).abs().max())
    if difference > CLOSE:
        raise SystemExit(f"the wide checkpoint's logits differ by {difference}")
    Console().print(f"logits differ by {difference:.1e} at most")


def main() -> None:
    """Write the checkpoint."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, metavar="MODEL", help="checkpoint folder")
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="where the wide one is written")
    arguments = parser.parse_args()
    build(arguments.model, arguments.folder)


if __name__ == "__main__":
    main()
