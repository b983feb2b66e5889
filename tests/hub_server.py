"""A server that speaks enough of the Hugging Face Hub for its real clients, on loopback, with failures on demand.

Models and data sets, private or not, with commits, LFS uploads, trees and downloads; everything is kept in memory, in
`server.hub`. Clients run with `HF_ENDPOINT=server.url` and `HF_HUB_DISABLE_XET=1`. Over Xet they can only upload, into
the folder `server.hub.xet`: the client's own local store takes the place of Xet's servers.
"""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

import hub_reads  # noqa: F401  (its routes)
import hub_writes  # noqa: F401
from hub_repos import Hub, HubError
from hub_routes import ROUTES, Request, Response, as_json, find_route

TYPES = {"models": "model", "datasets": "dataset"}


@dataclass
class Failure:
    """What a route answers in place of its own answer; without a status the connection is cut."""

    route: str
    status: int | None
    times: int
    skip: int
    headers: Mapping[str, str]
    done_first: bool  # the request is carried out, and only its answer is lost


class HubServer(ThreadingHTTPServer):
    """The server: its state, the failures to come, and the names of the routes that were called, in order."""

    daemon_threads = True

    def __init__(self, tokens: Mapping[str, str]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.hub = Hub(tokens)
        self.failures: list[Failure] = []
        self.calls: list[str] = []
        self.lock = threading.Lock()

    def fail(
        self,
        route: str,
        status: int | None = None,
        *,
        times: int = 1,
        skip: int = 0,
        headers: Mapping[str, str] | None = None,
        done_first: bool = False,
    ) -> None:
        """Answer the next calls of a route, after `skip` of them, with a status, or cut their connection.

        A failure comes in the middle of the request's body; with `done_first` after the request was carried out.
        """
        if route not in {known.name for known in ROUTES}:
            raise ValueError(f"there is no route {route!r}")
        self.failures.append(Failure(route, status, times, skip, headers or {}, done_first))

    def next_failure(self, route: str) -> Failure | None:
        """Return how this call of a route fails, None where it does not."""
        for failure in self.failures:
            if failure.route == route and failure.skip:
                failure.skip -= 1
                return None
            if failure.route == route and failure.times:
                failure.times -= 1
                return failure
        return None


@contextmanager
def serving(tokens: Mapping[str, str]) -> Iterator[HubServer]:
    """Run a server in a thread of its own; `tokens` gives each token its user."""
    server = HubServer(tokens)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class Handler(BaseHTTPRequestHandler):
    """One connection of a client."""

    protocol_version = "HTTP/1.1"
    server: HubServer

    def log_message(self, *_: object) -> None:
        """Keep the tests' output clean."""

    def answer(self) -> None:
        """Find the route, fail where that is wanted, else answer."""
        parts = urlsplit(self.path)
        method = "GET" if self.command == "HEAD" else self.command
        route, found = find_route(method, unquote(parts.path))
        with self.server.lock:
            self.server.calls.append(route.name)
            failure = self.server.next_failure(route.name)
        if failure and not failure.done_first:
            self.read_body(share=0.5)
            self.break_off(failure)
            return
        request = self.request_of(found, parse_qs(parts.query), self.read_body())
        try:
            with self.server.lock:
                response = route.answer(request)
        except HubError as error:
            response = as_json({"error": error.message}, error.status)
            response.headers |= {"X-Error-Message": error.message, "X-Error-Code": error.code}
        if failure:
            self.break_off(failure)
        else:
            self.send(response)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = answer  # noqa: N815

    def request_of(self, found: Mapping[str, str | None], query: Mapping[str, list[str]], body: bytes) -> Request:
        """Return what the route is told."""
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        return Request(
            hub=self.server.hub,
            url=self.server.url,
            type=TYPES[found.get("type") or "models"],
            id=found.get("id") or "",
            revision=found.get("revision") or "main",
            path=found.get("path") or "",
            query=query,
            body=body,
            user=self.server.hub.tokens.get(token),
            headers=self.headers,
        )

    def read_body(self, share: float = 1.0) -> bytes:
        """Return the request's body, or its first part."""
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(int(self.headers.get("Content-Length", 0)) * share))
        pieces = []
        while size := int(self.rfile.readline(), 16):
            pieces.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(pieces)

    def send(self, response: Response) -> None:
        """Send an answer; of a HEAD request only its headers."""
        self.send_response(response.status)
        for name, value in {"Content-Length": str(len(response.body)), **response.headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(response.body)

    def break_off(self, failure: Failure) -> None:
        """Send a failure, or nothing, and close the connection."""
        self.close_connection = True
        if failure.status is not None:
            response = as_json({"error": "the server was told to fail"}, failure.status)
            response.headers |= {"Connection": "close", **failure.headers}
            self.send(response)
