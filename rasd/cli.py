"""The `rasd` command: `rasd predict FILE…|-`, `rasd predict-corpus INPUT…`, `rasd export MODEL`."""

import json
import sys
from datetime import date
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text
from transformers.utils import logging

from rasd.corpus import Engine
from rasd.corpus import predict_corpus as predict_into
from rasd.corpus_job import PART_ROWS, REJECTS, Settings, Shard
from rasd.documents import Format, read_documents
from rasd.fewer_bits import Int8Runtime, Reference, export_int8
from rasd.inference import Classifier
from rasd.onnx_export import export_onnx
from rasd.parity import read_labelled_spans
from rasd.parts import StanceWhere
from rasd.ray_engine import Workers
from rasd.rows import Columns, Document, Reject
from rasd.runtimes import RuntimeName

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, no_args_is_help=True)
errors = Console(stderr=True)
DEFAULT_MODEL = Path("runs/embedded/model")
CHUNK = 16  # documents that share batches
STANCE_COLOURS = {"hostile": "red", "neutral": "white", "supportive": "green"}


@app.callback()
def main() -> None:
    """Conflict events and outlet stance in Arabic news."""


@app.command()
def predict(
    files: Annotated[
        list[str], typer.Argument(help="Files (.txt .jsonl .csv, also .gz; .parquet), or - for standard input.")
    ],
    model: Annotated[str, typer.Option(help="Checkpoint folder or Hub id.")] = str(DEFAULT_MODEL),
    form: Annotated[
        Format, typer.Option("--format", help="Kind of input, where the file name does not say it.")
    ] = "auto",
    runtime: Annotated[RuntimeName, typer.Option(help="How logits are computed.")] = "auto",
    outlet: Annotated[str | None, typer.Option(help="Outlet of documents that name none.")] = None,
    published: Annotated[str | None, typer.Option(help="Date (YYYY-MM-DD) of documents that have none.")] = None,
    text_column: Annotated[str | None, typer.Option(help="Field that holds the article's text.")] = None,
    all_events: Annotated[bool, typer.Option("--all-events", help="Every event type with its probability.")] = False,
    as_json: Annotated[
        bool | None, typer.Option("--json/--table", help="JSON lines (the default when piped) or a table.")
    ] = None,
) -> None:
    """Say which conflict events each span tells, and the outlet's stance toward each actor it names."""
    day = _parse_day(published)
    columns = Columns(text=(text_column,)) if text_column else Columns()
    classifier = _load(model, runtime)
    to_json = as_json if as_json is not None else not sys.stdout.isatty()
    rejected = done = 0
    stream = (item for name in files for item in read_documents(name, form, columns))
    while chunk := list(islice(stream, CHUNK)):
        documents = [item for item in chunk if isinstance(item, Document)]
        for item in chunk:
            if isinstance(item, Reject):
                errors.print(f"rejected: {item}", style="red", markup=False, highlight=False, soft_wrap=True)
        articles = [(d.text, d.outlet or outlet, d.published or day) for d in documents]
        predictions = classifier.predict_articles(articles, all_events=all_events, progress=sys.stderr.isatty())
        for document, prediction in zip(documents, predictions, strict=True):
            row = {"id": document.id, "text_start": document.text_start, **prediction.to_dict()}
            if not prediction.spans:
                row["note"] = _why_nothing(document.text, row["skipped"])
                errors.print(f"note: {document.id}: {row['note']}, nothing to predict", markup=False, soft_wrap=True)
            _print_json(row) if to_json else _print_table(row)
        rejected += len(chunk) - len(documents)
        done += len(documents)
    if rejected:
        errors.print(f"{done} documents read, {rejected} rejected", style="red")
        raise typer.Exit(1)


