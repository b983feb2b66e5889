"""Tools for annotated spans: `python -m train.annotations validate | stats | split | agreement | push | …`."""

import json
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from rasd.actors import ActorLexicon, LexiconError
from rasd.files import write_text
from rasd.labels import LabelSchema, LabelSchemaError
from rasd.standoff import CorpusError
from train.annotations.agreement import compare, disagreements
from train.annotations.counts import count_spans
from train.annotations.files import json_lines, same_spans, write_splits
from train.annotations.formats import FORMATS, Format, Rows
from train.annotations.hub import OWNED, export_hub
from train.annotations.offsets import Repairs
from train.annotations.similarity import frequent_openings, near_duplicates
from train.annotations.splits import SplitError, assign_splits
from train.data import SPLITS, DataError, SpanReader, parse_lines
from train.hub import Destination, HubError, publish_files, show_files

DATA = Path("data")
console = Console()
errors = Console(stderr=True)
app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, no_args_is_help=True, help=__doc__)

Files = Annotated[list[Path] | None, typer.Argument(help="Span files; without any, all of data/.")]
Corpora = Annotated[Path | None, typer.Option(help="Folder of the corpora that stand-off rows refer to.")]


@contextmanager
def _clear_errors() -> Iterator[None]:
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    logging.getLogger("datasets").setLevel(logging.WARNING)
    known = (CorpusError, DataError, HubError, LabelSchemaError, LexiconError, OSError, SplitError, ValueError)
    try:
        yield
    except known as error:
        errors.print(f"error: {error}", style="red", markup=False, highlight=False, soft_wrap=True)
        raise typer.Exit(2) from error


def _reader(corpora: Path | None = None) -> SpanReader:
    lexicon = ActorLexicon.load("configs/actors.json")
    return SpanReader(LabelSchema.from_yaml("configs/labels/conflict.yaml"), frozenset(lexicon.actors), corpora)


def _read(files: list[Path] | None, corpora: Path | None) -> Rows:
    found = files or sorted(path for name in ("authored", "annotated") for path in (DATA / name).glob("*.jsonl"))
    if not found:
        raise DataError(f"{DATA} holds no span files; name some")
    return list(_reader(corpora).read(found, None))


@app.command()
def validate(files: Files = None, corpora: Corpora = None) -> None:
    """Check every line; without the corpora, stand-off rows are counted but their text is not checked."""
    with _clear_errors():
        rows = _read(files, corpora)
    console.print(f"{len(rows)} spans are right")


@app.command()
def stats(
    files: Files = None, corpora: Corpora = None, as_json: Annotated[bool, typer.Option("--json")] = False
) -> None:
    """Count spans by every axis, one column a split."""
    with _clear_errors():
        rows = _read(files, corpora)
        schema = _reader().schema
    splits = {"all": rows} | {split: [row for row in rows if row["split"] == split] for split in SPLITS}
    counts = {name: count_spans(part, schema) for name, part in splits.items()}
    if as_json:
        sys.stdout.write(json.dumps(counts, ensure_ascii=False, indent=1) + "\n")
        return
    grid = Table(title=f"{len(rows)} spans")
    grid.add_column("", no_wrap=True)
    for name in counts:
        grid.add_column(name, justify="right")
    for key, value in counts["all"].items():
        if isinstance(value, dict):
            for part in value:
                grid.add_row(f"{key}: {part}", *(_cell(count[key].get(part, 0)) for count in counts.values()))
        else:
            grid.add_row(key, *(_cell(count[key]) for count in counts.values()))
    console.print(grid)


def _cell(value: int | dict[str, int]) -> str:
    return " / ".join(map(str, value.values())) if isinstance(value, dict) else str(value)


@app.command()
def duplicates(files: Files = None, corpora: Corpora = None) -> None:
    """List near-duplicates and, of authored spans, openings used too often; exit with 1 where there are any.

    Two spans of one real article are no pair: a headline and its lead share their words, and stay on one side anyway.
    """
    with _clear_errors():
        rows = _read(files, corpora)
    pairs = [pair for pair in near_duplicates([row["text"] for row in rows]) if not _of_one_real_article(rows, pair)]
    openings = frequent_openings([row["text"] for row in rows if row["origin"] == "authored"])
    for left, right, similarity in pairs:
        console.print(f"{similarity:.2f}  {rows[left]['id']}  {rows[right]['id']}", highlight=False)
    for opening, count in openings.items():
        console.print(f"{count} spans begin with {opening}", highlight=False)
    console.print(
        f"{len(pairs)} near-duplicates, {len(openings)} openings used too often in {len(rows)} spans", soft_wrap=True
    )
    if pairs or openings:
        raise typer.Exit(1)


def _of_one_real_article(rows: Rows, pair: tuple[int, int, float]) -> bool:
    left, right = rows[pair[0]], rows[pair[1]]
    return left["origin"] == "annotated" and left["article_id"] == right["article_id"]


