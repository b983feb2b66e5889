"""The data set on the Hub and back, with the real clients against a server on loopback."""

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from train.annotations.__main__ import app

ROOT = Path(__file__).parent.parent
LOAD_DATASET = """
import json, sys
from datasets import load_dataset

parts = {name: load_dataset(sys.argv[1], name) for name in ("authored", "annotated")}
json.dump({name: {split: list(rows) for split, rows in part.items()} for name, part in parts.items()}, sys.stdout)
"""


def invoke(*arguments, code=0):
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == code, result.output
    return result


@pytest.mark.usefixtures("online")
def test_the_data_set_is_pushed_and_loaded(server, client, tmp_path, caplog):
    data = tmp_path / "data"
    for name in ("authored", "annotated"):
        for split in ("train", "validation", "test"):
            lines = (ROOT / f"data/{name}/{split}.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
            (data / name).mkdir(parents=True, exist_ok=True)
            (data / name / f"{split}.jsonl").write_text("".join(lines[:5]), encoding="utf-8")
    shutil.copy(ROOT / "data/README.md", data)
    arguments = "push", data, "--repo-id", "owner/spans", "--endpoint", server.url
    caplog.set_level("INFO")
    assert "nothing was sent" in invoke(*arguments, "--dry-run").stdout
    said = [record.getMessage() for record in caplog.records if record.name.startswith("train.")]
    assert said == ["15 spans of real articles: their labels and places in the corpora, not their text"]
    assert server.calls == []
    server.fail("commit", 500)
    url = invoke(*arguments).stdout.splitlines()[-1]
    repo = server.hub.repos["dataset", "owner/spans"]
    assert url == f"{server.url}/datasets/owner/spans/commit/{repo.head.id}"
    assert len(repo.commits) == 2
    loaded = json.loads(client(LOAD_DATASET, "owner/spans", cwd=tmp_path))
    for name in ("authored", "annotated"):
        for split in ("train", "validation", "test"):
            rows = [json.loads(line) for line in (data / name / f"{split}.jsonl").read_text("utf-8").splitlines()]
            assert loaded[name][split] == rows
    assert not any("text" in row for row in loaded["annotated"]["test"])
    (data / "authored/test.jsonl").unlink()
    invoke(*arguments)
    assert "authored/test.parquet" not in repo.files
    assert len(repo.commits) == 3


@pytest.mark.usefixtures("online")
def test_the_text_of_others_is_not_pushed(server, tmp_path):
    line = (ROOT / "data/authored/test.jsonl").read_text(encoding="utf-8").splitlines()[0]
    (tmp_path / "data/authored").mkdir(parents=True)
    row = json.loads(line) | {"origin": "annotated"}
    (tmp_path / "data/authored/test.jsonl").write_text(json.dumps(row), encoding="utf-8")
    shutil.copy(ROOT / "data/README.md", tmp_path / "data")
    arguments = "push", tmp_path / "data", "--repo-id", "owner/theirs", "--endpoint", server.url
    assert f"{row['id']} and 0 more hold the text of others" in invoke(*arguments, code=2).stderr
    assert server.calls == []
