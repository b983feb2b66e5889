"""A run from the Hub and back, with the real clients against a server on loopback; and what is refused."""

import json
import shutil
from pathlib import Path

import pytest
import torch
import yaml
from huggingface_hub import ModelCard, constants
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
from transformers import BertConfig, BertForPreTraining, PreTrainedTokenizerFast
from typer.testing import CliRunner

from train.publish import app, cut_folders
from train.runs import RunFolder

ROOT = Path(__file__).parent.parent
ENCODER = "aubmindlab/bert-base-arabertv02"
REPO = "owner/rasd"
PLACEHOLDERS = ["[رابط]", "[بريد]", "[مستخدم]"]
RAW_TEXTS = [
    "قَصَفَتْ ميليشـــيا أسد بلدةَ النَّيرب، وفق https://example.org/a?b=1 صباح اليوم",
    "وطالبت الأمم المتحدة بفتح ممـــر آمن للمدنيين www.example.org/ممر #إدلب",
    "فشلت مُفاوَضاتُ الهدنة بعد انسحاب الوفد\u200f، وأُرسِلت تعزيزات إلى سراقب",
]
TRAIN_EVALUATE_PUBLISH = """
import json, pathlib, sys
from rasd import Classifier
from train.__main__ import app as train
from train.evaluate import app as evaluate
from train.publish import app as publish

config, run, repo, output = sys.argv[1:]
for command, *arguments in (
    (train, "--config", config),
    (evaluate, run),
    (publish, run, "--repo-id", repo),
):
    assert not command(arguments, standalone_mode=False), arguments
    pathlib.Path(run, "model/LICENSE").write_text("AraBERT's own terms")
texts = json.load(sys.stdin)
answers = []
for source in (f"{run}/model", repo):
    classifier = Classifier.from_pretrained(source)
    logits = classifier.logits([(text, None) for text in texts] + [(text, "أسد") for text in texts]).tolist()
    events = [{e.type: e.probability for e in p.events} for p in classifier.predict(texts, all_events=True)]
    answers.append({"labels": classifier.schema.label_names(), "logits": logits, "events": events})
json.dump(answers, open(output, "w"))
"""
PIPELINE = """
import json, sys
sys.modules["rasd"] = sys.modules["train"] = None  # an import of either fails
from transformers import pipeline

texts = json.load(sys.stdin)
classify = pipeline("text-classification", model=sys.argv[1])
answers = [classify(texts, top_k=None, **options) for options in ({}, {"function_to_apply": "none"})]
json.dump([[{row["label"]: row["score"] for row in rows} for rows in answer] for answer in answers], sys.stdout)
"""


