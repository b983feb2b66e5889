"""Parts of a corpus job on disk: Parquet with a declared schema, and a receipt that says that the part is finished.

The receipt is written last, so a part without one is made again, with the same rows.
"""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from rasd.files import whole_file, write_json
from rasd.labels import LabelSchema
from rasd.modeling import EVENT_GROUP, STANCE_GROUP, decode_events, decode_exclusive
from rasd.passes import SpanRows, Target
from rasd.rows import Document, Reject
from rasd.spans import Span

SCHEMA_VERSION = 1
StanceWhere = Literal["all", "events", "none"]


@dataclass(frozen=True)
class Part:
    """Some rows of a source that stand one after another: `items[i]` is row `first_row + i`, counted from 1."""

    name: str
    source: str
    first_row: int
    items: list[Document | Reject]


@dataclass(frozen=True)
class ReadDocument:
    """A document with its spans, their targets, and the probabilities of each."""

    row: int
    document: Document
    spans: list[Span]
    targets: list[list[Target]]
    rows: list[SpanRows]


@dataclass
class Receipt:
    """What a finished part holds."""

    part: str
    source: str
    first_row: int
    rows: int
    documents: int = 0
    without_spans: int = 0
    spans: int = 0
    stances: int = 0
    events: dict[str, int] = field(default_factory=dict)
    rejects: list[dict[str, Any]] = field(default_factory=list)


def table_schema(labels: LabelSchema) -> pa.Schema:
    """Return the declared schema of a part: one row a span; offsets are code points of the named field's raw text."""
    event = pa.struct(
        [
            ("type", pa.string()),
            ("probability", pa.float32()),
            ("told", pa.bool_()),
            ("modality", pa.string()),
            ("modality_probability", pa.float32()),
        ]
    )
    classes = [(label, pa.float32()) for label in labels.group(STANCE_GROUP).labels]
    stance = pa.struct(
        [
            ("actor", pa.string()),
            ("surface", pa.string()),
            ("start", pa.int32()),
            ("end", pa.int32()),
            ("stance", pa.string()),
            *classes,
        ]
    )
    fields = [
        pa.field("document_id", pa.string(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("row", pa.int64(), nullable=False),
        pa.field("outlet", pa.string()),
        pa.field("published", pa.date32()),
        pa.field("span", pa.int32(), nullable=False),
        pa.field("field", pa.string(), nullable=False),
        pa.field("start", pa.int32(), nullable=False),
        pa.field("end", pa.int32(), nullable=False),
        pa.field("text", pa.string()),
        pa.field("events", pa.list_(event), nullable=False),
        pa.field("stances", pa.list_(stance), nullable=False),
        pa.field("model_revision", pa.string(), nullable=False),
        pa.field("schema_version", pa.int32(), nullable=False),
    ]
    return pa.schema(fields, metadata={"rasd.schema_version": str(SCHEMA_VERSION), "rasd.labels": labels.name})


def span_rows(read: ReadDocument, source: str, labels: LabelSchema, revision: str, with_text: bool) -> Iterator[Any]:
    """Yield one plain row for each span of a document."""
    document = read.document
    threshold = labels.group(EVENT_GROUP).threshold
    for number, (span, targets, rows) in enumerate(zip(read.spans, read.targets, read.rows, strict=True)):
        in_title = span.start < document.text_start
        shift = 0 if in_title else document.text_start
        stances = [
            {
                "actor": target.actor,
                "surface": target.surface,
                "start": span.start - shift + target.start,
                "end": span.start - shift + target.end,
                "stance": decode_exclusive(row, labels, STANCE_GROUP)[0],
                **dict(zip(labels.group(STANCE_GROUP).labels, row[labels.place(STANCE_GROUP)].tolist(), strict=True)),
            }
            for target, row in zip(targets, rows.stances, strict=True)
        ]
        events = decode_events(rows.events, labels, all_events=True)
        yield {
            "document_id": document.id,
            "source": source,
            "row": read.row,
            "outlet": document.outlet,
            "published": document.published,
            "span": number,
            "field": "title" if in_title else "text",
            "start": span.start - shift,
            "end": span.end - shift,
            "text": span.text if with_text else None,
            "events": [{**event.to_dict(), "told": event.probability >= threshold} for event in events],
            "stances": stances,
            "model_revision": revision,
            "schema_version": SCHEMA_VERSION,
        }


def write_part(
    folder: Path, part: Part, documents: list[ReadDocument], labels: LabelSchema, revision: str, *, with_text: bool
) -> Receipt:
    """Write a part's rows, then its receipt; return the receipt."""
    rows = [row for read in documents for row in span_rows(read, part.source, labels, revision, with_text)]
    table = pa.Table.from_pylist(rows, table_schema(labels))
    with whole_file(folder / f"{part.name}.parquet") as unfinished:
        pq.write_table(table, unfinished, compression="zstd")
    told = Counter(event["type"] for row in rows for event in row["events"] if event["told"])
    receipt = Receipt(
        part.name,
        part.source,
        part.first_row,
        rows=len(part.items),
        documents=len(documents),
        without_spans=sum(not read.spans for read in documents),
        spans=len(rows),
        stances=sum(len(row["stances"]) for row in rows),
        events={label: told[label] for label in labels.group(EVENT_GROUP).labels},
        rejects=[_plain(item) for item in part.items if isinstance(item, Reject)],
    )
    write_json(folder / f"{part.name}.json", asdict(receipt))
    return receipt


def _plain(reject: Reject) -> dict[str, Any]:
    return {"source": reject.source, "line": reject.line, "reason": reject.reason}


def read_receipts(folder: Path) -> dict[str, Receipt]:
    """Return the receipts of the finished parts, by part, in the order of the input."""
    return {path.stem: Receipt(**json.loads(path.read_text("utf-8"))) for path in sorted(folder.glob("part-*.json"))}
