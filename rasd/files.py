"""Write a file as a whole or not at all."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from secrets import token_hex
from typing import Any

UNFINISHED = ".unfinished-"


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Give the name to write to; sync what was written and rename it to `path`, or remove it after an error.

    The name ends as `path` does. The folder is made where it is missing.
    """
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder; name a file")
    unfinished = path.with_name(f"{UNFINISHED}{token_hex(8)}-{path.name}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield unfinished
        with unfinished.open("rb") as written:
            os.fsync(written.fileno())
        unfinished.replace(path)
    except OSError as error:
        unfinished.unlink(missing_ok=True)
        raise OSError(f"{path} cannot be written: {error}; no half file is left, the same command can go on") from error
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def write_text(path: Path, content: str) -> None:
    """Write UTF-8 text, its line ends as they are."""
    with whole_file(path) as unfinished:
        unfinished.write_text(content, encoding="utf-8", newline="")


def write_json(path: Path, content: Any) -> None:
    """Write JSON that a person can read."""
    write_text(path, json.dumps(content, ensure_ascii=False, indent=1) + "\n")