@app.command()
def split(
    folder: Annotated[Path, typer.Argument(help="Folder of train, validation and test.jsonl, written anew.")],
    new: Annotated[list[Path] | None, typer.Argument(help="Files whose spans have no split yet.")] = None,
    corpora: Corpora = None,
) -> None:
    """Give new spans a split; spans that have one keep it, and nothing that belongs together is parted."""
    with _clear_errors():
        old_files = [path for path in (folder / f"{name}.jsonl" for name in SPLITS) if path.is_file()]
        old, problems = parse_lines(old_files)
        fresh, more = parse_lines(new or [])
        lines = [*old, *((where, _with_split(row)) for where, row in fresh)]
        rows = list(_reader(corpora).check(lines, problems + more))
        if len(rows) < len(lines):
            raise DataError(f"{len(lines) - len(rows)} spans have no text; --corpora names the folder of the corpora")
        current = [row["split"] for _, row in old] + [None] * len(fresh)
        write_splits(folder, [row for _, row in lines], assign_splits(rows, current))
    console.print(f"{folder}: {len(old)} spans kept their split, {len(fresh)} got one", soft_wrap=True)


def _with_split(row: Any) -> Any:
    return row | {"split": SPLITS[0]} if isinstance(row, dict) else row


@app.command()
def agreement(
    first: Annotated[Path, typer.Argument(help="One annotator's spans.")],
    second: Annotated[Path, typer.Argument(help="The other's, in any order.")],
    corpora: Corpora = None,
    list_to: Annotated[Path | None, typer.Option("--list", help="Write the disagreements, JSON lines.")] = None,
) -> None:
    """Print the agreement of two annotators over the spans that both labelled."""
    with _clear_errors():
        reader = _reader(corpora)
        left, right = same_spans(list(reader.read([first], None)), list(reader.read([second], None)))
        found = disagreements(left, right)
        if list_to:
            write_text(list_to, json_lines(found))
    grid = Table(title=f"{len(left)} spans labelled by both; {len(found)} differ")
    grid.add_column("")
    for column, width in (("value", 5), ("95 % interval", 14), ("units", 5)):
        grid.add_column(column, justify="right", min_width=width, no_wrap=True)
    for row in compare(left, right, reader.schema):
        interval = f"{row.interval[0]:.3f} to {row.interval[1]:.3f}" if row.interval else "–"
        grid.add_row(row.name, f"{row.value:.3f}", interval, str(row.units))
    console.print(grid)


@app.command()
def export(
    output: Annotated[Path, typer.Argument(help="File to write; with --hub a new folder.")],
    files: Files = None,
    to: Annotated[Format, typer.Option(help="Format of the file.")] = Format.JSONL,
    hub: Annotated[bool, typer.Option("--hub", help="Write data/ in the layout of the Hugging Face Hub.")] = False,
    corpora: Corpora = None,
) -> None:
    """Write spans for an annotation tool, or the data set for the Hub."""
    with _clear_errors():
        if hub:
            if files:
                raise ValueError("--hub writes all of data/; leave the files out")
            written = export_hub(DATA, output, _reader())
            console.print(f"{output}: {len(written)} files", highlight=False, soft_wrap=True)
            return
        rows = _read(files, corpora)
        write_text(output, FORMATS[to][0](rows))
    console.print(f"{output}: {len(rows)} spans", highlight=False, soft_wrap=True)


@app.command()
def push(
    folder: Annotated[Path, typer.Argument(help="Folder of the data set, with its card README.md.")],
    repo_id: Annotated[str, typer.Option(help="Repo, owner/name; created where there is none.")],
    private: Annotated[bool, typer.Option("--private", help="Create the repo as a private one.")] = False,
    endpoint: Annotated[str | None, typer.Option(help="Address of another Hub.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="List the files; send nothing.")] = False,
) -> None:
    """Upload the data set to the Hugging Face Hub in one commit; of stand-off spans the labels, never the text."""
    destination = Destination(repo_id, "dataset", private, endpoint)
    with _clear_errors(), TemporaryDirectory() as work:
        destination.check()
        written = export_hub(folder, Path(work) / "hub", _reader())
        files: dict[str, Path | bytes] = {path.relative_to(Path(work) / "hub").as_posix(): path for path in written}
        if dry_run:
            show_files(console, files, repo_id)
            return
        url = publish_files(files, destination, f"Publish {folder.resolve().name}", OWNED)
    console.print(url, markup=False, highlight=False, soft_wrap=True)


@app.command("import")
def import_spans(
    source: Annotated[Path, typer.Argument(help="What an annotation tool exported.")],
    output: Annotated[Path, typer.Argument(help="Span file to write, JSONL.")],
    of: Annotated[Format, typer.Option("--from", help="Format of the source.")] = Format.LABEL_STUDIO,
) -> None:
    """Read an annotation tool's export, repair its offsets, check it, and write a span file; report what was lost."""
    with _clear_errors():
        repairs = Repairs()
        with source.open(encoding="utf-8-sig", newline="") as file:  # a line break inside a text stays what it is
            content = file.read()
        try:
            rows = FORMATS[of][1](content, repairs)
        except ValueError as error:
            raise ValueError(f"{source}: {error}") from error
        _reader().check([(f"{source}, span {number}", row) for number, row in enumerate(rows, 1)])
        write_text(output, json_lines(rows))
    for entry in repairs.lost:
        errors.print(f"lost: {entry}", markup=False, highlight=False, soft_wrap=True)
    console.print(f"{output}: {len(rows)} spans; {repairs.summary()}", highlight=False, soft_wrap=True)
    if repairs.lost:
        raise typer.Exit(1)


if __name__ == "__main__":
    app()
