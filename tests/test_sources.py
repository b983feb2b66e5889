"""What a corpus is made of: every kind of file, folders, a data set of the Hub; what is refused before it is read."""

import gzip
import hashlib
import json
import os
import subprocess
import sys
from dataclasses import replace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from corpus_files import write_rows

from rasd.documents import Columns, Document
from rasd.sources import SourceError, find_sources, inspect_source, read_source
from train.hub import Destination, publish_files

ROWS = [{"id": "a", "text": "خبر\nثان"}, {"id": "b", "text": "نص"}]


@pytest.fixture
def folder(tmp_path):
    """The same two rows in every kind of file."""
    lines = "".join(json.dumps(row) + "\n" for row in ROWS).encode()
    write_rows(tmp_path / "a.jsonl", ROWS)
    (tmp_path / "b.jsonl.gz").write_bytes(gzip.compress(lines[:40]) + gzip.compress(lines[40:]))
    with pa.output_stream(tmp_path / "c.jsonl.zst", compression="zstd") as stream:
        stream.write(lines)
    (tmp_path / "d.csv").write_text('id,text\na,"خبر\nثان"\nb,نص\n', encoding="utf-8")
    (tmp_path / "sub").mkdir()
    pq.write_table(pa.Table.from_pylist(ROWS), tmp_path / "sub/e.parquet")
    (tmp_path / "sub/f.txt").write_text("خبر\nثان", encoding="utf-8")
    (tmp_path / "sub/notes.md").touch()
    (tmp_path / ".hidden.jsonl").touch()
    return tmp_path


def test_a_folder_is_its_files_and_each_is_fingerprinted_and_counted(folder):
    names = find_sources([str(folder)])
    assert [name.removeprefix(f"{folder}/") for name in names] == [
        "a.jsonl", "b.jsonl.gz", "c.jsonl.zst", "d.csv", "sub/e.parquet", "sub/f.txt",
    ]  # fmt: skip
    for name in names:
        source = inspect_source(name, Columns())
        with open(name, "rb") as stream:  # noqa: PTH123
            assert source.digest == hashlib.sha256(stream.read()).hexdigest()
        documents = list(read_source(source, Columns()))
        assert all(isinstance(document, Document) for document in documents)
        assert [document.text for document in documents] == [row["text"] for row in ROWS][: source.rows]
        assert source.rows == (1 if name.endswith(".txt") else 2)


def test_a_source_of_the_same_size_and_time_is_not_read_again(folder):
    path = folder / "a.jsonl"
    source = inspect_source(str(path), Columns())
    known = {str(path): replace(source, digest="as before")}
    assert inspect_source(str(path), Columns(), known=known).digest == "as before"
    status = path.stat()
    path.write_bytes(path.read_bytes().replace(b'"a"', b'"c"'))
    assert path.stat().st_size == status.st_size
    assert inspect_source(str(path), Columns(), known=known).digest not in ("as before", source.digest)


@pytest.mark.parametrize("name", ["a.jsonl", "b.jsonl.gz", "c.jsonl.zst", "d.csv", "sub/e.parquet"])
def test_a_missing_column_is_named_with_those_that_are_there(folder, name):
    with pytest.raises(SourceError, match=rf"{name}: no column body; it has \['id', 'text'\]; say --text-column"):
        inspect_source(str(folder / name), Columns(text=("body",)))
    with pytest.raises(SourceError, match=r"no column paper; .*say --outlet-column"):
        inspect_source(str(folder / name), Columns(outlet=("paper",)))


def test_what_cannot_be_read_is_one_error(folder):
    whole = gzip.compress(b'{"text": "x"}\n' * 1000)
    (folder / "cut.jsonl.gz").write_bytes(whole[:-20])
    (folder / "no.parquet").write_bytes(b"no parquet")
    (folder / "empty").mkdir()
    for name, reason in (
        ("missing.jsonl", "cannot be read: .*No such file"),
        ("cut.jsonl.gz", "cannot be read"),
        ("no.parquet", "cannot be read"),
        ("sub/notes.md", r"unknown kind of file '\.md'; use txt, jsonl, csv, parquet, or say --format"),
    ):
        with pytest.raises(SourceError, match=f"{name}: {reason}"):
            inspect_source(str(folder / name), Columns())
    for inputs, reason in (
        ([str(folder / "empty")], "holds no file of the kinds"),
        ([str(folder / "a.jsonl")] * 2, "named twice"),
        (["-"], "standard input cannot be read twice"),
    ):
        with pytest.raises(SourceError, match=reason):
            find_sources(inputs)


def test_a_source_that_breaks_while_it_is_read_stops_the_job(folder):
    path = folder / "b.jsonl.gz"
    source = inspect_source(str(path), Columns())
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(SourceError, match="cannot be read"):
        list(read_source(source, Columns()))


def test_a_data_set_of_the_hub_is_streamed_at_one_commit(server, online, tmp_path):
    lines = "".join(json.dumps(row) + "\n" for row in ROWS).encode()
    destination = Destination("owner/news", "dataset", endpoint=server.url)
    publish_files({"train.jsonl": lines}, destination, "Publish", [])
    script = """
import json, sys
from rasd.documents import Columns
from rasd.sources import SourceError, inspect_source, read_source
source = inspect_source(sys.argv[1], Columns())
print(json.dumps([source.digest, [document.text for document in read_source(source, Columns())]]))
try:
    inspect_source(sys.argv[1], Columns(text=("body",)))
except SourceError as error:
    print(error)
"""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    environment = kept | {"HF_ENDPOINT": server.url, "HF_HOME": str(tmp_path), "HF_HUB_DISABLE_XET": "1"}
    command = [sys.executable, "-c", script, "hf://datasets/owner/news"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    *_, found, refused = done.stdout.splitlines()
    assert json.loads(found) == [server.hub.repos["dataset", "owner/news"].head.id, [row["text"] for row in ROWS]]
    assert refused.startswith("hf://datasets/owner/news: no column body; it has ['id', 'text']")
