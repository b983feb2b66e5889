"""Load an encoder's tokenizer with its normaliser inside: the one way to get the tokenizer of a backbone."""

from tokenizers import Tokenizer
from transformers import AutoTokenizer, PreTrainedTokenizerBase, PreTrainedTokenizerFast

from rasd.backbones import EMBEDDED, resolve_backbone
from rasd.embedded_archive import BackboneError
from rasd.encoder_normalizers import check_encoder, normalized

KEPT_SETTINGS = ("model_max_length", "padding_side", "truncation_side", "model_input_names", "chat_template")


def load_tokenizer(name_or_path: str, revision: str | None = None) -> PreTrainedTokenizerBase:
    """Return the tokenizer of `embedded`, a Hub id or a folder; it takes raw text, saved and loaded again too.

    A checkpoint that rasd trained has its normaliser already. Raises BackboneError for an encoder whose text cannot be
    prepared.
    """
    if name_or_path == EMBEDDED:  # its tokenizer is built with its normaliser
        return AutoTokenizer.from_pretrained(resolve_backbone(name_or_path))
    check_encoder(name_or_path)  # before anything is downloaded
    tokenizer = AutoTokenizer.from_pretrained(name_or_path, revision=revision)
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if not isinstance(backend, Tokenizer):
        raise BackboneError(f"{name_or_path}: its tokenizer has no tokenizer.json form, which rasd needs for offsets")
    wrapped = normalized(backend, name_or_path)
    return tokenizer if wrapped is backend else _with_backend(tokenizer, wrapped)


def _with_backend(tokenizer: PreTrainedTokenizerBase, backend: Tokenizer) -> PreTrainedTokenizerBase:
    """Return a tokenizer of the general class around the backend, with the given one's special tokens and settings.

    The class of a single model builds its normaliser anew whenever it is loaded, and would lose ours.
    """
    settings = {name: getattr(tokenizer, name) for name in KEPT_SETTINGS}
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        clean_up_tokenization_spaces=getattr(tokenizer, "clean_up_tokenization_spaces", False),
        **tokenizer.special_tokens_map,
        **settings,
    )
