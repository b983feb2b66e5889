"""The data set in the layout of the Hugging Face Hub: Parquet files by split, and a card that declares their features.

Parquet, because the JSON reader of `datasets` turns ISO dates into time stamps before it casts them to strings.
"""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from datasets import Dataset, Features, List, Value

from train.data import FEATURES, SPLITS, STANCE_FEATURES

CARD = "README.md"
PLACE = {"corpus": Value("string"), "start": Value("int32"), "end": Value("int32"), "sha256": Value("string")}
FEATURES_BY_CONFIG = {
    "authored": FEATURES,
    "annotated": Features(
        {name: value for name, value in FEATURES.items() if name not in ("text", "stances")}
        | {"stances": List({name: value for name, value in STANCE_FEATURES.items() if name != "surface"})}
        | PLACE
    ),
}


def export_hub(data: Path, folder: Path) -> list[Path]:
    """Write the card and the split files of `data` into a new folder; return what was written.

    A line whose fields are not the declared ones is refused.
    """
    if folder.exists() and any(folder.iterdir()):
        raise FileExistsError(f"{folder} is not empty; name a new folder")
    header, prose = split_card((data / CARD).read_text(encoding="utf-8"))
    names = [name for name in FEATURES_BY_CONFIG if (data / name).is_dir()]
    unfinished = folder.with_name(f".{folder.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    written = []
    for name in names:
        for split in SPLITS:
            source = data / name / f"{split}.jsonl"
            if source.is_file():
                target = unfinished / name / f"{split}.parquet"
                target.parent.mkdir(parents=True, exist_ok=True)
                _read(source, FEATURES_BY_CONFIG[name]).to_parquet(target)
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


def split_card(card: str) -> tuple[dict[str, Any], str]:
    """Return the YAML header of a card and the prose after it."""
    _, header, prose = card.split("---\n", 2)
    return yaml.safe_load(header), prose


def _files(written: list[Path], name: str) -> list[Mapping[str, str]]:
    return [{"split": path.stem, "path": f"{name}/{path.name}"} for path in written if path.parent.name == name]


def _read(path: Path, features: Features) -> Dataset:
    rows = []
    for number, line in enumerate(path.read_text(encoding="utf-8").split("\n"), 1):
        if line:
            row = json.loads(line)
            if row.keys() != features.keys():
                raise ValueError(f"{path}:{number}: its fields are not {sorted(features)}; run `validate` first")
            rows.append(row)
    return Dataset.from_list(rows, features=features)
