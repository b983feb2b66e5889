"""A corpus job: its input, checkpoint and settings, the parts it falls into, and what must not change meanwhile."""

import fcntl
import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from rasd import __version__
from rasd.documents import Format
from rasd.files import UNFINISHED, whole_file, write_json
from rasd.inference import resolve_checkpoint
from rasd.parts import SCHEMA_VERSION, Part, Receipt, StanceWhere, read_receipts
from rasd.rows import Columns, Document, Reject
from rasd.runtimes import RuntimeName, export_command, weights_patterns
from rasd.sources import Source, find_sources, inspect_source, read_source

PART_ROWS = 500
PART_CHARACTERS = 20_000_000  # of text; a part of very long articles has fewer rows
CHECKPOINT_PARTS = ("actors.json", "config.json", "tokenizer.json", "tokenizer_config.json")
LOCK = ".lock-"
MANIFEST, SUMMARY, REJECTS = "manifest.json", "summary.json", "rejects.jsonl"


class JobError(ValueError):
    """A job that cannot be begun or gone on with; the message says why, and the fix."""


@dataclass(frozen=True)
class Settings:
    """What the rows of a job depend on, besides its input and its checkpoint."""

    form: Format = "auto"
    config: str | None = None
    split: str = "train"
    columns: Columns = field(default_factory=Columns)
    outlet: str | None = None
    runtime: RuntimeName = "auto"
    stance: StanceWhere = "all"
    with_text: bool = False
    part_rows: int = PART_ROWS


@dataclass(frozen=True)
class Shard:
    """The share of the parts that one of several processes makes: number `index` of `count`, from 1."""

    index: int = 1
    count: int = 1

    @classmethod
    def parse(cls, text: str) -> "Shard":
        """Read `I/N`."""
        index, _, count = text.partition("/")
        if not (index.isdecimal() and count.isdecimal() and 1 <= int(index) <= int(count)):
            raise JobError(f"--shard {text}: write I/N with 1 <= I <= N, such as 3/8")
        return cls(int(index), int(count))

    def has(self, part: str) -> bool:
        """Say whether the part of that name is in this share."""
        _, source, number = part.split("-")
        return (int(source) + int(number)) % self.count == self.index - 1


@dataclass(frozen=True)
class Job:
    """A corpus, a checkpoint and settings; and the folder that its parts are written to."""

    folder: Path
    sources: tuple[Source, ...]
    model: Path
    revision: str
    settings: Settings

    def key(self) -> dict[str, Any]:
        """Return what must not change while the job's parts are made, as plain values."""
        plain = {
            "schema_version": SCHEMA_VERSION,
            "model_revision": self.revision,
            "settings": asdict(self.settings),
            "sources": [{"name": s.name, "kind": s.kind, "digest": s.digest} for s in self.sources],
        }
        return json.loads(json.dumps(plain))

    def parts(self) -> Iterator[Part]:
        """Read the whole input, part by part; names and borders depend on nothing but the input."""
        for index in range(len(self.sources)):
            yield from self.source_parts(index)

    def source_parts(self, index: int) -> Iterator[Part]:
        """Read one source, part by part."""
        source = self.sources[index]
        items: list[Document | Reject] = []
        first, number, size = 1, 0, 0
        for item in read_source(source, self.settings.columns):
            if isinstance(item, Document):
                size += len(item.text)
                item = replace(item, outlet=item.outlet or self.settings.outlet)
            items.append(item)
            if len(items) >= self.settings.part_rows or size >= PART_CHARACTERS:
                yield Part(_part_name(index, number), source.name, first, items)
                first, number, size, items = first + len(items), number + 1, 0, []
        if items:
            yield Part(_part_name(index, number), source.name, first, items)


def _part_name(source: int, number: int) -> str:
    return f"part-{source:05d}-{number:06d}"


def open_job(inputs: Sequence[str], model: str | Path, folder: Path, settings: Settings) -> Job:
    """Check input, checkpoint and folder; write the manifest of a new job, compare that of an old one."""
    earlier = _read_manifest(folder)
    if earlier is None and folder.exists() and (not folder.is_dir() or not all(map(_is_ours, folder.iterdir()))):
        raise JobError(f"{folder}: is there already and is no job of `rasd predict-corpus`; choose another --output")
    known = {source["name"]: Source(**source) for source in earlier["inspected"]} if earlier else {}
    names = find_sources(inputs, settings.form, folder)
    found = [
        inspect_source(name, settings.columns, settings.form, config=settings.config, split=settings.split, known=known)
        for name in names
    ]
    checkpoint = resolve_checkpoint(model)
    job = Job(folder, tuple(found), checkpoint, checkpoint_revision(checkpoint, settings.runtime), settings)
    folder.mkdir(parents=True, exist_ok=True)
    with _alone(folder, "manifest"):  # another shard may have begun in the meantime
        _remove_unfinished(folder, MANIFEST)
        if earlier := _read_manifest(folder):
            _compare(folder, earlier["job"], job.key())
        inspected = [asdict(source) for source in found]
        write_json(folder / MANIFEST, {"rasd": __version__, "job": job.key(), "inspected": inspected})
    return job


