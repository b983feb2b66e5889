import subprocess

from train.runs import environment


def test_the_noted_commit_is_modified_by_tracked_files_only(tmp_path, monkeypatch):
    def git(*arguments):
        identity = ["-c", "user.name=n", "-c", "user.email=e@example.org"]
        done = subprocess.run(["git", *identity, *arguments], cwd=tmp_path, check=True, capture_output=True, text=True)
        return done.stdout.strip()

    monkeypatch.chdir(tmp_path)
    assert environment()["git"] is None
    git("init", "-q")
    code = tmp_path / "code.py"
    code.write_text("")
    git("add", "code.py")
    git("commit", "-qm", "one")
    (tmp_path / "notes.txt").write_text("mine")
    assert environment()["git"] == {"commit": git("rev-parse", "HEAD"), "modified": False}
    code.write_text("changed")
    assert environment()["git"]["modified"]
