"""Every failure that the Hub can answer with is survived, or reported with nothing left behind."""

import os
import random

import pytest
from hub_repos import pointer, sha256
from hub_server import serving
from huggingface_hub import constants

from train.hub import LONGEST_WAIT, WAITS, Destination, HubError, publish_files

FILES = {"README.md": b"---\nlanguage: ar\n---\n", "config.json": b"{}", "a.onnx": b"a" * 9000, "b.onnx": b"b" * 9000}


def send(server, repo_id, **options):
    return publish_files(FILES, Destination(repo_id, "model", endpoint=server.url, **options), "Publish", ["*.onnx"])


SURVIVED = [
    ("info", {"status": 500}, [WAITS[0]]),
    ("create_repo", {"status": 503, "times": 2}, list(WAITS[:2])),
    ("create_repo", {"status": None}, [WAITS[0]]),
    ("create_repo", {"status": None, "done_first": True}, [WAITS[0]]),
    ("tree", {"status": 502}, [1]),
    ("preupload", {"status": 429, "headers": {"Retry-After": "7"}}, [8.0]),
    ("lfs_batch", {"status": None}, [1]),
    ("lfs_put", {"status": 500, "skip": 1}, [1]),
    ("lfs_put", {"status": None}, [1]),
    ("lfs_verify", {"status": 500}, [1]),
    ("validate_yaml", {"status": 500}, [WAITS[0]]),
    ("commit", {"status": 429, "headers": {"Retry-After": "7"}}, [7.0]),
    ("commit", {"status": 500, "done_first": True}, [WAITS[0]]),
    ("commit", {"status": None}, [WAITS[0]]),
    ("commit", {"status": None, "done_first": True}, [WAITS[0]]),
]


@pytest.mark.parametrize(("route", "failure", "waited"), SURVIVED)
def test_failures_that_pass_are_survived_in_one_commit(server, online, route, failure, waited):
    server.hub.repos.pop(("model", "owner/s"), None)
    server.hub.large.clear()
    server.fail(route, **failure)
    url = send(server, "owner/s")
    repo = server.hub.repos["model", "owner/s"]
    assert [one.title for one in repo.commits] == ["initial commit", "Publish"]
    assert url.endswith(repo.head.id)
    assert {name: repo.files[name] for name in FILES} == FILES
    assert online == waited


@pytest.mark.parametrize("status", [None, 502])
def test_a_commit_whose_last_answer_is_lost_is_found(server, online, status):
    server.hub.repos.pop(("model", "owner/late"), None)
    server.fail("commit", status, times=len(WAITS))
    server.fail("commit", status, done_first=True)
    url = send(server, "owner/late")
    repo = server.hub.repos["model", "owner/late"]
    assert [one.title for one in repo.commits] == ["initial commit", "Publish"]
    assert url == f"{server.url}/owner/late/commit/{repo.head.id}"
    assert online == list(WAITS)


@pytest.mark.usefixtures("online")
def test_a_lost_answer_is_no_success_where_the_hub_stays_silent(server):
    server.hub.repos.pop(("model", "owner/dark"), None)
    server.fail("commit", times=len(WAITS) + 1)
    server.fail("commits", 403, skip=len(WAITS))
    with pytest.raises(HubError, match="no answer"):
        send(server, "owner/dark")
    assert ("model", "owner/dark") not in server.hub.repos


REPORTED = [
    ("info", {"status": 401}, "does not accept the token"),
    ("create_repo", {"status": 403}, "the token may not write there"),
    ("create_repo", {"status": 409}, "the name is taken"),
    ("create_repo", {"status": 429, "headers": {"Retry-After": str(int(LONGEST_WAIT) + 1)}}, "too many requests"),
    ("tree", {"status": 404}, "no such repo"),
    ("preupload", {"status": 403}, "the token may not write there"),
    ("lfs_put", {"status": 500, "times": 99}, "the Hub has failed"),
    ("lfs_put", {"status": None, "times": 99}, "no answer"),
    ("lfs_put", {"status": 403}, "the token may not write there"),
    ("validate_yaml", {"status": 400}, "Invalid metadata in README.md"),
    ("commit", {"status": 412}, "somebody else committed"),
    ("commit", {"status": 409}, "the name is taken"),
    ("commit", {"status": 429, "times": 99}, "too many requests"),
    ("commit", {"status": 500, "times": 99}, "the Hub has failed"),
    ("commit", {"status": None, "times": 99}, "no answer"),
]


