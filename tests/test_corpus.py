"""Batch inference over corpora: its rows, whatever the order, the window, the runtime and the bad rows between."""

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from corpus_files import files_of, read_rows, write_rows
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rasd import Classifier
from rasd.corpus import predict_corpus
from rasd.corpus_job import JobError, Settings, Shard
from rasd.onnx_export import export_onnx
from rasd.rows import Columns
from rasd.sources import SourceError


def test_rows_are_those_of_the_classifier_with_offsets_into_the_raw_fields(corpus, articles, small_run, tmp_path):
    summary = predict_corpus([str(corpus)], small_run.model, tmp_path / "out", Settings(with_text=True, part_rows=7))
    rows = read_rows(tmp_path / "out")
    assert summary == json.loads((tmp_path / "out/summary.json").read_text())
    assert (summary["complete"], summary["documents"], summary["rejects"], summary["parts"]) == (True, 40, 0, 6)
    assert (summary["spans"], summary["stances"]) == (len(rows), sum(len(row["stances"]) for row in rows))
    classifier = Classifier.from_pretrained(small_run.model)
    at = iter(rows)
    for number, article in enumerate(articles, 1):
        title = article.get("title")
        whole = f"{title}\n{article['text']}" if title else article["text"]
        for place, span in enumerate(
            classifier.predict_article(whole, published=date(2016, 5, 2), all_events=True).spans
        ):
            row = next(at)
            assert (row["document_id"], row["row"], row["span"]) == (article["article_id"], number, place)
            assert article[row["field"]][row["start"] : row["end"]] == row["text"] == span.text
            assert [event["type"] for event in row["events"]] == [event.type for event in span.events]
            for event, expected in zip(row["events"], span.events, strict=True):
                assert event["probability"] == pytest.approx(expected.probability, abs=1e-5)
                assert event["told"] == (expected.probability >= 0.5)
                assert event["modality"] == expected.modality
            for stance, expected in zip(row["stances"], span.stances, strict=True):
                assert article[row["field"]][stance["start"] : stance["end"]] == stance["surface"] == expected.surface
                assert stance[stance["stance"]] == pytest.approx(expected.probability, abs=1e-5)
                assert (stance["actor"], stance["stance"]) == (expected.actor, expected.stance)
                assert stance["hostile"] + stance["neutral"] + stance["supportive"] == pytest.approx(1, abs=1e-5)
    assert next(at, None) is None
    assert any(row["stances"] for row in rows)


def test_the_declared_schema(corpus, small_run, tmp_path):
    predict_corpus([str(corpus)], small_run.model, tmp_path / "out", Settings(stance="none"))
    table = pq.read_table(tmp_path / "out/part-00000-000000.parquet")
    assert table.schema.metadata[b"rasd.schema_version"] == b"1"
    columns = "document_id source row outlet published span field start end text events stances model_revision"
    assert table.schema.names == [*columns.split(), "schema_version"]
    assert table["text"].null_count == len(table)
    assert table["published"].to_pylist()[0] == date(2016, 5, 2)
    assert not any(table["stances"].to_pylist())
    assert set(table["schema_version"].to_pylist()) == {1}
    assert len(set(table["model_revision"].to_pylist())) == 1


def test_stance_only_where_an_event_is_told(corpus, small_run, tmp_path):
    for stance in ("all", "events"):
        predict_corpus([str(corpus)], small_run.model, tmp_path / stance, Settings(stance=stance))
    everywhere, where_told = read_rows(tmp_path / "all"), read_rows(tmp_path / "events")
    assert any(row["stances"] for row in where_told)
    for one, other in zip(everywhere, where_told, strict=True):
        tells = any(event["told"] for event in one["events"])
        assert [s["actor"] for s in other["stances"]] == ([s["actor"] for s in one["stances"]] if tells else [])
        same_decisions_and_probabilities(one | ({} if tells else {"stances": []}), other)


def test_threads_that_share_a_classifier_plan_as_one_does(articles, small_run):
    classifier = Classifier.from_pretrained(small_run.model, runtime="torch")
    texts = ["\n".join(article["text"] for article in articles[:number]) for number in range(1, len(articles))]
    targets = [[] for _ in texts]
    alone = classifier.plan(texts, targets)
    with ThreadPoolExecutor(4) as threads:
        plans = list(threads.map(lambda _: classifier.plan(texts, targets), range(12)))
    for plan in plans:
        assert plan.counts == alone.counts
        for name, values in alone.passes.features.items():
            assert all(np.array_equal(a, b) for a, b in zip(plan.passes.features[name], values, strict=True))


