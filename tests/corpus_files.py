"""Write a corpus as JSON lines; read what a job made of it."""

import json
from pathlib import Path

import pyarrow.parquet as pq


def write_rows(path: Path, rows: list[dict]) -> Path:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


def read_rows(folder: Path) -> list[dict]:
    return [row for path in sorted(folder.glob("part-*.parquet")) for row in pq.read_table(path).to_pylist()]


def files_of(folder: Path) -> dict[str, bytes]:
    names = [path for path in folder.iterdir() if not path.name.startswith(".lock")]
    return {path.name: path.read_bytes() for path in names if path.name != "manifest.json"}