@pytest.mark.usefixtures("online")
@pytest.mark.parametrize(
    ("route", "failure", "message", "existing"),
    [
        (*case, existing)
        for case in REPORTED
        for existing in (False, True)
        if not (existing and case[0] == "create_repo")
    ],
)
def test_other_failures_are_reported_and_leave_nothing(server, route, failure, message, existing):
    server.hub.repos.pop(("model", "owner/r"), None)
    server.hub.large.clear()
    before = server.hub.add_repo("model", "owner/r", {"a.onnx": b"old"}).head if existing else None
    server.fail(route, **failure)
    with pytest.raises(HubError, match=message) as caught:
        send(server, "owner/r")
    assert str(caught.value).startswith(f"{server.url}/owner/r: ")
    assert "\n" not in str(caught.value)
    left = server.hub.repos.get(("model", "owner/r"))
    assert (left.head if left else None) == before
    if failure["status"] in (401, 403, 404, 409, 412):
        # no call was repeated; of two files sent at once the second may not have begun
        assert server.calls.count(route) in ((1, 2) if route == "lfs_put" else (1,))


def test_a_new_repo_that_cannot_be_deleted_is_named(server, online, caplog):
    server.fail("commit", 403)
    server.fail("delete_repo", 500, times=99)
    with pytest.raises(HubError, match="the token may not write"):
        send(server, "owner/left")
    assert f"could not be deleted; delete it at {server.url}/owner/left/settings" in caplog.text
    assert online == list(WAITS)


@pytest.mark.usefixtures("online")
def test_a_new_repo_that_somebody_has_filled_meanwhile_is_kept(server, monkeypatch):
    monkeypatch.setattr("time.sleep", lambda _: server.hub.add_repo("model", "owner/raced", {"theirs.txt": b"1"}))
    server.fail("commit", 500)
    with pytest.raises(HubError, match="somebody else committed"):
        send(server, "owner/raced")
    assert set(server.hub.repos["model", "owner/raced"].files) == {".gitattributes", "theirs.txt"}


@pytest.mark.usefixtures("online")
def test_names_and_privacy(server, monkeypatch):
    send(server, "owner/secret", private=True)
    assert server.hub.repos["model", "owner/secret"].private
    server.hub.add_repo("model", "owner/open", {})
    with pytest.raises(HubError, match=r"owner/open is public; make it private"):
        send(server, "owner/open", private=True)
    assert len(server.hub.repos["model", "owner/open"].commits) == 2
    monkeypatch.setenv("HF_TOKEN", "hf_other")
    with pytest.raises(HubError, match=r"403 .*the token may not write there"):
        send(server, "owner/open")
    with pytest.raises(HubError, match=r"403 .*the token may not write there"):
        send(server, "owner/secret")  # which this token cannot see: it tries to create it
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    with pytest.raises(HubError, match=r"401 .*does not accept the token"):
        send(server, "owner/new")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(HubError, match="offline mode is enabled"):
        send(server, "owner/open")


@pytest.mark.skipif("RASD_TEST_XET" not in os.environ, reason="set RASD_TEST_XET=1 to upload over Xet's own client")
@pytest.mark.usefixtures("online")
def test_upload_over_xet(server, monkeypatch, tmp_path):
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", False)
    monkeypatch.setattr(server.hub, "xet", tmp_path)
    weights = random.Random(0).randbytes(300_000)
    files = FILES | {"model.safetensors": weights}
    publish_files(files, Destination("owner/xet", "model", endpoint=server.url), "Publish", [])
    repo = server.hub.repos["model", "owner/xet"]
    assert [one.title for one in repo.commits] == ["initial commit", "Publish"]
    assert repo.files["model.safetensors"] == pointer(sha256(weights), len(weights))
    assert {"lfs_batch", "lfs_put"}.isdisjoint(server.calls)
    stored = [path.read_bytes() for path in tmp_path.rglob("xorbs/*") if path.is_file()]
    assert any(weights[:1000] in content for content in stored)


def test_no_server_is_reported(online):
    with serving({}) as gone:
        pass
    with pytest.raises(HubError, match=r"no answer .*check the connection and --endpoint"):
        send(gone, "owner/m")
    assert online == list(WAITS)