def tiny_arabert(folder, texts):
    """Write an untrained encoder of AraBERT's architecture and a WordPiece vocabulary of texts; return the files."""
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=False, strip_accents=False)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *PLACEHOLDERS]
    tokenizer.train_from_iterator(texts, trainers.WordPieceTrainer(vocab_size=2000, special_tokens=special))
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    names = {f"{name}_token": f"[{name.upper()}]" for name in ("pad", "unk", "cls", "sep", "mask")}
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=512, **names).save_pretrained(folder)
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=tokenizer.get_vocab_size(),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
    )
    BertForPreTraining(config).save_pretrained(folder)
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def write_config(folder):
    """Write `configs/arabert.yaml` for a few spans, few steps and a processor without bf16."""
    plain = yaml.safe_load((ROOT / "configs/arabert.yaml").read_text(encoding="utf-8"))
    for split, count in (("train", 48), ("validation", 16), ("test", 16)):
        lines = (ROOT / f"data/authored/{split}.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
        (folder / f"{split}.jsonl").write_text("".join(lines[:count]), encoding="utf-8")
        plain["data"][split] = [str(folder / f"{split}.jsonl")]
    plain["output_dir"] = str(folder / "run")
    plain["training"] |= {"num_train_epochs": 2, "precision": "fp32", "learning_rate": 1.0e-3}
    plain["training"] |= {"classifier_learning_rate": 1.0e-2}
    (folder / "arabert.yaml").write_text(yaml.safe_dump(plain), encoding="utf-8")
    return folder / "arabert.yaml"


@pytest.fixture(scope="module")
def published(server, client, tmp_path_factory):
    """Fetch the encoder from the server, train, evaluate and publish it there; return folder, answers and last line."""
    folder = tmp_path_factory.mktemp("published")
    lines = (ROOT / "data/authored/train.jsonl").read_text(encoding="utf-8").splitlines()
    texts = [json.loads(line)["text"] for line in lines[:300]]
    server.hub.add_repo("model", ENCODER, tiny_arabert(folder / "encoder", texts))
    arguments = write_config(folder), folder / "run", REPO, folder / "answers.json"
    printed = client(TRAIN_EVALUATE_PUBLISH, *arguments, texts=RAW_TEXTS)
    return folder, json.loads((folder / "answers.json").read_text()), printed.splitlines()[-1]


def invoke(command, *arguments, code=0):
    result = CliRunner().invoke(command, [str(argument) for argument in arguments])
    assert result.exit_code == code, result.output
    return result


def copy_run(published, tmp_path):
    """Return a copy of the published run that a test may spoil."""
    shutil.copytree(published[0] / "run", tmp_path / "run", ignore=shutil.ignore_patterns("checkpoints"))
    return RunFolder(tmp_path / "run")


def test_the_published_checkpoint_is_the_trained_one(server, published):
    folder, (local, remote), url = published
    assert remote == local
    repo = server.hub.repos["model", REPO]
    assert url == f"{server.url}/{REPO}/commit/{repo.head.id}"
    assert [one.title for one in repo.commits] == ["initial commit", "Publish run"]
    checkpoint = {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "actors.json"}
    records = {"config.yaml", "run.json", "metrics.json", "README.md", "NOTICE", "LICENSE"}
    assert set(repo.files) == {".gitattributes"} | checkpoint | records
    assert all(repo.files[name] == (folder / "run/model" / name).read_bytes() for name in checkpoint)
    assert json.loads(repo.files["config.json"])["id2label"]["18"] == "stance:supportive"
    scores = json.loads(repo.files["metrics.json"])["test"]["checkpoint"]["events"]["macro_f1"]
    results = ModelCard(repo.files["README.md"].decode()).data.eval_results
    assert results[0].metric_value == round(scores, 3)


def test_the_terms_of_the_encoder_go_with_the_weights(server, published):
    files = server.hub.repos["model", REPO].files
    assert files["LICENSE"] == b"AraBERT's own terms"
    notice = files["NOTICE"].decode()
    assert "Copyright 2020 by [American University of Beirut]" in notice
    assert f"(https://huggingface.co/{ENCODER})" in notice
    assert "`NOTICE`" in files["README.md"].decode()


def test_no_text_of_articles_and_no_folder_of_this_machine_is_published(server, published):
    folder, *_ = published
    lines = (folder / "test.jsonl").read_text(encoding="utf-8").splitlines()
    spans = [json.loads(line)["text"][:30].encode() for line in lines]
    files = server.hub.repos["model", REPO].files
    assert not any(span in content for span in spans for content in files.values())
    assert not any(str(folder).encode() in content for content in files.values())
    assert yaml.safe_load(files["config.yaml"])["data"]["test"] == ["test.jsonl"]


def test_pipelines_without_rasd_give_the_classifiers_scores(client, published, tmp_path):
    _, (ours, _), _ = published
    scores, logits = json.loads(client(PIPELINE, REPO, texts=RAW_TEXTS, cwd=tmp_path))
    for i in range(len(RAW_TEXTS)):
        assert {type_: scores[i][f"event:{type_}"] for type_ in ours["events"][i]} == pytest.approx(
            ours["events"][i], abs=1e-6
        )
        expected = dict(zip(ours["labels"], ours["logits"][i], strict=True))
        assert len(expected) == 19
        assert logits[i] == pytest.approx(expected, abs=1e-5)
    assert len({json.dumps(row) for row in logits}) == len(RAW_TEXTS)


@pytest.mark.usefixtures("online")
def test_publishing_again_replaces_what_a_publication_holds_and_nothing_else(server, published, tmp_path):
    run = copy_run(published, tmp_path)
    (run.model / "model.onnx").write_bytes(b"exported")
    (run.path / "report.html").write_text("texts", encoding="utf-8")
    repo = server.hub.add_repo("model", "owner/again", {"picture.png": b"p", "onnx/config.json": b"{}"})
    arguments = run.path, "--repo-id", repo.id, "--endpoint", server.url
    invoke(app, *arguments)
    assert {"model.onnx", "picture.png", "onnx/config.json"} < set(repo.files)
    assert not {"report.html", "predictions.parquet"} & set(repo.files)
    (run.model / "model.onnx").unlink()
    url = invoke(app, *arguments).stdout.splitlines()[-1]
    assert "model.onnx" not in repo.files
    assert {"picture.png", "onnx/config.json", "model.safetensors"} < set(repo.files)
    assert len(repo.commits) == 4
    assert invoke(app, *arguments).stdout.splitlines()[-1] == url  # nothing has changed: no further commit
    assert len(repo.commits) == 4


def test_a_dry_run_lists_sizes_and_makes_no_call(server, published):
    server.calls.clear()  # the process is offline: a call would fail
    run = published[0] / "run"
    shown = invoke(app, run, "--repo-id", "owner/dry", "--dry-run").stdout
    assert f"{(run / 'model/model.safetensors').stat().st_size:,}" in shown
    assert "nothing was sent" in shown
    assert "predictions" not in shown
    assert server.calls == []


@pytest.mark.usefixtures("online")
def test_runs_that_are_not_fit_are_refused_before_any_call(server, published, tmp_path, monkeypatch):
    run = copy_run(published, tmp_path)

    def refusal(repo_id="owner/unfit"):
        options = "--repo-id", repo_id, "--endpoint", server.url
        return invoke(app, run.path, *options, code=2).stderr.replace("\n", "")

    assert "--repo-id 'name': write owner/name" in refusal("name")
    monkeypatch.delenv("HF_TOKEN")
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "none"))
    assert "no token of the Hub" in refusal()
    (run.model / "LICENSE").rename(tmp_path / "LICENSE")
    assert "has no LICENSE: AraBERT's licence wants its text on every copy" in refusal()
    (tmp_path / "LICENSE").rename(run.model / "LICENSE")
    metrics = run.read_metrics()
    run.metrics_file.write_text(json.dumps({"validation": metrics["validation"]}), encoding="utf-8")
    assert f"{run.path} has no test scores; run `python -m train.evaluate" in refusal()
    run.metrics_file.write_text(json.dumps(metrics), encoding="utf-8")
    info = run.read_info()
    changed = next(name for name in info["data"] if name.endswith("test.jsonl"))
    info["data"][changed] = "0" * 64
    run.info_file.write_text(json.dumps(info), encoding="utf-8")
    assert f"changed since the run {run.path} began: {changed}" in refusal()
    (run.model / "config.json").unlink()
    assert "holds no finished run" in refusal()
    assert server.calls == []


def test_folders_are_cut():
    text = (
        '{"/home/me/data/a.jsonl": 1, "test: /srv/x/b.jsonl, data/c.jsonl": "https://example.org/d/e 1 / 2 n/a ../f"}'
    )
    assert cut_folders(text) == (
        '{"a.jsonl": 1, "test: b.jsonl, data/c.jsonl": "https://example.org/d/e 1 / 2 n/a ../f"}'
    )