def _is_ours(path: Path) -> bool:
    """Say whether another shard that begins just now may have made it."""
    return path.name == MANIFEST or path.name.startswith((UNFINISHED, LOCK))


def checkpoint_revision(folder: Path, runtime: RuntimeName) -> str:
    """Return a digest of all that predictions depend on: weights, tokenizer, labels, lexicon."""
    digest = hashlib.sha256()
    weights: list[Path] = []
    for pattern in weights_patterns(runtime):
        if not (found := sorted(folder.glob(pattern))):
            how = "" if pattern.startswith("*") else f"; make it with: {export_command(folder / pattern)}"
            raise JobError(f"{folder}: has no {pattern}, which the runtime {runtime!r} reads{how}")
        weights += found
    for path in [*(folder / name for name in CHECKPOINT_PARTS), *weights]:
        if path.is_file():
            with path.open("rb") as stream:
                digest.update(path.name.encode() + hashlib.file_digest(stream, "sha256").digest())
    return digest.hexdigest()


def _read_manifest(folder: Path) -> dict[str, Any] | None:
    path = folder / MANIFEST
    try:
        manifest = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None
    except ValueError as error:
        raise JobError(f"{path}: not JSON: {error}; choose another folder for --output") from error
    if manifest is not None and not (isinstance(manifest, dict) and manifest.keys() >= {"job", "inspected"}):
        raise JobError(f"{path}: is no manifest of `rasd predict-corpus`; choose another folder for --output")
    return manifest


def _compare(folder: Path, earlier: dict[str, Any], now: dict[str, Any]) -> None:
    """Refuse to mix two jobs in one folder, and say what differs."""
    names = [name for name in now if name != "settings" and earlier.get(name) != now[name]]
    before = earlier.get("settings", {})
    names += [f"settings.{name}" for name, value in now["settings"].items() if before.get(name) != value]
    if names:
        raise JobError(
            f"{folder}: was begun with another {', '.join(names)}; go on with those of its {MANIFEST}, or choose "
            "another folder for --output"
        )


@contextmanager
def only_worker(folder: Path, shard: Shard) -> Iterator[None]:
    """Let one process at a time make a shard's parts; clear away what a killed one left unfinished."""
    name = f"{shard.index}/{shard.count}"
    with _alone(folder, name.replace("/", "-of-"), busy=f"another process is at work on shard {name}"):
        try:
            _clear_unfinished(folder, shard)
            yield
        finally:
            _clear_unfinished(folder, shard)


@contextmanager
def _alone(folder: Path, what: str, *, busy: str | None = None) -> Iterator[None]:
    """Hold one of the folder's locks; wait for it, or say what `busy` says where another process holds it."""
    with (folder / f"{LOCK}{what}").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | (fcntl.LOCK_NB if busy else 0))
        except BlockingIOError as error:
            raise JobError(f"{folder}: {busy}") from error
        except OSError as error:
            raise JobError(f"{folder}: its file system knows no locks (flock): {error}; choose another") from error
        yield


def _clear_unfinished(folder: Path, shard: Shard) -> None:
    for path in folder.glob(f"{UNFINISHED}*-part-*"):
        if shard.has(path.stem[path.stem.index("part-") :]):
            path.unlink(missing_ok=True)


def _remove_unfinished(folder: Path, name: str) -> None:
    """Remove what a process that was killed while it wrote that file left; only who holds the file's lock may."""
    for path in folder.glob(f"{UNFINISHED}*-{name}"):
        path.unlink(missing_ok=True)


def finish(job: Job, expected: Sequence[str] | None) -> dict[str, Any]:
    """Return the counts of what is finished; where that is everything, write summary and rejects.

    `expected` names all parts of the input; None where they were counted before.
    """
    with _alone(job.folder, "summary"):  # two shards may end together
        for name in (REJECTS, SUMMARY):
            _remove_unfinished(job.folder, name)
        return read_summary(job.folder) or _finish(job, expected)


def _finish(job: Job, expected: Sequence[str] | None) -> dict[str, Any]:
    receipts = read_receipts(job.folder)
    complete = expected is not None and receipts.keys() >= set(expected)
    summary = {"complete": complete, "parts": len(receipts), **_totals(list(receipts.values()))}
    with whole_file(job.folder / REJECTS) as path, path.open("w", encoding="utf-8") as stream:
        for receipt in receipts.values():
            stream.writelines(json.dumps(reject, ensure_ascii=False) + "\n" for reject in receipt.rejects)
    if complete:
        write_json(job.folder / SUMMARY, summary)
    return summary


def _totals(receipts: Sequence[Receipt]) -> dict[str, Any]:
    counted = ("rows", "documents", "without_spans", "spans", "stances")
    totals: dict[str, Any] = {name: sum(getattr(receipt, name) for receipt in receipts) for name in counted}
    events: Counter[str] = Counter()
    for receipt in receipts:
        events.update(receipt.events)
    return totals | {"events": dict(events), "rejects": sum(len(receipt.rejects) for receipt in receipts)}


def read_summary(folder: Path) -> dict[str, Any] | None:
    """Return the summary of a finished job, None for one that is not."""
    path = folder / SUMMARY
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None
