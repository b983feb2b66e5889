"""The routes of the test server that change something: repos, uploads, commits."""

import base64
import json
import re
from collections.abc import Mapping
from typing import Any

import yaml
from hub_repos import Hub, HubError, Repo, check_owner, git_hash, is_large, pointer, sha256
from hub_routes import API, GIT, REVISION, Request, Response, as_json, route


@route("POST", "/api/repos/create")
def create_repo(request: Request) -> Response:
    asked = request.json()
    owner = asked.get("organization") or request.user
    check_owner(request.user, owner)
    key = asked.get("type") or "model", f"{owner}/{asked['name']}"
    request.type, request.id = key
    if key in request.hub.repos:
        return as_json({"error": f"You already created this {key[0]} repo", "url": request.page()}, 409)
    request.hub.repos[key] = Repo(*key, private=asked.get("visibility") == "private")
    return as_json({"url": request.page(), "name": key[1]})


@route("DELETE", "/api/repos/delete")
def delete_repo(request: Request) -> Response:
    asked = request.json()
    request.type, request.id = asked.get("type") or "model", f"{asked.get('organization')}/{asked['name']}"
    request.repo(write=True)
    del request.hub.repos[request.type, request.id]
    return Response()


@route("POST", "/api/validate-yaml")
def validate_yaml(request: Request) -> Response:
    header = re.match(r"---\n(.*?)\n---\n", request.json()["content"], re.DOTALL)
    try:
        fields = yaml.safe_load(header[1]) if header else None
    except yaml.YAMLError as error:
        return as_json({"errors": [{"message": str(error)}], "warnings": []}, 400)
    return as_json({"errors": [], "warnings": [] if fields else [{"message": "empty or missing yaml metadata"}]})


@route("POST", rf"{API}/preupload/{REVISION}")
def preupload(request: Request) -> Response:
    files = request.repo(write=True).at(request.revision).files
    answer = []
    for asked in request.json()["files"]:
        path, large = asked["path"], is_large(asked["path"], asked["size"])
        known = (sha256 if large else git_hash)(files[path]) if path in files else None
        answer.append({"path": path, "uploadMode": "lfs" if large else "regular", "shouldIgnore": False, "oid": known})
    return as_json({"files": answer})


@route("POST", rf"{GIT}\.git/info/lfs/objects/batch")
def lfs_batch(request: Request) -> Response:
    request.repo(write=True)
    objects = []
    for asked in request.json()["objects"]:
        actions = {
            "upload": {"href": f"{request.url}/lfs/{asked['oid']}"},
            "verify": {"href": f"{request.page()}.git/info/lfs/objects/verify"},
        }
        objects.append(asked if asked["oid"] in request.hub.large else asked | {"actions": actions})
    return as_json({"transfer": "basic", "objects": objects})


@route("PUT", "/lfs/(?P<path>[0-9a-f]{64})")
def lfs_put(request: Request) -> Response:
    if sha256(request.body) != request.path:
        raise HubError(400, "the content has another hash")
    request.hub.large[request.path] = request.body
    return Response()


@route("POST", rf"{GIT}\.git/info/lfs/objects/verify")
def lfs_verify(request: Request) -> Response:
    asked = request.json()
    if len(request.hub.large.get(asked["oid"], b"")) != asked["size"]:
        raise HubError(422, "the upload is not whole")
    return Response()


@route("GET", rf"{API}/xet-(?:read|write)-token/{REVISION}")
def xet_token(request: Request) -> Response:
    request.repo(write=True)
    if request.hub.xet is None:
        raise HubError(404, "this server has no Xet store")
    store = f"local://{request.hub.xet}"
    response = as_json({"casUrl": store, "accessToken": "any", "exp": 2**40})
    response.headers |= {"X-Xet-Cas-Url": store, "X-Xet-Access-Token": "any", "X-Xet-Token-Expiration": str(2**40)}
    return response


@route("POST", rf"{API}/commit/{REVISION}")
def commit(request: Request) -> Response:
    repo = request.repo(write=True)
    lines = [json.loads(line) for line in request.body.splitlines()]
    header = next(line["value"] for line in lines if line["key"] == "header")
    parent = header.get("parentCommit")
    if parent and parent != repo.at(request.revision).id:
        raise HubError(412, "A commit has happened since. Please refresh and try again.")
    files = dict(repo.at(request.revision).files)
    for line in lines:
        apply(request.hub, files, line["key"], line["value"])
    done = repo.add_commit(files, header["summary"], header["description"])
    return as_json({"success": True, "commitOid": done.id, "commitUrl": f"{request.page()}/commit/{done.id}"})


def apply(hub: Hub, files: dict[str, bytes], key: str, value: Mapping[str, Any]) -> None:
    """Carry out one line of a commit on the tree."""
    path = value["path"].rstrip("/") if key != "header" else ""
    if key == "file":
        files[path] = base64.b64decode(value["content"])
    elif key == "lfsFile":
        if value["oid"] not in hub.large and hub.xet is None:
            raise HubError(400, f"{path}: its LFS object was not uploaded")
        files[path] = hub.large.get(value["oid"]) or pointer(value["oid"], value["size"])
    elif key in ("deletedFile", "deletedFolder"):
        gone = [name for name in files if name == path or (key == "deletedFolder" and name.startswith(f"{path}/"))]
        if not gone:
            raise HubError(404, f"{path}: A file with this name doesn't exist", "EntryNotFound")
        for name in gone:
            del files[name]
