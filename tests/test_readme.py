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


def test_the_tree_names_every_tracked_file_and_no_other(readme):
    files = set(subprocess.run(["git", "ls-files"], capture_output=True, text=True, check=True).stdout.split())
    tree = readme[readme.index("## The tree") :].split("```")[1]
    named = [line.split()[0] for line in tree.splitlines() if line]
    assert sorted(named) == sorted(set(named))
    assert set(named) == files


def test_nothing_was_left_to_fill_in(readme):
    assert re.findall(r"\b(?:TODO|TBD|XXX|[A-Z]{5,}_[A-Z]{4,}|RESULTS|TOKENS)\b", readme) == []


def test_its_make_targets_exist(readme):
    makefile = Path("Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^    make (\w+)", readme, flags=re.MULTILINE))
    assert {"demo", "test"} <= targets
    assert all(re.search(rf"^{target}:", makefile, flags=re.MULTILINE) for target in targets)


@pytest.mark.parametrize(
    ("app", "command"),
    [
        (rasd_app, "rasd predict "),
        (rasd_app, "rasd predict-corpus "),
        (train_app, "python -m train "),
        (evaluate_app, "python -m train.evaluate"),
    ],
)
def test_the_options_it_shows_exist(readme, app, command):
    options = {word for line in readme.splitlines() if command in line for word in re.findall(r"--[\w-]+", line)}
    name = command.split()[-1]
    shown = CliRunner().invoke(app, [name, "--help"] if app is rasd_app else ["--help"], env={"COLUMNS": "200"}).output
    assert options
    assert all(option in shown for option in options)
