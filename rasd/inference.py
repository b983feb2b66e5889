"""`Classifier`: spans or articles in, typed predictions out, always in the same order.

from rasd import Classifier
clf = Classifier.from_pretrained("runs/embedded/model")
clf.predict(["شنّت القوات هجوماً على البلدة"])
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import date
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from huggingface_hub import snapshot_download
from tqdm.auto import tqdm
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from rasd.actors import ActorLexicon, Evidence, Mention
from rasd.close_calls import run_twice
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
    no_events,
    probabilities,
)
from rasd.passes import Pair, Passes, Plan, SpanRows, Target, encode_passes, plan_passes
from rasd.runtimes import Runtime, RuntimeName, load_runtime
from rasd.spans import SkippedSpan, Span, cut_spans

CHECKPOINT_FILES = ["*.json", "*.safetensors", "*.txt", "*.onnx"]


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
        self._tokenizing = Lock()  # a call sets the truncation of the Rust tokenizer, which threads share
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
        folder = resolve_checkpoint(path_or_repo, revision)
        if lexicon is None and (folder / LEXICON_FILE).is_file():
            lexicon = ActorLexicon.load(folder / LEXICON_FILE)
        try:
            return cls(load_runtime(folder, runtime, device), AutoTokenizer.from_pretrained(folder), lexicon)
        except (OSError, RuntimeError, TypeError, ValueError):
            raise
        except Exception as error:  # safetensors, onnxruntime and tokenizers have their own
            raise RuntimeError(f"{folder}: the checkpoint is damaged: {type(error).__name__}: {error}") from error

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
        its probability, not only those at or above the checkpoint's threshold. A span longer than the model reads at
        once is read in overlapping windows; a span without Arabic letters tells nothing.
        """
        _check_spans(spans, actors)
        if actors is not None:
            targets = [self._given_targets(i, spans[i], actors[i], published) for i in range(len(spans))]
        else:
            targets = [self._found_targets(span, published) for span in spans]
        return self._predict(spans, targets, [0] * len(spans), all_events, progress)

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
            spans, found, skipped = self.cut_article(text, published)
            texts += [span.text for span in spans]
            starts += [span.start for span in spans]
            targets += found
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
        with self._tokenizing:
            passes = encode_passes(self.tokenizer, pairs)
        with _bar(passes, progress) as bar:
            return self._run(passes, bar.update)

    def cut_article(
        self, text: str, published: date | None = None
    ) -> tuple[list[Span], list[list[Target]], list[SkippedSpan]]:
        """Return an article's spans, the actors found in each, and what is no span; no pass is made."""
        spans, skipped = cut_spans(text)
        evidence = self.lexicon.gather_evidence(text, published) if self.lexicon and spans else None
        return spans, [self._found_targets(span.text, published, evidence) for span in spans], skipped

    def plan(self, texts: Sequence[str], targets: Sequence[Sequence[Target]], *, events: bool = True) -> Plan:
        """Plan and tokenise the passes of spans: one each, more for a long one, and one for each target.

        Without `events` only the targets' passes are planned.
        """
        with self._tokenizing:
            return plan_passes(self.tokenizer, texts, targets, events=events)

    def read(self, plan: Plan, *, on_batch: Callable[[int], object] | None = None) -> list[SpanRows]:
        """Make the planned passes; return the probabilities of each span, in order.

        `on_batch` is called with the number of passes of each batch that is done.
        """
        rows = iter(probabilities(self._run(plan.passes, on_batch), self.schema))
        result = []
        for pieces, targets in plan.counts:
            own = [next(rows) for _ in range(pieces)]
            merged = merge_windows(np.stack(own), self.schema) if own else no_events(self.schema)
            result.append(SpanRows(merged, [next(rows) for _ in range(targets)]))
        return result

    def _run(self, passes: Passes, on_batch: Callable[[int], object] | None = None) -> FloatArray:
        pad_id = int(self.tokenizer.pad_token_id)
        return run_twice(self.runtime, passes, self.schema, pad_id=pad_id, on_batch=on_batch)

    def _predict(
        self,
        texts: Sequence[str],
        targets: Sequence[Sequence[Target]],
        starts: Sequence[int],
        all_events: bool,
        progress: bool,
    ) -> list[SpanPrediction]:
        plan = self.plan(texts, targets)
        with _bar(plan.passes, progress) as bar:
            read = self.read(plan, on_batch=bar.update)
        return [
            self._assemble(text, start, wanted, rows, all_events)
            for text, start, wanted, rows in zip(texts, starts, targets, read, strict=True)
        ]

    def _assemble(
        self, text: str, start: int, targets: Sequence[Target], rows: SpanRows, all_events: bool
    ) -> SpanPrediction:
        stances = []
        for target, row in zip(targets, rows.stances, strict=True):
            stance, probability = decode_exclusive(row, self.schema, STANCE_GROUP)
            at, to = start + target.start, start + target.end
            stances.append(StancePrediction(target.actor, target.surface, at, to, stance, probability))
        events = decode_events(rows.events, self.schema, all_events=all_events)
        return SpanPrediction(text, start, start + len(text), events, tuple(stances))

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


def resolve_checkpoint(path_or_repo: str | Path, revision: str | None = None) -> Path:
    """Return the folder of a checkpoint: the one that is named, or the downloaded files of a Hub repo."""
    folder = Path(path_or_repo)
    if not folder.is_dir():
        if folder.is_absolute() or str(path_or_repo).count("/") != 1:
            raise FileNotFoundError(f"{path_or_repo}: neither a checkpoint folder nor a Hub id (owner/name)")
        folder = Path(snapshot_download(str(path_or_repo), revision=revision, allow_patterns=CHECKPOINT_FILES))
    if not (folder / "config.json").is_file():
        raise FileNotFoundError(f"{folder} has no config.json: it is no checkpoint; train one with `python -m train`")
    return folder


def _bar(passes: Passes, shown: bool) -> Any:
    return tqdm(total=len(passes), desc="predict", unit="pass", disable=not shown)


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
