from pathlib import Path

import pytest
import yaml
from accelerate.commands.config.config_args import load_config_from_file

from rasd import LabelSchema
from train.config import ConfigError, load_config

LAUNCHERS = sorted(Path("configs").glob("accelerate-*.yaml"))
SHIPPED = sorted(set(Path("configs").glob("*.yaml")) - set(LAUNCHERS))
BENCHMARKS = sorted(Path("configs/benchmarks").glob("*.yaml"))


@pytest.mark.parametrize("path", SHIPPED, ids=str)
def test_every_shipped_config_loads_and_survives_its_own_yaml(path, tmp_path):
    config = load_config(path)
    (tmp_path / "again.yaml").write_text(config.to_yaml(), encoding="utf-8")
    assert load_config(tmp_path / "again.yaml") == config


def test_there_is_a_shipped_config():
    assert Path("configs/embedded.yaml") in SHIPPED


@pytest.mark.parametrize("path", LAUNCHERS, ids=str)
def test_accelerate_reads_its_shipped_configs_and_leaves_precision_to_the_run(path):
    launch = load_config_from_file(str(path))
    assert (launch.distributed_type, launch.num_processes, launch.mixed_precision) == ("MULTI_GPU", 4, "no")


@pytest.mark.parametrize("path", BENCHMARKS, ids=str)
def test_every_benchmark_config_loads_where_its_data_is(path, tmp_path, monkeypatch):
    data = yaml.safe_load(path.read_text(encoding="utf-8"))["data"]
    for name in data["train"] + data["validation"] + data["test"]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "configs").symlink_to(Path("configs").resolve())
    monkeypatch.chdir(tmp_path)
    config = load_config(path)
    (tmp_path / "again.yaml").write_text(config.to_yaml(), encoding="utf-8")
    assert load_config(tmp_path / "again.yaml") == config
    schema = LabelSchema.from_yaml(config.model.labels)
    assert {group.name for group in schema.groups} == set(config.data.columns.labels)
    assert set(config.data.columns.polar) <= set(schema.groups[0].labels)
    (tmp_path / config.data.test[0]).unlink()
    with pytest.raises(ConfigError, match=r"benchmarks-data/.*: no such file"):
        load_config(path)


def test_there_are_benchmark_configs():
    assert [path.stem for path in BENCHMARKS] == ["ans", "mawqif"]


def test_validation_is_named_or_drawn():
    columns = "{text: a, given: null, labels: {event: b}, polar: [], validation_share: %s}"
    for overrides in (
        ["data.validation=[]"],
        ["data.validation=[]", f"data.columns={columns % 'null'}"],
        [f"data.columns={columns % '0.2'}"],
    ):
        with pytest.raises(ConfigError, match=r"name files under data\.validation, or a data\.columns\.val"):
            load_config("configs/embedded.yaml", overrides)
    drawn = load_config("configs/embedded.yaml", ["data.validation=[]", f"data.columns={columns % '0.2'}"])
    assert drawn.data.columns.validation_share == 0.2
    with pytest.raises(ConfigError, match=r"data\.columns\.validation_share: .*less than 1"):
        load_config("configs/embedded.yaml", [f"data.columns={columns % '1.0'}"])


def test_a_run_from_before_tables_is_still_read(tmp_path):
    plain = yaml.safe_load(Path("configs/embedded.yaml").read_text(encoding="utf-8"))
    del plain["data"]["columns"]
    (tmp_path / "old.yaml").write_text(yaml.safe_dump(plain), encoding="utf-8")
    assert load_config(tmp_path / "old.yaml") == load_config("configs/embedded.yaml")


def test_overrides_are_typed():
    config = load_config("configs/embedded.yaml", ["training.learning_rate=1e-5", "seed=7", "model.dropout=null"])
    assert config.training.learning_rate == 1e-5
    assert config.seed == 7
    assert config.model.dropout is None


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("training.learning_rat=1", "no such key"),
        ("learning_rate", "no such key"),
        (
            "training.learning_rate=fast",
            r"training\.learning_rate: .*valid number.* \(found 'fast'\); correct the value",
        ),
        ("training.num_train_epochs=1.5", r"training\.num_train_epochs: .*integer"),
        ("training.num_train_epochs='3'", r"training\.num_train_epochs: .*integer"),
        ("training.precision=fp8", r"'auto', 'fp32' or 'bf16'"),
        ("training.num_train_epochs=0", "greater than or equal to 1"),
        ("data.train=[nowhere.jsonl]", r"nowhere\.jsonl: no such file"),
        ("training.learning_rate=[1", "the value is not YAML"),
        ("training.warmup_ratio=1", "less than 1"),
        ("loss.group_weights={stance: -1.0}", "greater than or equal to 0"),
        ("model.max_length=true", r"model\.max_length: .*integer"),
    ],
)
def test_wrong_values_are_named(override, message):
    with pytest.raises(ConfigError, match=message):
        load_config("configs/embedded.yaml", [override])


def test_unknown_and_missing_keys_are_named(tmp_path):
    plain = yaml.safe_load(Path("configs/embedded.yaml").read_text(encoding="utf-8"))
    del plain["training"]["num_train_epochs"]
    plain["training"]["epochs"] = 7
    path = tmp_path / "wrong.yaml"
    path.write_text(yaml.safe_dump(plain), encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    assert "wrong.yaml: training.num_train_epochs: Field required; add it" in str(caught.value)
    assert "wrong.yaml: training.epochs: Extra inputs are not permitted (found 7); remove it" in str(caught.value)


def test_missing_and_broken_files_are_named(tmp_path):
    with pytest.raises(ConfigError, match="no such file"):
        load_config(tmp_path / "none.yaml")
    (tmp_path / "broken.yaml").write_text("a: [1", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"broken\.yaml: not YAML"):
        load_config(tmp_path / "broken.yaml")
    (tmp_path / "list.yaml").write_text("- 1", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"list\.yaml: configuration: "):
        load_config(tmp_path / "list.yaml")
