"""The test server answers the Hub's real clients as the Hub does."""

from pathlib import Path

import httpx2
import pytest
from hub_server import serving
from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, hf_hub_download
from huggingface_hub.errors import (
    EntryNotFoundError,
    HfHubHTTPError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

CARD = b"---\nlanguage: ar\n---\nA card.\n"
WEIGHTS = bytes(range(256)) * 500


@pytest.fixture
def server():
    with serving({"hf_owner": "owner", "hf_other": "other"}) as running:
        yield running


pytestmark = pytest.mark.usefixtures("online")


@pytest.fixture
def api(server):
    return HfApi(endpoint=server.url, token="hf_owner")


def add(api, repo_id="owner/m", repo_type="model", **files):
    files = {name.replace("__", "/").replace("_dot_", "."): content for name, content in files.items()}
    operations = [CommitOperationAdd(name, content) for name, content in files.items()]
    return api.create_commit(repo_id, operations, commit_message="Add", repo_type=repo_type)


def test_whoami_and_tokens(api, server):
    assert api.whoami()["name"] == "owner"
    with pytest.raises(HfHubHTTPError, match="Invalid user token") as caught:
        api.whoami(token="hf_nobody")
    assert caught.value.response.status_code == 401
    for token, status in (("hf_other", 403), (False, 401)):
        with pytest.raises(HfHubHTTPError) as caught:
            api.create_repo("owner/m", token=token)
        assert caught.value.response.status_code == status
    assert server.hub.repos == {}


@pytest.mark.parametrize("repo_type", ["model", "dataset"])
def test_a_repo_is_created_filled_listed_and_deleted(api, server, repo_type):
    url = api.create_repo("owner/m", repo_type=repo_type)
    assert url.repo_id == "owner/m"
    with pytest.raises(HfHubHTTPError) as caught:
        api.create_repo("owner/m", repo_type=repo_type)
    assert caught.value.response.status_code == 409
    first = add(api, repo_type=repo_type, README_dot_md=CARD, part__x_dot_parquet=WEIGHTS, a_dot_txt=b"1")
    second = api.create_commit(
        "owner/m",
        [CommitOperationDelete("a.txt"), CommitOperationDelete("part/"), CommitOperationAdd("b.txt", b"22")],
        commit_message="Change",
        commit_description="Why",
        repo_type=repo_type,
        parent_commit=first.oid,
    )
    repo = server.hub.repos[repo_type, "owner/m"]
    assert dict(repo.at(first.oid).files) | {".gitattributes": b""} == {
        ".gitattributes": b"",
        "README.md": CARD,
        "part/x.parquet": WEIGHTS,
        "a.txt": b"1",
    }
    assert sorted(repo.files) == [".gitattributes", "README.md", "b.txt"]
    log = api.list_repo_commits("owner/m", repo_type=repo_type)
    assert [(one.title, one.message) for one in log] == [("Change", "Why"), ("Add", ""), ("initial commit", "")]
    assert (
        api.list_repo_refs("owner/m", repo_type=repo_type).branches[0].target_commit == second.oid == log[0].commit_id
    )
    old = api.repo_info("owner/m", repo_type=repo_type, revision=first.oid)
    assert (old.sha, len(old.siblings)) == (first.oid, 4)
    tree = api.list_repo_tree("owner/m", repo_type=repo_type, revision=first.oid, recursive=True)
    sizes = {entry.path: getattr(entry, "size", None) for entry in tree}
    assert sizes["part/x.parquet"] == len(WEIGHTS)
    assert sizes["part"] is None
    top = {entry.path for entry in api.list_repo_tree("owner/m", repo_type=repo_type, revision=first.oid)}
    assert top == {".gitattributes", "README.md", "a.txt", "part"}
    (file,) = api.get_paths_info("owner/m", ["part/x.parquet"], repo_type=repo_type, revision=first.oid)
    assert file.lfs.sha256 in server.hub.large
    api.delete_repo("owner/m", repo_type=repo_type)
    assert server.hub.repos == {}
    with pytest.raises(RepositoryNotFoundError):
        api.delete_repo("owner/m", repo_type=repo_type)


def test_what_has_not_changed_is_not_sent_again(api, server):
    api.create_repo("owner/m")
    add(api, README_dot_md=CARD, w_dot_onnx=WEIGHTS)
    server.calls.clear()
    again = add(api, README_dot_md=CARD, w_dot_onnx=WEIGHTS)
    assert "lfs_put" not in server.calls
    assert "commit" not in server.calls
    assert again.oid == server.hub.repos["model", "owner/m"].head.id


def test_wrong_commits_change_nothing(api, server):
    api.create_repo("owner/m")
    head = add(api, a_dot_txt=b"1").oid
    for operation, status in ((CommitOperationDelete("none.txt"), 404), (CommitOperationAdd("b.txt", b"2"), 412)):
        with pytest.raises(HfHubHTTPError) as caught:
            api.create_commit(
                "owner/m",
                [CommitOperationAdd("c.txt", b"3"), operation],
                commit_message="Wrong",
                parent_commit=head if status == 404 else "0" * 40,
            )
        assert caught.value.response.status_code == status
    with pytest.raises(ValueError, match="Invalid metadata"):
        add(api, README_dot_md=b"---\na: [1\n---\n")
    assert server.hub.repos["model", "owner/m"].head.id == head


def test_private_repos_are_seen_by_their_owner_only(api, server):
    api.create_repo("owner/m", private=True)
    assert api.model_info("owner/m").private
    for token, status in (("hf_other", 404), (False, 401)):
        with pytest.raises(RepositoryNotFoundError) as caught:
            api.model_info("owner/m", token=token)
        assert caught.value.response.status_code == status
    server.hub.add_repo("model", "other/public", {"a.txt": b"1"})
    assert not api.model_info("other/public", token=False).private
    with pytest.raises(HfHubHTTPError) as caught:
        add(api, repo_id="other/public", b_dot_txt=b"2")
    assert caught.value.response.status_code == 403


def test_files_are_downloaded_by_revision_and_range(api, server, tmp_path):
    repo = server.hub.add_repo("model", "owner/m", {"w.safetensors": WEIGHTS, "sub/a b.txt": b"12"})
    old = repo.head.id
    repo.add_commit({**repo.files, "sub/a b.txt": b"345"}, "Change", "")

    def fetch(name, revision=None):
        where = {"endpoint": server.url, "cache_dir": tmp_path, "token": False}
        return Path(hf_hub_download("owner/m", name, revision=revision, **where)).read_bytes()

    assert fetch("w.safetensors") == WEIGHTS
    assert (fetch("sub/a b.txt"), fetch("sub/a b.txt", old)) == (b"345", b"12")
    with pytest.raises(EntryNotFoundError):
        fetch("none.txt")
    with pytest.raises(RevisionNotFoundError):
        fetch("w.safetensors", "nowhere")
    url = f"{server.url}/owner/m/resolve/main/w.safetensors"
    for wanted, content in (
        ("bytes=10-19", WEIGHTS[10:20]),
        ("bytes=127990-", WEIGHTS[-10:]),
        ("bytes=-5", WEIGHTS[-5:]),
    ):
        part = httpx2.get(url, headers={"Range": wanted})
        assert (part.status_code, part.content) == (206, content)
    assert part.headers["Content-Range"] == f"bytes {len(WEIGHTS) - 5}-{len(WEIGHTS) - 1}/{len(WEIGHTS)}"
    assert httpx2.get(url, headers={"Range": "bytes=999999-"}).status_code == 416
    head = httpx2.head(url)
    assert (head.content, head.headers["Content-Length"]) == (b"", str(len(WEIGHTS)))
    assert head.headers["X-Repo-Commit"] == repo.head.id


def test_failures_come_as_they_were_asked_for(api, server, tmp_path):
    with pytest.raises(ValueError, match="no route"):
        server.fail("comit")
    api.create_repo("owner/m")
    server.fail("info", 503, skip=1, times=2, headers={"Retry-After": "4"})
    statuses = [httpx2.get(f"{server.url}/api/models/owner/m").status_code for _ in range(4)]
    assert statuses == [200, 503, 503, 200]
    server.fail("commit")
    with pytest.raises(httpx2.TransportError):
        add(api, a_dot_txt=b"1")
    assert len(server.hub.repos["model", "owner/m"].commits) == 1
    server.fail("commit", done_first=True)
    with pytest.raises(httpx2.TransportError):
        add(api, a_dot_txt=b"1")
    assert len(server.hub.repos["model", "owner/m"].commits) == 2
    server.hub.add_repo("model", "owner/n", {"a.txt": b"1"})
    server.fail("resolve", 429, headers={"Retry-After": "0"})
    server.calls.clear()
    hf_hub_download("owner/n", "a.txt", endpoint=server.url, cache_dir=tmp_path)
    assert server.calls == ["resolve"] * 3  # asked for its size, once more after the failure, then fetched