@app.command()
def predict_corpus(
    inputs: Annotated[
        list[str],
        typer.Argument(help="Files (.jsonl .csv .txt, also .gz .zst; .parquet), folders, or hf://datasets/owner/name."),
    ],
    output: Annotated[Path, typer.Option(help="Folder for the Parquet parts; the same one goes on with its job.")],
    model: Annotated[str, typer.Option(help="Checkpoint folder or Hub id.")] = str(DEFAULT_MODEL),
    form: Annotated[
        Format, typer.Option("--format", help="Kind of input, where the file name does not say it.")
    ] = "auto",
    config: Annotated[str | None, typer.Option(help="Configuration of a Hub data set that has several.")] = None,
    split: Annotated[str, typer.Option(help="Split of a Hub data set.")] = "train",
    text_column: Annotated[str | None, typer.Option(help="Field of the article's text.")] = None,
    title_column: Annotated[str | None, typer.Option(help="Field of its title.")] = None,
    outlet_column: Annotated[str | None, typer.Option(help="Field of its outlet.")] = None,
    published_column: Annotated[str | None, typer.Option(help="Field of its date.")] = None,
    id_column: Annotated[str | None, typer.Option(help="Field of its id.")] = None,
    outlet: Annotated[str | None, typer.Option(help="Outlet of articles that name none.")] = None,
    runtime: Annotated[RuntimeName, typer.Option(help="How logits are computed.")] = "auto",
    stance: Annotated[
        StanceWhere, typer.Option(help="Stance in all spans, in those that tell an event, or in none.")
    ] = "all",
    with_text: Annotated[bool, typer.Option("--with-text", help="Store the spans' text too.")] = False,
    shard: Annotated[str, typer.Option(help="Share of this process, I/N, in a job array.")] = "1/1",
    engine: Annotated[Engine, typer.Option(help="This process, or a Ray cluster (extra ray).")] = "local",
    workers: Annotated[int, typer.Option(min=1, help="Workers on the Ray cluster.")] = 1,
    cpus_per_worker: Annotated[int, typer.Option(min=1, help="CPUs of each.")] = 1,
    gpus_per_worker: Annotated[float, typer.Option(min=0, help="GPUs of each.")] = 0,
    part_rows: Annotated[int, typer.Option(min=1, help="Articles in a part: what a kill costs at most.")] = PART_ROWS,
) -> None:
    """Predict a corpus into Parquet parts. After Ctrl-C, a kill or a crash the same command goes on."""
    named = {
        "text": text_column,
        "title": title_column,
        "outlet": outlet_column,
        "published": published_column,
        "id": id_column,
    }
    columns = Columns(**{field: (name,) for field, name in named.items() if name})
    settings = Settings(form, config, split, columns, outlet, runtime, stance, with_text, part_rows)
    logging.disable_progress_bar()
    try:
        share = Shard.parse(shard)
        team = Workers(workers, cpus_per_worker, gpus_per_worker)
        shown = sys.stderr.isatty()
        summary = predict_into(
            inputs, model, output, settings, shard=share, engine=engine, workers=team, progress=shown
        )
    except KeyboardInterrupt:
        errors.print(f"interrupted; finished parts are in {output}, the same command goes on", soft_wrap=True)
        raise typer.Exit(130) from None
    except (OSError, RuntimeError, ValueError) as error:
        _fail(error)
    _print_summary(summary, output)


@app.command()
def export(
    model: Annotated[Path, typer.Argument(help="Checkpoint folder.")],
    onnx: Annotated[bool, typer.Option("--onnx", help="For ONNX Runtime: the only form, and the default.")] = True,
    int8: Annotated[bool, typer.Option("--int8", help="In 8 bits too, if the decisions on --validation hold.")] = False,
    openvino_int8: Annotated[bool, typer.Option("--openvino-int8", help="The same for OpenVINO.")] = False,
    validation: Annotated[list[Path] | None, typer.Option(help="Labelled spans (JSONL); may be repeated.")] = None,
    corpora: Annotated[Path | None, typer.Option(help="Folder of the corpora that stand-off spans refer to.")] = None,
) -> None:
    """Write model.onnx into a checkpoint folder, for `--runtime onnx` or `openvino`.

    With --int8 also model.int8.onnx, for `--runtime onnx-int8`; with --openvino-int8 also model.openvino-int8.onnx, for
    `--runtime openvino-int8`.
    """
    wanted: dict[Int8Runtime, bool] = {"onnx-int8": int8, "openvino-int8": openvino_int8}
    if any(wanted.values()) != bool(validation):
        raise typer.BadParameter(
            "goes together with --int8 or --openvino-int8: the decisions are compared on it", param_hint="--validation"
        )
    try:
        labelled = read_labelled_spans(validation, corpora) if validation else []
        reference = Reference(model, labelled, progress=sys.stderr.isatty())
        exported = export_onnx(model)
        layers = f"{exported.fused} fused layers" if exported.fused else "not fused: an architecture without fusions"
        errors.print(f"written: {exported.path} ({layers})", markup=False, soft_wrap=True)
        for runtime in (name for name, asked in wanted.items() if asked):
            rounded = export_int8(reference, runtime)
            again = f"{rounded.again:.1%} of the passes read again"
            errors.print(f"written: {rounded.path} ({rounded.parity}; {again})", markup=False, soft_wrap=True)
    except (OSError, RuntimeError, ValueError) as error:
        _fail(error)


