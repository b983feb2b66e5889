import json
import subprocess
import sys

import pytest
from corpus_files import read_rows, write_rows
from typer.testing import CliRunner

import rasd as library
from rasd.cli import app

TEXT = "قصفت ميليشيا أسد الطائفية أحياء البلدة.\nالتعليقات (3)\nوفاز الفريق بالمباراة."


@pytest.fixture
def rasd(small_run):
    def run(*args, stdin=None):
        return CliRunner().invoke(app, [*args, "--model", str(small_run.model)], input=stdin)

    return run


def test_piped_output_is_one_json_object_an_article(rasd, classifier, tmp_path):
    path = tmp_path / "a.jsonl"
    rows = [{"id": str(i), "text": TEXT, "outlet": "شبكة", "published": "2016-01-02"} for i in range(20)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    result = rasd("predict", str(path))
    assert result.exit_code == 0
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert [line["id"] for line in lines] == [str(i) for i in range(20)]
    expected = classifier.predict_article(TEXT).to_dict()
    assert [span["text"] for span in lines[0]["spans"]] == [span["text"] for span in expected["spans"]]
    assert lines[0]["spans"][0]["stances"][0]["actor"] == "syr_regime"
    assert (lines[0]["outlet"], lines[0]["published"]) == ("شبكة", "2016-01-02")
    assert lines[0]["skipped"][0]["reason"] == "boilerplate"
    assert list(lines[0]) == ["id", "text_start", "outlet", "published", "spans", "skipped"]


def test_standard_input_and_options(rasd):
    result = rasd("predict", "-", "--outlet", "شبكة", "--published", "2016-01-02", "--all-events", stdin=TEXT)
    (line,) = [json.loads(text) for text in result.stdout.splitlines()]
    assert (line["id"], line["outlet"], line["published"]) == ("-", "شبكة", "2016-01-02")
    assert [len(span["events"]) for span in line["spans"]] == [4, 4]


def test_table_shows_actor_stance_and_span(rasd):
    result = rasd("predict", "-", "--table", stdin=TEXT)
    assert "syr_regime" in result.stdout
    assert "ميليشيا أسد" in result.stdout
    assert any(stance in result.stdout for stance in ("hostile", "neutral", "supportive"))


def test_bad_rows_are_named_the_rest_is_predicted_and_the_exit_code_says_so(rasd, tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_bytes(json.dumps({"text": TEXT}).encode() + b"\n{broken\n" + json.dumps({"text": TEXT}).encode())
    result = rasd("predict", str(path))
    assert result.exit_code == 1
    assert len(result.stdout.splitlines()) == 2
    assert f"{path}:2: not JSON" in result.stderr
    assert "2 documents read, 1 rejected" in result.stderr


@pytest.mark.parametrize(
    ("text", "note"),
    [
        ("", "empty text"),
        (" \n ", "empty text"),
        ("Breaking news\n123", "no Arabic text"),
        ("\x00\x01\x02", "no Arabic text"),
        ("التعليقات (3)", "boilerplate only"),
    ],
)
def test_articles_without_anything_to_read_get_a_row_and_a_note(rasd, text, note):
    result = rasd("predict", "-", stdin=text)
    assert result.exit_code == 0
    (line,) = [json.loads(row) for row in result.stdout.splitlines()]
    assert (line["spans"], line["note"]) == ([], note)
    assert note in result.stderr


def test_a_paragraph_of_two_megabytes_is_read_whole(rasd):
    text = "قصفت ميليشيا أسد الطائفية أحياء البلدة بالمدفعية. " * 23_000
    assert len(text.encode()) > 2_000_000
    line = json.loads(rasd("predict", "-", stdin=text).stdout)
    assert len(line["spans"]) == 23_000
    assert line["spans"][-1]["end"] == len(text.rstrip())


def test_control_characters_keep_the_offsets(rasd):
    text = "قصفت\x00 ميليشيا\x07 أسد\u202e البلدة"
    line = json.loads(rasd("predict", "-", stdin=text).stdout)
    (span,) = line["spans"]
    assert span["text"] == text[span["start"] : span["end"]]


def test_wrong_bytes_are_an_error_that_names_the_fix(rasd):
    result = rasd("predict", "-", stdin="قصف".encode("windows-1256"))
    assert result.exit_code == 1
    assert "is not UTF-8" in result.stderr
    assert "iconv" in result.stderr


def test_a_missing_model_is_one_clear_error():
    result = CliRunner().invoke(app, ["predict", "-", "--model", "/no/such/model"], input="نص")
    assert result.exit_code == 2
    assert "neither a checkpoint folder nor a Hub id" in result.stderr


def test_a_wrong_date_is_refused(rasd):
    result = rasd("predict", "-", "--published", "yesterday", stdin="نص")
    assert result.exit_code == 2
    assert "YYYY-MM-DD" in result.stderr


def test_predict_corpus_prints_its_summary_and_says_where_rejects_are(small_run, tmp_path):
    (tmp_path / "a.csv").write_text("nass,paper\nقصفت ميليشيا أسد البلدة,شبكة\nخبر,\n,\n", encoding="utf-8")
    write_rows(tmp_path / "b.jsonl", [{"nass": "خبر"}, {"text": "خبر"}])
    base = [
        "predict-corpus",
        str(tmp_path / "a.csv"),
        "--output",
        str(tmp_path / "out"),
        "--model",
        str(small_run.model),
    ]
    result = CliRunner().invoke(app, [*base, "--text-column", "nass", "--outlet-column", "paper", "--outlet", "?"])
    assert result.exit_code == 0, result.stderr
    summary = json.loads(result.stdout)
    assert (summary["documents"], summary["without_spans"], summary["complete"]) == (3, 1, True)
    assert "3 articles (1 without a span), 2 spans" in result.stderr
    assert [row["outlet"] for row in read_rows(tmp_path / "out")] == ["شبكة", "?"]
    base = [
        "predict-corpus",
        str(tmp_path / "b.jsonl"),
        "--output",
        str(tmp_path / "b"),
        "--model",
        str(small_run.model),
    ]
    result = CliRunner().invoke(app, [*base, "--text-column", "nass"])
    assert result.exit_code == 0, result.stderr
    assert f"why rows were rejected: {tmp_path / 'b/rejects.jsonl'}" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["missing.jsonl"], "missing.jsonl: cannot be read: "),
        (["README.md"], "unknown kind of file '.md'"),
        (["data/authored/test.jsonl", "--model", "nowhere"], "neither a checkpoint folder nor a Hub id"),
        (["data/authored/test.jsonl", "--shard", "5/4"], "--shard 5/4: write I/N"),
        (["data/authored/test.jsonl", "--workers", "4"], "only the engine ray has workers: say --engine ray"),
        (["data/authored/test.jsonl", "--id-column", "nr"], "no column nr; it has ["),
    ],
)
def test_predict_corpus_refuses_in_one_line(small_run, tmp_path, arguments, message):
    command = ["predict-corpus", "--output", str(tmp_path / "out"), "--model", str(small_run.model), *arguments]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 2
    assert message in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_importing_the_package_loads_no_heavy_library():
    code = "import rasd, sys; assert not {'torch', 'transformers'} & set(sys.modules); print(rasd.Classifier.__name__)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "Classifier\n"
    assert all(getattr(library, name).__name__ == name for name in library.__all__)
    assert set(library.__all__) <= set(dir(library))
    with pytest.raises(AttributeError, match="has no attribute 'Clasifier'"):
        library.Clasifier  # noqa: B018


def test_an_interruption_while_libraries_load_leaves_no_traceback():
    code = """
import runpy, sys
class Interrupted:
    def find_spec(self, name, path=None, target=None):
        if name == "transformers":
            raise KeyboardInterrupt
sys.meta_path.insert(0, Interrupted())
runpy.run_module("rasd", run_name="__main__")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (130, "interrupted\n")
