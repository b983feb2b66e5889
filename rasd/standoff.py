"""Join stand-off rows, which hold no text of others, with the articles of a corpus that the user has.

A corpus is `<folder>/<name>.jsonl.gz` (or `.jsonl`), one article a line with `article_id` and `text`. A stand-off row
names the article, the code points of the span in it, and the SHA-256 of the span's UTF-8 text.
"""

import gzip
import hashlib
import json
import logging
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

LOG = logging.getLogger(__name__)
PLACE_KEYS = ("corpus", "start", "end", "sha256")
NO_FOLDER = "data.corpora names no folder"
NO_FILE = "the folder has no such corpus"
NO_ARTICLE = "the corpus has no such article"
CHANGED = "the article's text has changed (its hash differs)"

Articles = Mapping[tuple[str, str], str]


class CorpusError(ValueError):
    """A corpus file that cannot be read; the message names file, line and fix."""


def is_standoff(row: Any) -> bool:
    """Say whether a parsed line refers to a corpus instead of holding its text."""
    return isinstance(row, dict) and "corpus" in row and "text" not in row


def place_problems(row: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is wrong with the place that a stand-off row names, each with its value and fix."""
    if missing := [key for key in PLACE_KEYS if key not in row]:
        yield f"missing field {missing}; a stand-off row has {list(PLACE_KEYS)}"
        return
    if not isinstance(row["corpus"], str) or not isinstance(row.get("article_id"), str):
        yield f"corpus {row['corpus']!r}, article_id {row.get('article_id')!r}; give two names"
    start, end = row["start"], row["end"]
    if type(start) is not int or type(end) is not int or not 0 <= start < end:
        yield f"place {start!r}:{end!r}; give code points, end-exclusive"
    if not isinstance(row["sha256"], str) or len(row["sha256"]) != 64:
        yield f"sha256 {row['sha256']!r}; give 64 hexadecimal digits"


def corpus_file(folder: Path | str, corpus: str) -> Path | None:
    """Return the file of a corpus, None where the folder has none."""
    candidates = [Path(folder) / f"{corpus}{ending}" for ending in (".jsonl.gz", ".jsonl")]
    return next((path for path in candidates if path.is_file()), None)


def read_articles(folder: Path | str, wanted: Iterable[tuple[str, str]]) -> dict[tuple[str, str], str]:
    """Return the texts of the wanted `(corpus, article_id)` that the folder has."""
    ids: dict[str, set[str]] = {}
    for corpus, article in wanted:
        ids.setdefault(corpus, set()).add(article)
    found: dict[tuple[str, str], str] = {}
    for corpus, articles in ids.items():
        path = corpus_file(folder, corpus)
        if path is None:
            continue
        found |= {(corpus, line["article_id"]): line["text"] for line in _lines(path) if line["article_id"] in articles}
    return found


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    opener: Any = gzip.open if path.suffix == ".gz" else open
    number = 0
    try:
        with opener(path, "rt", encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                article = json.loads(line)
                keys = ("article_id", "text")
                if not isinstance(article, dict) or not all(isinstance(article.get(key), str) for key in keys):
                    raise CorpusError(f"{path}:{number}: no article_id and text; see data/README.md for the format")
                yield article
    except (OSError, EOFError, zlib.error, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise CorpusError(f"{path}: cannot be read after line {number} ({error}); fetch the corpus anew") from error


def span_hash(text: str) -> str:
    """Return the hash by which a stand-off row knows its span."""
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def joined(row: Mapping[str, Any], text: str) -> dict[str, Any] | None:
    """Return a stand-off row with the text and surfaces of its article, None where the hash differs.

    The article's id gets the corpus before it, so that ids of two corpora never meet.
    """
    span = text[row["start"] : row["end"]]
    if span_hash(span) != row["sha256"]:
        return None
    stances = row.get("stances")
    if isinstance(stances, list) and all(isinstance(stance, dict) for stance in stances):
        stances = [stance | {"surface": _slice(span, stance)} for stance in stances]
    whole = {key: value for key, value in row.items() if key not in PLACE_KEYS}
    return whole | {"article_id": f"{row['corpus']}/{row['article_id']}", "text": span, "stances": stances}


def placeholder(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a stand-off row with a text of the right length in place of the real one, to check all else of it."""
    text = "·" * (row["end"] - row["start"])
    return joined({**row, "start": 0, "end": len(text), "sha256": span_hash(text)}, text) or {}


def _slice(span: str, stance: Mapping[str, Any]) -> str | None:
    start, end = stance.get("start"), stance.get("end")
    return span[start:end] if type(start) is int and type(end) is int and 0 <= start < end <= len(span) else None


def join_rows(rows: Sequence[tuple[str, Any]], folder: Path | str | None) -> list[tuple[str, Any]]:
    """Return the rows of `(where, row)` in order, stand-off rows joined; None for a row that cannot be joined.

    What is left out is counted and said in one warning for each corpus and reason.
    """
    wanted = {(row["corpus"], row["article_id"]) for _, row in rows if is_standoff(row)}
    articles = read_articles(folder, wanted) if folder is not None else {}
    left_out: Counter[tuple[str, str]] = Counter()
    result: list[tuple[str, Any]] = []
    for where, row in rows:
        if not is_standoff(row):
            result.append((where, row))
            continue
        key = row["corpus"], row["article_id"]
        whole = joined(row, articles[key]) if key in articles else None
        if whole is None:
            left_out[row["corpus"], _reason(folder, row["corpus"], key in articles)] += 1
        result.append((where, whole))
    for (corpus, reason), count in sorted(left_out.items()):
        LOG.warning(
            "%d spans of the corpus %s are left out: %s; data/README.md says how to get it", count, corpus, reason
        )
    return result


def _reason(folder: Path | str | None, corpus: str, has_article: bool) -> str:
    if folder is None:
        return NO_FOLDER
    if has_article:
        return CHANGED
    return NO_ARTICLE if corpus_file(folder, corpus) else NO_FILE
