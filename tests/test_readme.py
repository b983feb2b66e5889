"""The README is true: its tree lists every file of the project, its commands exist."""

import re
import subprocess
from pathlib import Path

import pytest
from typer.testing import CliRunner

from rasd.cli import app as rasd_app
from train.__main__ import app as train_app
from train.evaluate import app as evaluate_app

README = Path("README.md")


@pytest.fixture(scope="module")
def readme():
    return (Path(__file__).parent.parent / README).read_text(encoding="utf-8")


def test_the_tree_names_every_tracked_file(readme):
    files = subprocess.run(["git", "ls-files"], capture_output=True, text=True, check=True).stdout.split()
    tree = readme[readme.index("## The tree") :]
    missing = [file for file in files if Path(file).name not in tree]
    assert missing == []
    named = re.findall(r"^\s*([\w./-]+\.(?:py|yaml|json|md|txt|toml))\s", tree, flags=re.MULTILINE)
    assert len(named) > 40
    assert [name for name in named if not any(file.endswith(name) for file in files)] == []


def test_its_make_targets_exist(readme):
    makefile = Path("Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^    make (\w+)", readme, flags=re.MULTILINE))
    assert {"demo", "test"} <= targets
    assert all(re.search(rf"^{target}:", makefile, flags=re.MULTILINE) for target in targets)


@pytest.mark.parametrize(
    ("app", "command"),
    [(rasd_app, "rasd predict"), (train_app, "python -m train "), (evaluate_app, "python -m train.evaluate")],
)
def test_the_options_it_shows_exist(readme, app, command):
    options = {word for line in readme.splitlines() if command in line for word in re.findall(r"--[\w-]+", line)}
    name = command.split()[-1]
    shown = CliRunner().invoke(app, [name, "--help"] if app is rasd_app else ["--help"], env={"COLUMNS": "200"}).output
    assert options
    assert all(option in shown for option in options)
