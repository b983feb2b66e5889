"""Read the project's span files strictly, and turn spans into training examples.

A file is JSONL, one span a line, in the format of data/README.md; a line may refer to an article of a corpus instead of
holding its text. Whatever is wrong with a line is reported with file, line, value and fix, all lines at once; a file
with a wrong line is not used. Lines whose corpus is not there are left out with a warning.
"""

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from datasets import Dataset, Features, List, Value
from transformers import PreTrainedTokenizerBase

from rasd.labels import LabelSchema
from rasd.modeling import EVENT_GROUP, MODALITY_PREFIX, STANCE_GROUP, model_input
from rasd.spans import SURROGATE
from rasd.standoff import is_standoff, join_rows, place_problems, placeholder

SPLITS = ("train", "validation", "test")
ORIGINS = ("authored", "annotated")
MAX_ERRORS = 20

STANCE_FEATURES = {
    "actor": Value("string"),
    "surface": Value("string"),
    "start": Value("int32"),
    "end": Value("int32"),
    "stance": Value("string"),
}
FEATURES = Features(
    {
        "id": Value("string"),
        "article_id": Value("string"),
        "outlet": Value("string"),
        "published": Value("string"),
        "text": Value("string"),
        "events": List({"type": Value("string"), "modality": Value("string")}),
        "stances": List(STANCE_FEATURES),
        "origin": Value("string"),
        "annotator": Value("string"),
        "split": Value("string"),
    }
)


class DataError(ValueError):
    """Span files that cannot be used; the message has one line for each thing to mend."""


@dataclass(frozen=True)
class SpanReader:
    """A strict reader: labels must be in the schema, actors in the lexicon, offsets in the text.

    `corpora` is the folder of the corpora that stand-off lines refer to.
    """

    schema: LabelSchema
    actors: frozenset[str]
    corpora: Path | str | None = None

    def read(self, paths: Iterable[Path | str], split: str | None) -> Dataset:
        """Return the spans of a split's files, in order, as a dataset with `FEATURES`; of any where it is None."""
        return self.check(*parse_lines(paths), split)

    def check(self, lines: Sequence[tuple[str, Any]], errors: Sequence[str] = (), split: str | None = None) -> Dataset:
        """Return parsed lines, given as `(where, row)`, as a dataset; raise `DataError` with all that is wrong.

        `errors` has what is wrong already.
        """
        errors = list(errors)
        rows: list[dict[str, Any]] = []
        seen: dict[str, str] = {}
        for (_, raw), (where, whole) in zip(lines, join_rows(lines, self.corpora), strict=True):
            row = placeholder(raw) if whole is None else whole
            problems = list(self.problems(row))
            if not problems and split is not None and row["split"] != split:
                problems = [f"split is {row['split']!r}, but the file is listed under data.{split}; list it there"]
            if not problems and row["id"] in seen:
                problems = [f"id {row['id']!r} is already at {seen[row['id']]}; give each span its own"]
            if problems:
                errors += [f"{where}: {problem}" for problem in problems]
                continue
            seen[row["id"]] = where
            if whole is not None:
                rows.append(row)
        if errors:
            more = f"\n… and {len(errors) - MAX_ERRORS} more" if len(errors) > MAX_ERRORS else ""
            raise DataError("\n".join(errors[:MAX_ERRORS]) + more)
        return Dataset.from_dict({name: [row[name] for row in rows] for name in FEATURES}, features=FEATURES)

    def problems(self, row: Any) -> Iterable[str]:
        """Yield what is wrong with one parsed line, each with its value and fix."""
        if not isinstance(row, dict):
            yield f"{row!r} is not an object; write one JSON object a line"
            return
        if missing := FEATURES.keys() - row.keys():
            yield f"missing field {sorted(missing)}; data/README.md lists all fields"
        if unknown := row.keys() - FEATURES.keys():
            yield f"unknown field {sorted(unknown)}; remove it or correct its name"
        if missing or unknown:
            return
        for name in ("id", "article_id", "outlet", "text", "annotator"):
            if not isinstance(row[name], str) or not row[name].strip():
                yield f"{name} is {row[name]!r}; give a text"
        if SURROGATE.search(str(row["text"])):
            yield "text holds half a surrogate pair; write whole characters"
        if row["origin"] not in ORIGINS or row["split"] not in SPLITS:
            yield f"origin {row['origin']!r}, split {row['split']!r}; use one of {ORIGINS} and one of {SPLITS}"
        if row["published"] is not None and not _is_day(row["published"]):
            yield f"published {row['published']!r}; write YYYY-MM-DD or null"
        yield from self._event_problems(row["events"])
        yield from self._stance_problems(row["stances"], str(row["text"]))

    def _event_problems(self, events: Any) -> Iterable[str]:
        types = self.schema.group(EVENT_GROUP).labels
        if not isinstance(events, list):
            yield f"events is {events!r}; write a list, [] for none"
            return
        for event in events:
            if not isinstance(event, dict) or event.keys() != {"type", "modality"}:
                yield f"event {event!r}; write {{type, modality}}"
            elif not isinstance(event["type"], str) or event["type"] not in types:
                yield f"event type {event['type']!r}; use one of {list(types)}"
            elif event["modality"] not in self.schema.group(f"{MODALITY_PREFIX}{event['type']}").labels:
                yield f"modality {event['modality']!r} of {event['type']}; use one that the label schema has"
        names = [str(event.get("type")) for event in events if isinstance(event, dict)]
        if len(set(names)) < len(names):
            yield f"an event type occurs twice in {names}; a span has each type at most once"

    def _stance_problems(self, stances: Any, text: str) -> Iterable[str]:
        labels = self.schema.group(STANCE_GROUP).labels
        if not isinstance(stances, list):
            yield f"stances is {stances!r}; write a list, [] for none"
            return
        places = set()
        for stance in stances:
            if not isinstance(stance, dict) or stance.keys() != STANCE_FEATURES.keys():
                yield f"stance {stance!r}; write {{{', '.join(sorted(STANCE_FEATURES))}}}"
                continue
            start, end, surface, actor = stance["start"], stance["end"], stance["surface"], stance["actor"]
            if stance["stance"] not in labels:
                yield f"stance {stance['stance']!r}; use one of {list(labels)}"
            if actor is not None and (not isinstance(actor, str) or actor not in self.actors):
                yield f"actor {actor!r} is not in the lexicon; add it there, or write null"
            if not isinstance(surface, str) or not surface:
                yield f"surface is {surface!r}; give the name as it stands in the text"
            elif (
                type(start) is not int
                or type(end) is not int
                or not 0 <= start < end <= len(text)
                or text[start:end] != surface
            ):
                at = text.find(surface)
                fix = f"it is at {at}:{at + len(surface)}" if at >= 0 else "it does not occur in the text"
                yield f"surface {surface!r} is not at {start}:{end} of the text; {fix} (code points, end-exclusive)"
            elif start in places:
                yield f"two stances toward the mention at {start}:{end}; keep one"
            else:
                places.add(start)


