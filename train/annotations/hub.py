"""The data set in the layout of the Hugging Face Hub: Parquet files by split, and a card that declares their features.

Parquet, because the JSON reader of `datasets` turns ISO dates into time stamps before it casts them to strings.
"""

import json
import logging
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml
from datasets import Dataset, Features, List, Value

from rasd.standoff import is_standoff, placeholder
from train.data import FEATURES, SPLITS, STANCE_FEATURES, SpanReader, parse_lines

LOG = logging.getLogger(__name__)
CARD = "README.md"
OWNED = (CARD, "*/*.parquet")  # what a publication puts into a repo
PLACE = {"corpus": Value("string"), "start": Value("int32"), "end": Value("int32"), "sha256": Value("string")}
FEATURES_BY_CONFIG = {
    "authored": FEATURES,
    "annotated": Features(
        {name: value for name, value in FEATURES.items() if name not in ("text", "stances")}
        | {"stances": List({name: value for name, value in STANCE_FEATURES.items() if name != "surface"})}
        | PLACE
    ),
}


def export_hub(data: Path, folder: Path, reader: SpanReader) -> list[Path]:
    """Write the card and the split files of `data` into a new folder; return what was written.

    Every line is checked by the reader first, of stand-off lines all but the text; nothing is written if one is wrong.
    """
    if folder.exists() and any(folder.iterdir()):
        raise FileExistsError(f"{folder} is not empty; name a new folder")
    header, prose = split_card((data / CARD).read_text(encoding="utf-8"))
    names = [name for name in FEATURES_BY_CONFIG if (data / name).is_dir()]
    places = {(name, split): data / name / f"{split}.jsonl" for name in names for split in SPLITS}
    sources = {key: path for key, path in places.items() if path.is_file()}
    check_rows(sources.values(), reader)
    tables = {key: _read(source, FEATURES_BY_CONFIG[key[0]]) for key, source in sources.items()}
    unfinished = folder.with_name(f".{folder.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    written = []
    for (name, split), table in tables.items():
        target = unfinished / name / f"{split}.parquet"
        target.parent.mkdir(parents=True, exist_ok=True)
        table.to_parquet(target)
        written.append(target)
    header["configs"] = [{"config_name": name, "data_files": _files(written, name)} for name in names]
    header["dataset_info"] = [
        {"config_name": name, "features": FEATURES_BY_CONFIG[name]._to_yaml_list()} for name in names
    ]
    plain = yaml.safe_dump(header, allow_unicode=True, sort_keys=False)
    (unfinished / CARD).write_text(f"---\n{plain}---\n{prose}", encoding="utf-8")
    if folder.exists():
        folder.rmdir()
    unfinished.rename(folder)
    return [folder / CARD, *(folder / path.relative_to(unfinished) for path in written)]


def check_rows(paths: Iterable[Path], reader: SpanReader) -> None:
    """Refuse wrong lines, and lines that hold the text of others; say how many go out as labels with places."""
    lines, errors = parse_lines(paths)
    whole = [(where, placeholder(row) if is_standoff(row) else row) for where, row in lines]
    reader.check(whole, errors)
    if foreign := [row["id"] for _, row in lines if not is_standoff(row) and row["origin"] != "authored"]:
        raise ValueError(f"{foreign[0]} and {len(foreign) - 1} more hold the text of others; make them stand-off")
    if standoff := sum(is_standoff(row) for _, row in lines):
        LOG.info("%d spans of real articles: their labels and places in the corpora, not their text", standoff)


def split_card(card: str) -> tuple[dict[str, Any], str]:
    """Return the YAML header of a card and the prose after it."""
    _, header, prose = card.split("---\n", 2)
    return yaml.safe_load(header), prose


def _files(written: list[Path], name: str) -> list[Mapping[str, str]]:
    return [{"split": path.stem, "path": f"{name}/{path.name}"} for path in written if path.parent.name == name]


def _read(path: Path, features: Features) -> Dataset:
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line.strip()]
    return Dataset.from_dict({name: [row[name] for row in rows] for name in features}, features=features)
