"""Passes through the model: each text tokenised once, each distinct pass computed once, like lengths together."""

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any
from unicodedata import normalize

import numpy as np
import numpy.typing as npt
from tokenizers import Encoding
from transformers import PreTrainedTokenizerBase

from rasd.batching import Piece, cut_windows, plan_batches, window_of
from rasd.modeling import FloatArray, model_input
from rasd.runtimes import Inputs, Runtime
from rasd.spans import SURROGATE, has_arabic

logger = logging.getLogger(__name__)

WINDOW_OVERLAP = 32  # tokens shared by two windows of a text longer than the model reads at once
CHUNK = 2048  # passes that are tokenised at once: what the tokenizer returns takes far more memory than what is kept
ACTOR_ROOM = 32  # tokens kept free for the actor's surface
Pair = tuple[str, str | None]
IntArray = npt.NDArray[np.int32]


@dataclass(frozen=True)
class Target:
    """A surface that a stance is asked about, with its place in the span's text."""

    actor: str | None
    surface: str
    start: int
    end: int


@dataclass(frozen=True)
class Passes:
    """Tokenised passes, none twice: `features` by input name.

    Of each pair that was asked: which of them answers it, and whether it is about an actor.
    """

    features: dict[str, list[IntArray]]
    places: list[int]
    about_actor: list[bool]

    def __len__(self) -> int:
        return len(self.features["input_ids"])

    def of(self, asked: Sequence[int]) -> "Passes":
        """Return the passes that answer some of the pairs, in their order."""
        used = {place: new for new, place in enumerate(dict.fromkeys(self.places[i] for i in asked))}
        features = {name: [values[place] for place in used] for name, values in self.features.items()}
        return Passes(features, [used[self.places[i]] for i in asked], [self.about_actor[i] for i in asked])


@dataclass(frozen=True)
class Plan:
    """Tokenised passes of some spans, and how many each span has: of its text, and of its targets."""

    passes: Passes
    counts: list[tuple[int, int]]


@dataclass(frozen=True)
class SpanRows:
    """Probabilities by label of one span: `events` of its text, shape (labels,), `stances` of each target in order."""

    events: FloatArray
    stances: list[FloatArray]


def plan_passes(
    tokenizer: PreTrainedTokenizerBase,
    texts: Sequence[str],
    targets: Sequence[Sequence[Target]],
    *,
    events: bool = True,
) -> Plan:
    """Plan the passes of spans: one each (more for a long one, none without Arabic), and one for each target.

    Without `events` only the targets' passes are planned.
    """
    pairs: list[Pair] = []
    counts = []
    for raw, wanted in zip(texts, targets, strict=True):
        text = SURROGATE.sub("\ufffd", raw)
        pieces = text_windows(tokenizer, text) if wanted or (events and has_arabic(text)) else []
        own = pieces if events else []
        pairs += [(text[a:b], None) for a, b in own]
        pairs += [(text[slice(*window_of(target.start, target.end, pieces))], target.surface) for target in wanted]
        counts.append((len(own), len(wanted)))
    return Plan(encode_passes(tokenizer, pairs), counts)


def text_windows(tokenizer: PreTrainedTokenizerBase, text: str) -> list[Piece]:
    """Return the offsets of the pieces that the model reads one at a time."""
    room = tokenizer.model_max_length - tokenizer.num_special_tokens_to_add(pair=True)
    room -= min(ACTOR_ROOM, room // 4)
    if _most_tokens(tokenizer, text) <= room:
        return [(0, len(text))]
    encoded = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
    offsets = encoded["offset_mapping"]
    if len(offsets) <= room:
        return [(0, len(text))]
    logger.info("a span of %d tokens is read in windows of %d", len(offsets), room)
    return cut_windows(offsets, room, overlap=min(WINDOW_OVERLAP, room // 4))


def _most_tokens(tokenizer: PreTrainedTokenizerBase, text: str) -> int:
    """Return how many tokens a text has at most: one a character, or one a byte where the tokenizer reads bytes."""
    backend = tokenizer.backend_tokenizer
    plain = text if text.isascii() else normalize("NFKC", text)
    by_bytes = getattr(backend.model, "byte_fallback", False) or "ByteLevel" in repr(backend.pre_tokenizer)
    return max(len(text), len(plain.encode() if by_bytes else plain))


def encode_passes(tokenizer: PreTrainedTokenizerBase, pairs: Sequence[Pair]) -> Passes:
    """Tokenise the distinct ones of (span, None) and (span, actor surface); a span with three actors is cut up once."""
    places = {pair: index for index, pair in enumerate(dict.fromkeys(pairs))}
    backend = tokenizer.backend_tokenizer
    backend.no_padding()
    features: dict[str, list[IntArray]] = {name: [] for name in tokenizer.model_input_names}
    asked = list(places)
    for at in range(0, len(asked), CHUNK):
        inputs = [model_input(*pair) for pair in asked[at : at + CHUNK]]
        texts = list(dict.fromkeys(text for given in inputs for text in given))
        backend.no_truncation()
        pieces = dict(zip(texts, backend.encode_batch_fast(texts, add_special_tokens=False), strict=True))
        backend.enable_truncation(tokenizer.model_max_length, strategy="longest_first")
        encodings = [backend.post_process(*(pieces[text] for text in given)) for given in inputs]
        for name, values in features.items():
            values += [_values(encoding, name) for encoding in encodings]
    return Passes(features, [places[pair] for pair in pairs], [actor is not None for _, actor in pairs])


def _values(encoding: Encoding, name: str) -> IntArray:
    values = {"input_ids": encoding.ids, "attention_mask": encoding.attention_mask, "token_type_ids": encoding.type_ids}
    return np.asarray(values[name], dtype=np.int32)


def run_passes(
    runtime: Runtime,
    passes: Passes,
    labels: int,
    *,
    pad_id: int,
    on_batch: Callable[[int], object] | None = None,
) -> FloatArray:
    """Return raw logits of shape (pairs, labels), in the order of the pairs that were asked.

    `on_batch` is called with the number of passes of each batch that is done.
    """
    result = np.zeros((len(passes), labels), dtype=np.float32)
    lengths = [len(ids) for ids in passes.features["input_ids"]]
    budget = min(runtime.batch_tokens, sum(lengths) // runtime.streams)  # few passes still go to every stream
    batches = list(plan_batches(lengths, budget))
    with ThreadPoolExecutor(runtime.streams) as pool:
        on_streams: Any = map if runtime.streams == 1 else pool.map
        answers = on_streams(lambda batch: runtime.logits(pad_batch(passes, batch, pad_id)), batches)
        for batch, logits in zip(batches, answers, strict=True):
            result[batch] = logits
            if on_batch is not None:
                on_batch(len(batch))
    return result[passes.places]


def pad_batch(passes: Passes, batch: Sequence[int], pad_id: int) -> Inputs:
    """Return one array of shape (batch, longest) for each input, filled up on the right."""
    width = max(len(passes.features["input_ids"][i]) for i in batch)
    padded = {}
    for name, values in passes.features.items():
        padded[name] = np.full((len(batch), width), pad_id if name == "input_ids" else 0, dtype=np.int64)
        for row, i in enumerate(batch):
            padded[name][row, : len(values[i])] = values[i]
    return padded
