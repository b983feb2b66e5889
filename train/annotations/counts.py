"""Counts of a set of spans by every axis that the data card names."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from rasd.labels import LabelSchema
from rasd.modeling import EVENT_GROUP, MODALITY_PREFIX, STANCE_GROUP
from train.baselines import HOSTILE_NAME, QUOTED, SUPPORTIVE_NAME, strip_marks
from train.slices import length_class

Row = Mapping[str, Any]
LOADED = re.compile(f"{HOSTILE_NAME}|{SUPPORTIVE_NAME}")


def count_spans(rows: Sequence[Row], schema: LabelSchema) -> dict[str, Any]:
    """Return the counts as plain numbers: `spans`, `events` by type and modality, `stances`, and so on."""
    stances = [stance for row in rows for stance in row["stances"]]
    told = Counter((event["type"], event["modality"]) for row in rows for event in row["events"])
    types = {name: schema.group(f"{MODALITY_PREFIX}{name}").labels for name in schema.group(EVENT_GROUP).labels}
    labels = schema.group(STANCE_GROUP).labels
    return {
        "spans": len(rows),
        "articles": len({row["article_id"] for row in rows}),
        "no event": sum(not row["events"] for row in rows),
        "two or more events": sum(len(row["events"]) > 1 for row in rows),
        "events": {name: {modality: told[name, modality] for modality in types[name]} for name in types},
        "stance rows": len(stances),
        "stances": {label: sum(stance["stance"] == label for stance in stances) for label in labels},
        "neutral beside quoted loaded words": sum(map(quoted_and_neutral, rows)),
        "two actors in opposite stances": sum(
            {labels[0], labels[-1]} <= {stance["stance"] for stance in row["stances"]} for row in rows
        ),
        "actors": dict(Counter(stance["actor"] or "other parties" for stance in stances).most_common()),
        "outlets": dict(Counter(row["outlet"] for row in rows).most_common()),
        "years": dict(sorted(Counter((row["published"] or "")[:4] or "no date" for row in rows).items())),
        "length": dict(Counter(length_class(row["text"]) for row in rows)),
        "annotators": dict(sorted(Counter(row["annotator"] for row in rows).items())),
    }


def quoted_and_neutral(row: Row) -> int:
    """Return the number of neutral stances in a span that has a loaded word (of the keyword rules) in a quotation."""
    loaded = any(LOADED.search(match.group()) for match in QUOTED.finditer(strip_marks(row["text"])))
    return sum(stance["stance"] == "neutral" for stance in row["stances"]) if loaded else 0