def parse_lines(paths: Iterable[Path | str]) -> tuple[list[tuple[str, Any]], list[str]]:
    """Return the lines of the files as `(file:line, row)`, and what is wrong with those that cannot even be joined."""
    rows: list[tuple[str, Any]] = []
    errors: list[str] = []
    for path in paths:
        for number, line in enumerate(_lines(Path(path)), 1):
            where = f"{path}:{number}"
            try:
                row = json.loads(line)
            except json.JSONDecodeError as error:
                errors.append(f"{where}: not JSON ({error}); write one object a line")
                continue
            problems = list(place_problems(row)) if is_standoff(row) else []
            errors += [f"{where}: {problem}" for problem in problems]
            if not problems:
                rows.append((where, row))
    return rows, errors


def _lines(path: Path) -> Iterable[str]:
    try:
        with path.open(encoding="utf-8", newline="\n") as file:
            yield from file
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file") from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); name a file of spans") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: byte {error.start} is not UTF-8; convert the file, e.g. with iconv") from error


def _is_day(value: Any) -> bool:
    try:
        return date.fromisoformat(value).isoformat() == value
    except (TypeError, ValueError):
        return False


def draw_spans(spans: Dataset, limit: int | None, seed: int) -> Dataset:
    """Return `limit` of the spans, drawn by the seed; all where the limit is None or not below their number."""
    return spans if limit is None or limit >= len(spans) else spans.shuffle(seed=seed).select(range(limit))


def file_hashes(paths: Iterable[Path | str]) -> dict[str, str]:
    """Return each file's SHA-256 under its name."""
    return {str(path): hashlib.sha256(Path(path).read_bytes()).hexdigest() for path in paths}


def training_examples(spans: Dataset, schema: LabelSchema) -> list[dict[str, Any]]:
    """Return each span alone, and once with each of its actors: `text`, `actor` (surface or None), `targets`.

    `targets` is a row of 1, 0 and -100, as long as the logits: stance counts only where an actor is given, a modality
    only where its event is present.
    """
    examples = []
    for span in spans:
        told: dict[str, Any] = {EVENT_GROUP: [event["type"] for event in span["events"]]}
        told |= {f"{MODALITY_PREFIX}{event['type']}": event["modality"] for event in span["events"]}
        examples.append({"text": span["text"], "actor": None, "targets": schema.encode(told)})
        for stance in span["stances"]:
            targets = schema.encode(told | {STANCE_GROUP: stance["stance"]})
            examples.append({"text": span["text"], "actor": stance["surface"], "targets": targets})
    return examples


def encode_examples(
    examples: Sequence[dict[str, Any]], tokenizer: PreTrainedTokenizerBase, max_length: int
) -> tuple[Dataset, int]:
    """Return tokenised examples (`input_ids`, …, `labels`, `length`) and how many of them were truncated."""
    rows, truncated = [], 0
    for example in examples:
        pair = model_input(example["text"], example["actor"])
        whole = tokenizer(*pair, verbose=False)
        cut = tokenizer(*pair, truncation="longest_first", max_length=max_length)
        truncated += len(whole["input_ids"]) > max_length
        rows.append({**cut, "labels": example["targets"], "length": len(cut["input_ids"])})
    return Dataset.from_list(rows), truncated