def _load(model: str, runtime: RuntimeName) -> Classifier:
    logging.disable_progress_bar()
    try:
        return Classifier.from_pretrained(model, runtime=runtime)
    except (OSError, RuntimeError, ValueError) as error:
        _fail(error)


def _print_summary(summary: dict[str, Any], output: Path) -> None:
    events = ", ".join(f"{label} {count:,}" for label, count in summary["events"].items())
    errors.print(
        f"{output}: {summary['documents']:,} articles ({summary['without_spans']:,} without a span), "
        f"{summary['spans']:,} spans ({events}), {summary['stances']:,} stances, {summary['rejects']:,} rejected",
        markup=False,
        highlight=False,
        soft_wrap=True,
    )
    if summary["rejects"]:
        errors.print(f"why rows were rejected: {output / REJECTS}", style="yellow", markup=False, soft_wrap=True)
    if not summary["complete"]:
        errors.print("other shards are not finished yet", style="yellow")
    if not sys.stdout.isatty():
        _print_json(summary)


def _why_nothing(text: str, skipped: list[dict[str, Any]]) -> str:
    if not text.strip():
        return "empty text"
    return "no Arabic text" if all(s["reason"] == "no Arabic letters" for s in skipped) else "boilerplate only"


def _fail(error: Exception) -> NoReturn:
    errors.print(f"error: {error}", style="red", markup=False, highlight=False, soft_wrap=True)
    raise typer.Exit(2) from error


def _parse_day(value: str | None) -> date | None:
    try:
        return None if value is None else date.fromisoformat(value)
    except ValueError as error:
        raise typer.BadParameter(f"{value!r} is no date; write YYYY-MM-DD", param_hint="--published") from error


def _print_json(row: dict[str, Any]) -> None:
    sys.stdout.buffer.write(json.dumps(row, ensure_ascii=False).encode("utf-8", "backslashreplace") + b"\n")
    sys.stdout.buffer.flush()


def _print_table(row: dict[str, Any]) -> None:
    table = Table(title=Text(f"{row['id']} · {row['outlet'] or '–'} · {row['published'] or '–'}"), show_lines=True)
    table.add_column("events")
    table.add_column("stance of the outlet")
    table.add_column("span", justify="right", ratio=1)
    for span in row["spans"]:
        table.add_row(_events_cell(span["events"]), _stances_cell(span["stances"]), Text(span["text"]))
    Console().print(table)


def _events_cell(events: list[dict[str, Any]]) -> Text:
    lines = [f"{e['type']} {e['probability']:.2f}\n  {e['modality']} {e['modality_probability']:.2f}" for e in events]
    return Text("\n".join(lines) or "–")


def _stances_cell(stances: list[dict[str, Any]]) -> Text:
    cell = Text()
    for stance in stances:
        colour = STANCE_COLOURS.get(stance["stance"], "white")
        cell.append(f"{stance['stance']} {stance['probability']:.2f}", style=colour)
        cell.append(f" {stance['actor'] or '?'}\n  {stance['surface']}\n")
    return cell if cell else Text("–")
