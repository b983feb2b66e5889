from pathlib import Path

import pytest
import yaml

from train.config import ConfigError, load_config

SHIPPED = sorted(Path("configs").glob("*.yaml"))


@pytest.mark.parametrize("path", SHIPPED, ids=str)
def test_every_shipped_config_loads_and_survives_its_own_yaml(path, tmp_path):
    config = load_config(path)
    (tmp_path / "again.yaml").write_text(config.to_yaml(), encoding="utf-8")
    assert load_config(tmp_path / "again.yaml") == config


def test_there_is_a_shipped_config():
    assert Path("configs/embedded.yaml") in SHIPPED


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
    plain["training"]["epochs"] = plain["training"].pop("num_train_epochs")
    path = tmp_path / "wrong.yaml"
    path.write_text(yaml.safe_dump(plain), encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    assert "wrong.yaml: training.num_train_epochs: Field required; add it" in str(caught.value)
    assert "wrong.yaml: training.epochs: Extra inputs are not permitted (found 3); remove it" in str(caught.value)


def test_missing_and_broken_files_are_named(tmp_path):
    with pytest.raises(ConfigError, match="no such file"):
        load_config(tmp_path / "none.yaml")
    (tmp_path / "broken.yaml").write_text("a: [1", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"broken\.yaml: not YAML"):
        load_config(tmp_path / "broken.yaml")
    (tmp_path / "list.yaml").write_text("- 1", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"list\.yaml: configuration: "):
        load_config(tmp_path / "list.yaml")
