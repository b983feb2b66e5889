"""What the routes of the test server have in common: the paths, what a route is told, and what it answers."""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from hub_repos import Hub, HubError, Repo

REPO = r"(?P<id>[^/]+/[^/]+)"
API = rf"/api/(?P<type>models|datasets)/{REPO}"
GIT = rf"/(?:(?P<type>datasets)/)?{REPO}"
REVISION = r"(?P<revision>[0-9A-Za-z._-]+|refs/heads/main)"
PATH = r"/(?P<path>.+)"


@dataclass
class Request:
    """What a route is told."""

    hub: Hub
    url: str
    type: str
    id: str
    revision: str
    path: str
    query: Mapping[str, list[str]]
    body: bytes
    user: str | None
    headers: Mapping[str, str]

    def json(self) -> dict[str, Any]:
        return json.loads(self.body)

    def repo(self, *, write: bool = False) -> Repo:
        return self.hub.find(self.type, self.id, self.user, write=write)

    def page(self) -> str:
        return f"{self.url}/{'datasets/' if self.type == 'dataset' else ''}{self.id}"


@dataclass
class Response:
    """What a route answers."""

    body: bytes = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


Answer = Callable[[Request], Response]


@dataclass(frozen=True)
class Route:
    """A function that answers a method on the paths that match a pattern."""

    name: str
    method: str
    pattern: str
    answer: Answer


ROUTES: list[Route] = []


def route(method: str, *patterns: str) -> Callable[[Answer], Answer]:
    """Register a function, under its name, as what answers a method on paths that match."""

    def register(function: Answer) -> Answer:
        ROUTES.extend(Route(function.__name__, method, pattern, function) for pattern in patterns)
        return function

    return register


def find_route(method: str, path: str) -> tuple[Route, dict[str, str | None]]:
    """Return the route that answers, and the named parts of the path."""
    for known in ROUTES:
        found = re.fullmatch(known.pattern, path) if known.method == method else None
        if found:
            return known, found.groupdict()
    return Route("unknown", method, path, no_route), {}


def no_route(request: Request) -> Response:
    """Answer where the Hub has something that this server has not."""
    raise HubError(404, "this server has no such route")


def as_json(content: object, status: int = 200) -> Response:
    return Response(json.dumps(content).encode(), status, {"Content-Type": "application/json"})
