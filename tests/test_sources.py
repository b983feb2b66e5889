"""What a corpus is made of: every kind of file, folders, a data set of the Hub; what is refused before it is read."""

import gzip
import hashlib
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from corpus_files import write_rows

from rasd.rows import Columns, Document
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


def test_only_what_is_hidden_inside_a_folder_is_left_out(folder, monkeypatch):
    (folder / "sub/.cache").mkdir()
    write_rows(folder / "sub/.cache/g.jsonl", ROWS)
    inside = folder / ".projects/news"
    inside.mkdir(parents=True)
    path = write_rows(inside / "h.jsonl", ROWS)
    assert len(find_sources([str(folder)])) == 6
    assert find_sources([str(inside)]) == [str(path)]
    monkeypatch.chdir(folder / "sub")
    assert find_sources(["../.projects/news"]) == ["../.projects/news/h.jsonl"]
    assert find_sources([".."])[0] == "../a.jsonl"


def test_links_are_followed_once_and_what_cannot_be_looked_into_is_an_error(folder, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    path = write_rows(elsewhere / "far.jsonl", ROWS)
    (folder / "sub/linked").symlink_to(elsewhere)
    (elsewhere / "back").symlink_to(folder)  # a loop
    names = find_sources([str(folder)])
    assert str(folder / "sub/linked/far.jsonl") in names
    assert len(names) == 7
    for again in (str(path), str(folder / "../" / folder.name / "a.jsonl")):
        with pytest.raises(SourceError, match="named twice, by itself, a folder or a link"):
            find_sources([str(folder), again])
    (folder / "sub/gone.jsonl").symlink_to(folder / "nowhere.jsonl")
    with pytest.raises(SourceError, match=r"gone\.jsonl: a link to nothing"):
        find_sources([str(folder)])


def test_the_jobs_own_output_is_no_input(folder):
    (folder / "out").mkdir()
    write_rows(folder / "out/rejects.jsonl", ROWS)
    assert len(find_sources([str(folder)])) == 7
    assert len(find_sources([str(folder)], output=folder / "sub/../out")) == 6


def test_many_files_are_found_in_linear_time(tmp_path, monkeypatch):
    for number in range(300):
        (tmp_path / f"{number}.txt").touch()
    compared = []
    monkeypatch.setattr(Path, "resolve", lambda self: (compared.append(self), self)[1])
    assert len(find_sources([str(tmp_path)])) == 300
    assert len(compared) < 400


def test_a_pipe_and_an_odd_name_are_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe.jsonl")
    with pytest.raises(SourceError, match="is no file; a job reads its input twice"):
        inspect_source(str(tmp_path / "pipe.jsonl"), Columns())
    odd = os.fsdecode(b"\xff.txt")
    (tmp_path / odd).touch()
    with pytest.raises(SourceError, match="file's name is not UTF-8"):
        find_sources([str(tmp_path)])


def test_a_very_long_first_line_is_not_held_to_learn_the_fields(folder, monkeypatch):
    monkeypatch.setattr("rasd.sources.MAX_LINE", 50)
    path = folder / "long.jsonl"
    path.write_text('{"body": "' + "x" * 200 + '"}\n' + json.dumps(ROWS[1]) + "\n", encoding="utf-8")
    assert inspect_source(str(path), Columns()).rows == 2
    with pytest.raises(SourceError, match=r"no column body; it has \['id', 'text'\]"):
        inspect_source(str(path), Columns(text=("body",)))


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


def test_a_source_that_changes_while_it_is_read_stops_the_job(folder):
    path = folder / "a.jsonl"
    source = inspect_source(str(path), Columns())
    read = read_source(source, Columns())
    next(read)
    write_rows(path, [*ROWS, *ROWS])
    with pytest.raises(SourceError, match="has changed while it was read"):
        list(read)


def test_a_source_that_breaks_while_it_is_read_stops_the_job(folder):
    path = folder / "b.jsonl.gz"
    source = inspect_source(str(path), Columns())
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(SourceError, match="cannot be read"):
        list(read_source(source, Columns()))


SCRIPT = """
import json, sys
from rasd.rows import Columns
from rasd.sources import SourceError, inspect_source, read_source
where = {"config": sys.argv[2] or None, "split": sys.argv[3]}
source = inspect_source(sys.argv[1], Columns(), **where)
print(json.dumps([source.digest, [document.text for document in read_source(source, Columns())]]))
try:
    inspect_source(sys.argv[1], Columns(text=("body",)), **where)
except SourceError as error:
    print(error)
"""


def on_the_hub(server, cache, *arguments):
    """Run the script as a user of the server who has nothing in his cache."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    environment = kept | {"HF_ENDPOINT": server.url, "HF_HOME": str(cache), "HF_HUB_DISABLE_XET": "1"}
    command = [sys.executable, "-c", SCRIPT, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-2:]


def test_a_data_set_of_the_hub_is_streamed_at_one_commit(server, online, tmp_path):
    lines = "".join(json.dumps(row) + "\n" for row in ROWS).encode()
    destination = Destination("owner/news", "dataset", endpoint=server.url)
    publish_files({"train.jsonl": lines}, destination, "Publish", [])
    found, refused = on_the_hub(server, tmp_path, "hf://datasets/owner/news", "", "train")
    assert json.loads(found) == [server.hub.repos["dataset", "owner/news"].head.id, [row["text"] for row in ROWS]]
    assert refused.startswith("hf://datasets/owner/news: no column body; it has ['id', 'text']")


def test_a_configuration_and_a_split_of_a_data_set_of_the_hub(server, online, tmp_path):
    card = "configs:\n"
    for config, file in (("wire", "a"), ("web", "b")):
        card += f"- config_name: {config}\n  data_files:\n  - split: test\n    path: {file}.jsonl\n"
    files = {f"{name}.jsonl": (json.dumps(row) + "\n").encode() for name, row in zip("ab", ROWS, strict=True)}
    destination = Destination("owner/two", "dataset", endpoint=server.url)
    publish_files(files | {"README.md": f"---\n{card}---\n".encode()}, destination, "Publish", [])
    found, _ = on_the_hub(server, tmp_path, "hf://datasets/owner/two", "web", "test")
    assert json.loads(found)[1] == [ROWS[1]["text"]]
