"""The routes of the test server that change nothing: users, repos, commits, trees, downloads."""

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs

from hub_repos import Commit, HubError, git_hash, is_large, pointer, sha256
from hub_routes import API, GIT, PATH, REVISION, Request, Response, as_json, route


@route("GET", "/api/whoami-v2")
def whoami(request: Request) -> Response:
    if request.user is None:
        raise HubError(401, "Invalid credentials in Authorization header")
    return as_json({"type": "user", "name": request.user, "orgs": [], "auth": {"accessToken": {"role": "write"}}})


@route("GET", API, rf"{API}/revision/{REVISION}")
def info(request: Request) -> Response:
    repo = request.repo()
    at = repo.at(request.revision)
    siblings = [{"rfilename": path} for path in sorted(at.files)]
    dates = {"createdAt": repo.commits[0].date, "lastModified": at.date}
    fixed: dict[str, Any] = {"tags": [], "downloads": 0, "likes": 0, "gated": False, "disabled": False}
    return as_json({"id": repo.id, "sha": at.id, "private": repo.private, "siblings": siblings, **dates, **fixed})


@route("GET", rf"{API}/tree/{REVISION}", rf"{API}/tree/{REVISION}{PATH}")
def tree(request: Request) -> Response:
    at = request.repo().at(request.revision)
    below = f"{request.path}/" if request.path else ""
    entries = [entry for entry in list_entries(at) if entry["path"].startswith(below)]
    if below and not entries:
        raise HubError(404, f"{request.path} does not exist on {request.revision}", "EntryNotFound")
    if request.query.get("recursive", [""])[0].lower() != "true":
        entries = [entry for entry in entries if "/" not in entry["path"][len(below) :]]
    return as_json(entries)


def list_entries(at: Commit) -> Iterator[dict[str, Any]]:
    """Yield the folders and files of a tree as the Hub describes them."""
    folders = {path[:i] for path in at.files for i, character in enumerate(path) if character == "/"}
    for folder in sorted(folders):
        yield {"type": "directory", "path": folder, "oid": git_hash(folder.encode()), "size": 0}
    for path, content in sorted(at.files.items()):
        entry = {"type": "file", "path": path, "size": len(content), "oid": git_hash(content)}
        if is_large(path, len(content)):
            small = pointer(sha256(content), len(content))
            lfs = {"oid": sha256(content), "size": len(content), "pointerSize": len(small)}
            entry |= {"oid": git_hash(small), "lfs": lfs}
        yield entry


@route("POST", rf"{API}/paths-info/{REVISION}")
def paths_info(request: Request) -> Response:
    wanted = parse_qs(request.body.decode())["paths"]  # the client sends a form here
    entries = list_entries(request.repo().at(request.revision))
    return as_json([entry for entry in entries if entry["path"] in wanted])


@route("GET", f"{API}/refs")
def refs(request: Request) -> Response:
    main = {"name": "main", "ref": "refs/heads/main", "targetCommit": request.repo().head.id}
    return as_json({"branches": [main], "tags": [], "converts": [], "pullRequests": []})


@route("GET", rf"{API}/commits/{REVISION}")
def commits(request: Request) -> Response:
    repo = request.repo()
    until = repo.commits.index(repo.at(request.revision)) + 1
    author = {"user": repo.owner}
    return as_json(
        [
            {"id": one.id, "title": one.title, "message": one.message, "authors": [author], "date": one.date}
            for one in reversed(repo.commits[:until])
        ]
    )


@route("GET", rf"{GIT}/resolve/{REVISION}{PATH}")
def resolve(request: Request) -> Response:
    at = request.repo().at(request.revision)
    if request.path not in at.files:
        raise HubError(404, "Entry not found", "EntryNotFound")
    content = at.files[request.path]
    large = is_large(request.path, len(content))
    tag = f'"{(sha256 if large else git_hash)(content)}"'
    headers = {
        "X-Repo-Commit": at.id,
        "ETag": tag,
        "Accept-Ranges": "bytes",
        "Content-Type": "application/octet-stream",
    }
    if large:
        headers |= {"X-Linked-ETag": tag, "X-Linked-Size": str(len(content))}
    found = re.fullmatch(r"bytes=(\d*)-(\d*)", request.headers.get("Range", ""))
    if not found:
        return Response(content, 200, headers)
    first, last = found.groups()
    start = int(first) if first else max(0, len(content) - int(last))
    stop = min(len(content), int(last) + 1) if first and last else len(content)
    if start >= stop:
        return Response(b"", 416, {**headers, "Content-Range": f"bytes */{len(content)}"})
    return Response(content[start:stop], 206, {**headers, "Content-Range": f"bytes {start}-{stop - 1}/{len(content)}"})