def test_equal_spans_are_read_once(corpus, small_run, tmp_path, monkeypatch):
    passes = []
    original = Classifier.read
    monkeypatch.setattr(
        Classifier, "read", lambda self, plan, **kw: (passes.append(len(plan.passes)), original(self, plan, **kw))[1]
    )
    summary = predict_corpus([str(corpus)], small_run.model, tmp_path / "out", Settings(stance="none"))
    assert sum(passes) < summary["spans"] - 20  # eight articles are copies, and the title is always the same


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    order=st.permutations(range(15)),
    part_rows=st.sampled_from([1, 4, 100]),
    budget=st.sampled_from([1, 150, 4096]),
    runtime=st.sampled_from(["torch", "onnx", "openvino"]),
)
def test_rows_do_not_depend_on_order_window_batch_or_runtime(
    articles, onnx_model, tmp_path_factory, expected_rows, order, part_rows, budget, runtime
):
    folder = tmp_path_factory.mktemp("job")
    source = write_rows(folder / "news.jsonl", [articles[i] for i in order])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("rasd.batching.CPU_BATCH_TOKENS", budget)
        predict_corpus([str(source)], onnx_model, folder / "out", Settings(runtime=runtime, part_rows=part_rows))
    found = {(row["document_id"], row["span"]): row for row in read_rows(folder / "out")}
    assert found.keys() == expected_rows.keys()
    for key, row in found.items():
        same_decisions_and_probabilities(row, expected_rows[key])


@pytest.fixture(scope="module")
def onnx_model(small_run) -> Path:
    export_onnx(small_run.model)
    return small_run.model


@pytest.fixture(scope="module")
def expected_rows(articles, onnx_model, tmp_path_factory) -> dict:
    folder = tmp_path_factory.mktemp("expected")
    source = write_rows(folder / "news.jsonl", articles[:15])
    predict_corpus([str(source)], onnx_model, folder / "out", Settings(runtime="torch"))
    return {(row["document_id"], row["span"]): row for row in read_rows(folder / "out")}


def same_decisions_and_probabilities(row: dict, other: dict) -> None:
    for event, same in zip(row["events"], other["events"], strict=True):
        assert event["probability"] == pytest.approx(same["probability"], abs=1e-4)
        assert event["told"] == same["told"] or abs(event["probability"] - 0.5) < 1e-4
        assert event["modality_probability"] == pytest.approx(same["modality_probability"], abs=1e-4)
    for stance, same in zip(row["stances"], other["stances"], strict=True):
        for label in ("hostile", "neutral", "supportive"):
            assert stance[label] == pytest.approx(same[label], abs=1e-4)


def test_shards_make_the_parts_of_one_process(corpus, small_run, tmp_path):
    predict_corpus([str(corpus)], small_run.model, tmp_path / "one", Settings(part_rows=6))
    first = predict_corpus([str(corpus)], small_run.model, tmp_path / "two", Settings(part_rows=6), shard=Shard(1, 2))
    assert not first["complete"]
    assert not (tmp_path / "two/summary.json").exists()
    second = predict_corpus([str(corpus)], small_run.model, tmp_path / "two", Settings(part_rows=6), shard=Shard(2, 2))
    assert second["complete"]
    assert files_of(tmp_path / "two") == files_of(tmp_path / "one")
    with pytest.raises(JobError, match="write I/N with 1 <= I <= N"):
        Shard.parse("0/4")


def test_bad_rows_are_written_down_with_their_reason_and_the_job_goes_on(articles, small_run, tmp_path):
    good = json.dumps(articles[0], ensure_ascii=False).encode()
    bad = [
        b'{"text": ',
        b'{"title": "x"}',
        '{"text": "خبر"}'.encode("windows-1256"),
        json.dumps({"text": "خبر " * 13_000_000}, ensure_ascii=False).encode(),
        json.dumps({"text": "خبر " * 600_000}, ensure_ascii=False).encode(),
    ]
    source = tmp_path / "news.jsonl"
    source.write_bytes(b"\n".join([good, *bad, good]) + b"\n")
    summary = predict_corpus([str(source)], small_run.model, tmp_path / "out", Settings(part_rows=2))
    rejects = [json.loads(line) for line in (tmp_path / "out/rejects.jsonl").read_text(encoding="utf-8").splitlines()]
    assert (summary["documents"], summary["rejects"], summary["complete"]) == (2, 5, True)
    assert [(reject["source"], reject["line"]) for reject in rejects] == [(str(source), line) for line in range(2, 7)]
    reasons = ["not JSON", "is missing; name the field", "not UTF-8", "longer than 16,777,216 bytes", "2,400,000 char"]
    for reject, reason in zip(rejects, reasons, strict=True):
        assert reason in reject["reason"]
    assert {row["row"] for row in read_rows(tmp_path / "out")} == {1, 7}


def test_a_missing_column_is_one_error_before_anything_is_written(small_run, tmp_path):
    source = write_rows(tmp_path / "a.jsonl", [{"body": "خبر", "day": "2016-05-02"}])
    with pytest.raises(SourceError, match=r"no column nass; it has \['body', 'day'\]; say --text-column"):
        predict_corpus([str(source)], small_run.model, tmp_path / "out", Settings(columns=Columns(text=("nass",))))
    assert not (tmp_path / "out").exists()
