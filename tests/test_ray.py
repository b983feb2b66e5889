"""The Ray engine on a cluster of two nodes with two CPUs each. Only with RASD_TEST_RAY=1."""

import gzip
import logging
import os
import threading
import time
from pathlib import Path

import psutil
import pytest
import torch
from corpus_files import files_of, write_rows

from rasd.corpus import predict_corpus
from rasd.corpus_job import JobError, Settings
from rasd.ray_engine import Workers

if os.environ.get("RASD_TEST_RAY") != "1":
    pytest.skip("starts a Ray cluster: set RASD_TEST_RAY=1", allow_module_level=True)
ray = pytest.importorskip("ray", reason="needs Ray: pip install 'rasd[ray]'")

from ray.cluster_utils import Cluster  # noqa: E402

ROOT = Path(__file__).parent.parent
SETTINGS = Settings(part_rows=3)
THREE = Workers(3)


@pytest.fixture(scope="module")
def cluster():
    """Two nodes of two CPUs each, and this process connected to them."""
    nodes = Cluster(initialize_head=True, head_node_args={"num_cpus": 2, "object_store_memory": 100_000_000})
    nodes.add_node(num_cpus=2, object_store_memory=100_000_000)
    nodes.wait_for_nodes()
    paths = {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    ray.init(address=nodes.address, runtime_env={"env_vars": paths}, log_to_driver=False)
    ray.data.DataContext.get_current().wait_for_min_actors_s = 600  # or the first one would make all these small parts
    yield nodes
    ray.shutdown()
    nodes.shutdown()


@pytest.fixture(scope="module")
def corpus(articles, tmp_path_factory) -> Path:
    """A folder of four files: fourteen parts, and a row that is rejected."""
    folder = tmp_path_factory.mktemp("corpus")
    for number in range(3):
        write_rows(folder / f"news{number}.jsonl", articles[10 * number : 10 * number + 10])
    last = write_rows(folder / "news3.jsonl", [*articles[30:33], {"text": None}])
    (folder / "news3.jsonl.gz").write_bytes(gzip.compress(last.read_bytes(), mtime=0))
    last.unlink()
    return folder


@pytest.fixture(scope="module")
def expected(corpus, small_run, tmp_path_factory) -> dict[str, bytes]:
    """The files of the local engine."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("local") / "out"
    predict_corpus([str(corpus)], small_run.model, folder, SETTINGS)
    return files_of(folder)


def predict_on_ray(corpus, model, folder):
    return predict_corpus([str(corpus)], model, folder, SETTINGS, engine="ray", workers=THREE)


@pytest.fixture
def made_on(caplog):
    """Return a function that says which part was made on which node since it was last called."""
    caplog.set_level(logging.DEBUG, logger="rasd.ray_engine")

    def read() -> dict[str, str]:
        records = [record.args for record in caplog.records if record.name == "rasd.ray_engine"]
        caplog.clear()
        return dict(records)

    return read


def test_two_nodes_make_the_files_of_one_process_and_go_on(cluster, corpus, small_run, expected, tmp_path, made_on):
    folder = tmp_path / "out"
    summary = predict_on_ray(corpus, small_run.model, folder)
    assert (summary["complete"], summary["parts"], summary["documents"], summary["rejects"]) == (True, 14, 33, 1)
    assert files_of(folder) == expected
    nodes = made_on()
    assert len(nodes) == 14
    assert set(nodes.values()) == {node["NodeID"] for node in ray.nodes()}

    before = {path.name: path.stat().st_mtime_ns for path in folder.glob("part-*.parquet")}
    again = ["part-00001-000002", "part-00003-000000"]
    for name in ["summary", *again]:
        (folder / f"{name}.json").unlink()
    predict_on_ray(corpus, small_run.model, folder)
    assert sorted(made_on()) == again
    after = {path.name: path.stat().st_mtime_ns for path in folder.glob("part-*.parquet")}
    assert {name.removesuffix(".parquet") for name in after if after[name] != before[name]} == set(again)
    assert files_of(folder) == expected

    with pytest.raises(JobError, match=r"was begun with another settings\.stance"):
        predict_corpus([str(corpus)], small_run.model, folder, Settings(part_rows=3, stance="none"), engine="ray")
    assert files_of(folder) == expected


def test_a_killed_worker_loses_nothing(cluster, corpus, small_run, expected, tmp_path):
    folder, killed = tmp_path / "out", []

    def kill_one() -> None:
        while not list(folder.glob("part-*.json")):
            time.sleep(0.02)
        worker = next(p for p in psutil.process_iter(["cmdline"]) if "PartWorker" in " ".join(p.info["cmdline"] or []))
        worker.kill()
        killed.append(len(list(folder.glob("part-*.json"))))

    killer = threading.Thread(target=kill_one)
    killer.start()
    predict_on_ray(corpus, small_run.model, folder)
    killer.join()
    assert killed[0] < 14
    assert files_of(folder) == expected


def test_a_source_that_broke_meanwhile_is_one_line(cluster, corpus, articles, small_run, tmp_path):
    source = tmp_path / "news.jsonl.gz"
    source.write_bytes(gzip.compress(write_rows(tmp_path / "plain.jsonl", articles).read_bytes()))
    folder, status = tmp_path / "out", source.stat()
    predict_corpus([str(source)], small_run.model, folder, SETTINGS)
    for path in [folder / "summary.json", *folder.glob("part-00000-00000[1-9]*")]:
        path.unlink()
    whole = source.read_bytes()
    source.write_bytes(whole[: len(whole) // 2] + bytes(len(whole) - len(whole) // 2))
    os.utime(source, ns=(status.st_atime_ns, status.st_mtime_ns))
    with pytest.raises(JobError, match=r"news\.jsonl\.gz: cannot be read: .*") as caught:
        predict_on_ray(source, small_run.model, folder)
    assert "\n" not in str(caught.value)
    assert not list(folder.glob(".unfinished*"))


def test_more_workers_than_the_cluster_holds_are_refused(cluster, corpus, small_run, tmp_path):
    with pytest.raises(JobError, match=r"4 workers and a reader need 4.5 CPUs and 0 GPUs; the Ray cluster has 4 and 0"):
        predict_corpus([str(corpus)], small_run.model, tmp_path / "out", engine="ray", workers=Workers(4))
