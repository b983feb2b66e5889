"""`Classifier`: spans or articles in, typed predictions out, always in the same order.

from rasd import Classifier
clf = Classifier.from_pretrained("runs/embedded/model")
clf.predict(["شنّت القوات هجوماً على البلدة"])
"""

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from unicodedata import normalize

import numpy as np
from huggingface_hub import snapshot_download
from tqdm.auto import tqdm
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from rasd.actors import ActorLexicon, Evidence, Mention
from rasd.batching import cut_windows, plan_batches, window_of
from rasd.labels import LabelSchema
from rasd.modeling import (
    LEXICON_FILE,
    STANCE_GROUP,
    ArticlePrediction,
    FloatArray,
    SpanPrediction,
    StancePrediction,
    check_is_conflict_schema,
    decode_events,
    decode_exclusive,
    merge_windows,
    model_input,
    no_events,
    probabilities,
)
from rasd.runtimes import Runtime, RuntimeName, load_runtime
from rasd.spans import SURROGATE, cut_spans, has_arabic

logger = logging.getLogger(__name__)

CHECKPOINT_FILES = ["*.json", "*.safetensors", "*.txt", "*.onnx"]
Pair = tuple[str, str | None]
BATCH_TOKENS = 4096  # padded tokens in one batch
WINDOW_OVERLAP = 32  # tokens shared by two windows of a text longer than the model reads at once
ACTOR_ROOM = 32  # tokens kept free for the actor's surface


@dataclass(frozen=True)
class Target:
    """A surface that a stance is asked about, with its place in the span's text."""

    actor: str | None
    surface: str
    start: int
    end: int


