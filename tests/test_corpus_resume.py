"""A corpus job that is killed, interrupted, out of room, or continued with something else."""

import fcntl
import json
import multiprocessing
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from corpus_files import files_of, write_rows

from rasd import Classifier
from rasd.corpus import predict_corpus
from rasd.corpus_job import JobError, Settings, checkpoint_revision, finish, open_job
from rasd.files import write_json

KILLS = 20


def test_killed_at_random_moments_the_same_command_gives_the_same_files(articles, small_run, tmp_path):
    """`kill -9` twenty times; in between the job goes on, and begins anew where it got to its end."""
    corpus = write_rows(tmp_path / "news.jsonl", articles[:6])
    whole = tmp_path / "whole"
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["rasd.corpus"])
    run_job(context, corpus, small_run.model, whole).join()  # also starts the server, which imports the library
    started = time.monotonic()
    run_job(context, corpus, small_run.model, tmp_path / "again").join()
    seconds = time.monotonic() - started
    expected = files_of(whole)
    assert len([name for name in expected if name.endswith(".parquet")]) == 6
    draw = random.Random(20261123)
    kills, number, folder = 0, 0, tmp_path / "0"
    while kills < KILLS:
        process = run_job(context, corpus, small_run.model, folder)
        process.join(draw.uniform(0, seconds))
        if process.is_alive():
            process.kill()
            process.join()
            kills += 1
            continue
        assert files_of(folder) == expected
        number, folder = number + 1, tmp_path / str(number + 1)
    run_job(context, corpus, small_run.model, folder).join()
    assert files_of(folder) == expected


def run_job(context, corpus, model, folder):
    arguments = ([str(corpus)], model, folder, Settings(part_rows=1))
    process = context.Process(target=predict_corpus, args=arguments)
    process.start()
    return process


def test_a_finished_job_is_not_read_again_and_changes_nothing(corpus, small_run, tmp_path, monkeypatch):
    first = predict_corpus([str(corpus)], small_run.model, tmp_path / "out")
    before = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "out").glob("part-*")}
    monkeypatch.setattr(Classifier, "from_pretrained", None)
    assert predict_corpus([str(corpus)], small_run.model, tmp_path / "out") == first
    assert {path.name: path.stat().st_mtime_ns for path in (tmp_path / "out").glob("part-*")} == before


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda folder, model: {"settings": Settings(stance="none")}, "settings.stance"),
        (lambda folder, model: {"model": other_model(folder, model)}, "model_revision"),
        (lambda folder, model: {"inputs": [str(write_rows(folder / "b.jsonl", [{"text": "خبر"}]))]}, "sources"),
    ],
)
def test_another_job_is_not_mixed_in(corpus, small_run, tmp_path, change, message):
    arguments = {"inputs": [str(corpus)], "model": small_run.model, "output": tmp_path / "out", "settings": Settings()}
    predict_corpus(**arguments)
    before = files_of(tmp_path / "out")
    with pytest.raises(JobError, match=rf"was begun with another {message}; .*another folder for --output"):
        predict_corpus(**(arguments | change(tmp_path, small_run.model)))
    assert files_of(tmp_path / "out") == before


def other_model(folder: Path, model: Path) -> Path:
    """A checkpoint that differs in its lexicon only."""
    copy = folder / "model"
    copy.mkdir()
    for path in model.iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    (copy / "actors.json").write_text((copy / "actors.json").read_text(encoding="utf-8") + "\n", encoding="utf-8")
    return copy


