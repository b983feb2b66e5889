"""Fixtures: the embedded encoder, a small real encoder cut from it, and a checkpoint trained on a few real spans."""

import json
import os
import subprocess
import sys
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"  # before anything reads it: no test may reach for the network
os.environ["TOKENIZERS_PARALLELISM"] = "false"
if "PYTEST_XDIST_WORKER" in os.environ:  # each worker has a core of its own
    os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
import torch
import yaml
from corpus_files import write_rows
from hub_server import serving
from huggingface_hub import constants
from transformers import AutoModel, AutoTokenizer

from rasd import ActorLexicon, Classifier, LabelSchema
from rasd.backbones import build_embedded, start_pooling_as_mean
from train.__main__ import train
from train.config import load_config
from train.runs import RunFolder

ROOT = Path(__file__).parent.parent


@pytest.fixture(autouse=True)
def _in_project(monkeypatch):
    monkeypatch.chdir(ROOT)


@pytest.fixture(scope="session")
def schema() -> LabelSchema:
    return LabelSchema.from_yaml(ROOT / "configs/labels/conflict.yaml")


@pytest.fixture(scope="session")
def lexicon() -> ActorLexicon:
    return ActorLexicon.load(ROOT / "configs/actors.json")


@pytest.fixture(scope="session")
def spans() -> list[dict]:
    """All authored spans."""
    lines = [line for path in sorted((ROOT / "data/authored").glob("*.jsonl")) for line in path.open(encoding="utf-8")]
    return [json.loads(line) for line in lines]


@pytest.fixture(scope="session")
def articles(spans) -> list[dict]:
    """Articles of three authored spans each; every fifth repeats the one before, as wire copy does."""
    rows = []
    for number in range(40):
        first = 3 * (number - (number % 5 == 4))
        text = "\n".join(span["text"] for span in spans[first : first + 3])
        row = {"article_id": f"a{number}", "outlet": f"o{number % 3}", "published": "2016-05-02", "text": text}
        rows.append(row | ({"title": "قصفت ميليشيا أسد البلدة"} if number % 2 else {}))
    return rows


@pytest.fixture(scope="session")
def corpus(articles, tmp_path_factory) -> Path:
    return write_rows(tmp_path_factory.mktemp("corpus") / "news.jsonl", articles)


@pytest.fixture(scope="session")
def embedded() -> Path:
    return build_embedded()


@pytest.fixture(scope="session")
def small_encoder(embedded, tmp_path_factory) -> Path:
    """The embedded encoder's lowest two layers and its pooling layer: real weights, fast on one core."""
    folder = tmp_path_factory.mktemp("small") / "encoder"
    torch.manual_seed(0)
    model = AutoModel.from_pretrained(embedded)
    model.encoder.layer = torch.nn.ModuleList([*model.encoder.layer[:2], model.encoder.layer[-1]])
    model.config.num_hidden_layers = 3
    start_pooling_as_mean(model)
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(embedded).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def small_config(small_encoder, tmp_path_factory) -> Path:
    """A configuration for the small encoder on the first spans of each split."""
    folder = tmp_path_factory.mktemp("config") / "data/authored"  # as the project's own files lie
    folder.mkdir(parents=True)
    plain = yaml.safe_load((ROOT / "configs/embedded.yaml").read_text(encoding="utf-8"))
    for split, count in (("train", 60), ("validation", 24), ("test", 24)):
        lines = (ROOT / f"data/authored/{split}.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
        (folder / f"{split}.jsonl").write_text("".join(lines[:count]), encoding="utf-8")
        plain["data"][split] = [str(folder / f"{split}.jsonl")]
    plain["model"] |= {
        "name_or_path": str(small_encoder),
        "labels": str(ROOT / "configs/labels/conflict.yaml"),
        "lexicon": str(ROOT / "configs/actors.json"),
        "freeze_layers": 0,
    }
    plain["model"] |= {"dropout": 0.1}
    plain["training"]["cache_frozen_layers"] = False
    plain["training"] |= {
        "num_train_epochs": 4,
        "train_batch_size": 16,
        "early_stopping_patience": 3,
        "learning_rate": 5.0e-4,
        "logging_steps": 1,
        "precision": "fp32",
    }
    plain["output_dir"] = str(folder / "run")
    path = folder / "small.yaml"
    path.write_text(yaml.safe_dump(plain), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def small_run(small_config) -> RunFolder:
    """A finished run of the small configuration, made once by the real training code."""
    return train(load_config(small_config))


@pytest.fixture(scope="session")
def classifier(small_run) -> Classifier:
    return Classifier.from_pretrained(small_run.model)


@pytest.fixture(scope="module")
def server():
    """A Hub on loopback with two users."""
    with serving({"hf_owner": "owner", "hf_other": "other"}) as running:
        yield running


@pytest.fixture
def online(server, monkeypatch):
    """Let this process talk to the server, and to no other Hub, as its first user; return the pauses it would make."""
    pauses = []
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(constants, "ENDPOINT", server.url)
    files = "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", server.url + files)
    monkeypatch.setenv("HF_TOKEN", "hf_owner")
    monkeypatch.setattr("time.sleep", pauses.append)
    server.calls.clear()
    yield pauses
    server.failures.clear()


@pytest.fixture(scope="module")
def client(server, tmp_path_factory):
    """Run a script as a process that knows no Hub but the server; return what it prints."""
    home = tmp_path_factory.mktemp("hf")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    environment |= {
        "HF_ENDPOINT": server.url,
        "HF_HOME": str(home),
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "HF_TOKEN": "hf_owner",
        "OMP_NUM_THREADS": "1",
    }

    def run(script, *arguments, texts=(), cwd=ROOT):
        command = [sys.executable, "-c", script, *map(str, arguments)]
        given = json.dumps(texts)
        done = subprocess.run(command, input=given, cwd=cwd, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-3000:]
        return done.stdout

    return run