class Classifier:
    """A checkpoint ready to read spans and articles."""

    def __init__(
        self, runtime: Runtime, tokenizer: PreTrainedTokenizerBase, lexicon: ActorLexicon | None = None
    ) -> None:
        """Join the parts of a checkpoint; use `from_pretrained` to load them."""
        self.runtime = runtime
        self.tokenizer = tokenizer
        self.lexicon = lexicon
        self.schema = LabelSchema.from_config(runtime.config)
        check_is_conflict_schema(self.schema)

    @classmethod
    def from_pretrained(
        cls,
        path_or_repo: str | Path,
        *,
        runtime: RuntimeName = "auto",
        lexicon: ActorLexicon | None = None,
        revision: str | None = None,
        device: str | None = None,
    ) -> "Classifier":
        """Load a checkpoint from a folder or a Hub repo, with the actor lexicon that it carries or the one given."""
        folder = Path(path_or_repo)
        if not folder.is_dir():
            if folder.is_absolute() or str(path_or_repo).count("/") != 1:
                raise FileNotFoundError(f"{path_or_repo}: neither a checkpoint folder nor a Hub id (owner/name)")
            folder = Path(snapshot_download(str(path_or_repo), revision=revision, allow_patterns=CHECKPOINT_FILES))
        if not (folder / "config.json").is_file():
            raise FileNotFoundError(
                f"{folder} has no config.json: it is no checkpoint; train one with `python -m train`"
            )
        if lexicon is None and (folder / LEXICON_FILE).is_file():
            lexicon = ActorLexicon.load(folder / LEXICON_FILE)
        return cls(load_runtime(folder, runtime, device), AutoTokenizer.from_pretrained(folder), lexicon)

    def predict(
        self,
        spans: Sequence[str],
        actors: Sequence[Sequence[str]] | None = None,
        *,
        all_events: bool = False,
        published: date | None = None,
        progress: bool = False,
    ) -> list[SpanPrediction]:
        """Return one prediction a span, in order.

        `actors` asks for the stance toward exactly these surfaces, one list a span; without it the lexicon finds the
        actors (`published` helps it to tell armies of the same name apart). `all_events` returns every event type with
        its probability, not only those at or above 0.5. A span longer than the model reads at once is read in
        overlapping windows; a span without Arabic letters tells nothing.
        """
        _check_spans(spans, actors)
        if actors is not None:
            targets = [self._given_targets(i, spans[i], actors[i], published) for i in range(len(spans))]
        else:
            targets = [self._found_targets(span, published) for span in spans]
        return self._predict(list(spans), targets, [0] * len(spans), all_events, progress)

    def predict_article(
        self, text: str, outlet: str | None = None, published: date | None = None, *, all_events: bool = False
    ) -> ArticlePrediction:
        """Cut one article into spans and predict each; every offset points into `text`."""
        return self.predict_articles([(text, outlet, published)], all_events=all_events)[0]

    def predict_articles(
        self,
        articles: Iterable[tuple[str, str | None, date | None]],
        *,
        all_events: bool = False,
        progress: bool = False,
    ) -> list[ArticlePrediction]:
        """Predict several articles (text, outlet, published) in shared batches; the result is in the same order."""
        texts: list[str] = []
        starts: list[int] = []
        targets: list[list[Target]] = []
        cuts = []
        for text, outlet, published in articles:
            spans, skipped = cut_spans(text)
            texts += [span.text for span in spans]
            starts += [span.start for span in spans]
            evidence = self.lexicon.gather_evidence(text, published) if self.lexicon else None
            targets += [self._found_targets(span.text, published, evidence) for span in spans]
            cuts.append((outlet, published, len(spans), skipped))
        predictions = iter(self._predict(texts, targets, starts, all_events, progress))
        return [
            ArticlePrediction(outlet, published, tuple(next(predictions) for _ in range(count)), tuple(skipped))
            for outlet, published, count, skipped in cuts
        ]

    def logits(self, pairs: Sequence[Pair], *, progress: bool = False) -> FloatArray:
        """Return raw logits of shape (pairs, labels) for (span, None) or (span, actor surface), in order.

        Equal pairs, frequent in wire copy, are computed once.
        """
        places = {pair: index for index, pair in enumerate(dict.fromkeys(pairs))}
        encoded = self._encode(list(places))
        result = np.zeros((len(places), len(self.schema.label_names())), dtype=np.float32)
        with tqdm(total=len(places), desc="predict", unit="pass", disable=not progress) as bar:
            for batch in plan_batches([len(features["input_ids"]) for features in encoded], BATCH_TOKENS):
                padded = self.tokenizer.pad([encoded[i] for i in batch], return_tensors="np")
                result[batch] = self.runtime.logits({name: np.asarray(v, np.int64) for name, v in padded.items()})
                bar.update(len(batch))
        return result[[places[pair] for pair in pairs]]

    def _encode(self, pairs: Sequence[Pair]) -> list[dict[str, list[int]]]:
        """Return the features of each pair; the tokenizer gets all pairs of one form at once."""
        features: list[dict[str, list[int]]] = [{} for _ in pairs]
        for form in (False, True):
            indices = [i for i, (_, actor) in enumerate(pairs) if (actor is not None) == form]
            if indices:
                columns = [list(column) for column in zip(*(model_input(*pairs[i]) for i in indices), strict=True)]
                encoded = self.tokenizer(*columns, truncation="longest_first")
                for position, i in enumerate(indices):
                    features[i] = {name: encoded[name][position] for name in self.tokenizer.model_input_names}
        return features

    def _predict(
        self, texts: list[str], targets: list[list[Target]], starts: list[int], all_events: bool, progress: bool
    ) -> list[SpanPrediction]:
        originals, texts = texts, [SURROGATE.sub("\ufffd", text) for text in texts]
        windows = [
            self._windows(text) if wanted or has_arabic(text) else []
            for text, wanted in zip(texts, targets, strict=True)
        ]
        pairs: list[Pair] = []
        for text, pieces, wanted in zip(texts, windows, targets, strict=True):
            pairs += [(text[a:b], None) for a, b in pieces]
            pairs += [(text[slice(*window_of(target.start, target.end, pieces))], target.surface) for target in wanted]
        rows = iter(probabilities(self.logits(pairs, progress=progress), self.schema))
        return [
            self._assemble(text, start, pieces, wanted, rows, all_events)
            for text, start, pieces, wanted in zip(originals, starts, windows, targets, strict=True)
        ]

    def _assemble(
        self,
        text: str,
        start: int,
        pieces: list[tuple[int, int]],
        targets: list[Target],
        rows: Iterator[FloatArray],
        all_events: bool,
    ) -> SpanPrediction:
        """Take a span's rows off the iterator and make its prediction of them."""
        own = [next(rows) for _ in pieces]
        row = merge_windows(np.stack(own), self.schema) if own else no_events(self.schema)
        stances = []
        for target in targets:
            stance, probability = decode_exclusive(next(rows), self.schema, STANCE_GROUP)
            at, to = start + target.start, start + target.end
            stances.append(StancePrediction(target.actor, target.surface, at, to, stance, probability))
        events = decode_events(row, self.schema, all_events=all_events)
        return SpanPrediction(text, start, start + len(text), events, tuple(stances))

    def _windows(self, text: str) -> list[tuple[int, int]]:
        """Return the offsets of the pieces that the model reads one at a time."""
        room = self.tokenizer.model_max_length - self.tokenizer.num_special_tokens_to_add(pair=True)
        room -= min(ACTOR_ROOM, room // 4)
        if len(normalize("NFKC", text)) <= room:  # a token is at least one character
            return [(0, len(text))]
        encoded = self.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
        offsets = encoded["offset_mapping"]
        if len(offsets) <= room:
            return [(0, len(text))]
        logger.info("a span of %d tokens is read in windows of %d", len(offsets), room)
        return cut_windows(offsets, room, overlap=min(WINDOW_OVERLAP, room // 4))

    def _found_targets(self, text: str, published: date | None, evidence: Evidence | None = None) -> list[Target]:
        """Return one target for each actor that the lexicon finds: its longest mention, the first of equals."""
        if self.lexicon is None:
            return []
        longest: dict[str, Mention] = {}
        for mention in self.lexicon.find(text, published, evidence):
            known = longest.get(mention.actor)
            if known is None or len(mention.surface) > len(known.surface):
                longest[mention.actor] = mention
        return [Target(m.actor, m.surface, m.start, m.end) for m in sorted(longest.values(), key=lambda m: m.start)]

    def _given_targets(self, index: int, text: str, surfaces: Sequence[str], published: date | None) -> list[Target]:
        mentions = self.lexicon.find(text, published) if self.lexicon else []
        targets = []
        for surface in surfaces:
            start = text.find(surface) if surface else -1
            if start < 0:
                raise ValueError(
                    f"actors[{index}]: {surface!r} does not occur in the span; give it as it is written there"
                )
            end = start + len(surface)
            actor = next((m.actor for m in mentions if m.start < end and start < m.end), None)
            targets.append(Target(actor, surface, start, end))
        return targets


def _check_spans(spans: Sequence[str], actors: Sequence[Sequence[str]] | None) -> None:
    if isinstance(spans, str):
        raise TypeError("spans must be a list of strings; for one span write [span]")
    for index, span in enumerate(spans):
        if not isinstance(span, str):
            raise TypeError(f"spans[{index}] is {type(span).__name__}, not a string")
    if actors is not None:
        if len(actors) != len(spans):
            raise ValueError(f"{len(actors)} lists of actors for {len(spans)} spans; give one list a span, [] for none")
        for index, surfaces in enumerate(actors):
            if isinstance(surfaces, str):
                raise TypeError(f"actors[{index}] is a string; give a list of surfaces, [] for none")