def test_a_folder_of_other_things_is_not_written_to(corpus, small_run, tmp_path):
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(JobError, match="no job of `rasd predict-corpus`; choose another --output"):
        predict_corpus([str(corpus)], small_run.model, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_shards_may_begin_at_the_same_moment(corpus, small_run, tmp_path):
    """None takes the manifest that another has just written, or is about to, for a folder of other things."""
    arguments = ([str(corpus)], small_run.model, tmp_path / "out", Settings())
    together = threading.Barrier(8)
    with ThreadPoolExecutor(8) as threads:
        jobs = list(threads.map(lambda _: (together.wait(), open_job(*arguments))[1], range(8)))
    assert all(job == jobs[0] for job in jobs)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [".lock-manifest", "manifest.json"]
    (tmp_path / "out/manifest.json").rename(tmp_path / "out/.unfinished-0-manifest.json")
    assert open_job(*arguments) == jobs[0]


def test_of_two_jobs_that_begin_at_the_same_moment_one_is_refused(corpus, small_run, tmp_path):
    together = threading.Barrier(2)

    def begin(stance):
        together.wait()
        try:
            return open_job([str(corpus)], small_run.model, tmp_path / "out", Settings(stance=stance))
        except JobError as error:
            return str(error)

    with ThreadPoolExecutor(2) as threads:
        first, second = threads.map(begin, ("all", "none"))
    assert isinstance(first, str) != isinstance(second, str)
    assert "settings.stance" in (first if isinstance(first, str) else second)


def test_a_checkpoint_without_the_runtimes_weights_begins_nothing(corpus, small_run, tmp_path):
    bare = tmp_path / "model"
    shutil.copytree(small_run.model, bare, ignore=shutil.ignore_patterns("*.onnx"))
    with pytest.raises(JobError, match=r"has no model\.onnx, .*rasd export"):
        predict_corpus([str(corpus)], bare, tmp_path / "out", Settings(runtime="onnx"))
    assert not (tmp_path / "out").exists()
    (bare / "model.safetensors").write_bytes(b"half")
    with pytest.raises(RuntimeError, match="the checkpoint is damaged"):
        predict_corpus([str(corpus)], bare, tmp_path / "out")


def test_the_window_that_a_tokenizer_allows_belongs_to_the_model(small_run, tmp_path):
    copy = shutil.copytree(small_run.model, tmp_path / "model")
    path = copy / "tokenizer_config.json"
    plain = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(plain | {"model_max_length": 32}), encoding="utf-8")
    assert checkpoint_revision(copy, "torch") != checkpoint_revision(small_run.model, "torch")


def test_somebody_elses_manifest_is_refused(corpus, small_run, tmp_path):
    (tmp_path / "manifest.json").write_text("[]", encoding="utf-8")
    with pytest.raises(JobError, match="is no manifest of `rasd predict-corpus`"):
        predict_corpus([str(corpus)], small_run.model, tmp_path)


def test_two_shards_that_end_together_count_one_after_the_other(corpus, small_run, tmp_path):
    job = open_job([str(corpus)], small_run.model, tmp_path / "out", Settings())
    with ThreadPoolExecutor(1) as thread:
        with (job.folder / ".lock-summary").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            late = thread.submit(finish, job, [])
            with pytest.raises(TimeoutError):
                late.result(timeout=0.3)
            write_json(job.folder / "summary.json", {"complete": True, "of": "the other shard"})
        assert late.result() == {"complete": True, "of": "the other shard"}
    assert not (job.folder / "rejects.jsonl").exists()


def test_two_processes_do_not_make_the_same_parts(corpus, small_run, tmp_path):
    predict_corpus([str(corpus)], small_run.model, tmp_path / "out")
    script = """
import fcntl, sys
lock = open(sys.argv[1], "w"); fcntl.flock(lock, fcntl.LOCK_EX); print("locked", flush=True); sys.stdin.read()
"""
    lock = str(tmp_path / "out/.lock-1-of-1")
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", script, lock], stdin=pipe, stdout=pipe, text=True) as other:
        other.stdout.readline()
        with pytest.raises(JobError, match="another process is at work on shard 1/1"):
            predict_corpus([str(corpus)], small_run.model, tmp_path / "out")
        other.stdin.close()


def test_a_full_disk_is_one_error_and_finished_parts_are_kept(articles, small_run, tmp_path):
    """A limit on the size of files stands for the disk: the operating system refuses the write."""
    small = write_rows(tmp_path / "a.jsonl", [articles[0]])
    large = write_rows(tmp_path / "b.jsonl", articles)
    context = multiprocessing.get_context("forkserver")
    errors = context.SimpleQueue()
    arguments = ([str(small), str(large)], small_run.model, tmp_path / "out", errors)
    process = context.Process(target=with_little_room, args=arguments)
    process.start()
    process.join()
    assert not errors.empty()
    assert "part-00001-000000.parquet" in errors.get()
    names = {path.name for path in (tmp_path / "out").iterdir() if path.name.startswith(("part", ".unfinished"))}
    assert names == {"part-00000-000000.json", "part-00000-000000.parquet"}


def with_little_room(sources, model, folder, errors):
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (16_000, resource.RLIM_INFINITY))
    try:
        predict_corpus(sources, model, folder, Settings(with_text=True, stance="none"))
    except OSError as error:
        errors.put(str(error))


def heed_interrupts():
    """Undo what a shell does to a job in the background: there SIGINT is ignored, and the children inherit that."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_interrupted_on_the_command_line(corpus, small_run, tmp_path):
    command = [sys.executable, "-m", "rasd", "predict-corpus", str(corpus), "--model", str(small_run.model)]
    command += ["--output", str(tmp_path / "out"), "--part-rows", "1"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment, preexec_fn=heed_interrupts)
    while not (tmp_path / "out/part-00000-000001.json").exists():
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "the same command goes on" in stderr
    assert "Traceback" not in stderr
    assert not list((tmp_path / "out").glob(".unfinished*"))
