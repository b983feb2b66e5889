"""Put files into a repo of the Hugging Face Hub in one commit, or change nothing there.

A repo that is made for the files and cannot be filled is deleted again. Listings and uploads are repeated by
huggingface_hub itself after an error that may pass; the calls that it makes only once are repeated here.
"""

import logging
import re
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Literal, TypeVar
from uuid import uuid4

import httpx2
from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, get_token
from huggingface_hub.errors import HfHubHTTPError, RepositoryNotFoundError
from huggingface_hub.hf_api import DatasetInfo, ModelInfo, RepoFile
from rich.console import Console
from rich.table import Table

LOG = logging.getLogger(__name__)
WAITS = (1.0, 2.0, 4.0, 8.0)  # seconds before each further attempt, where the Hub names none
LONGEST_WAIT = 300.0  # seconds that the Hub may ask to wait
PASSING = (408, 429, 500, 502, 503, 504)
FIXES = {
    401: "the Hub does not accept the token; log in anew with `hf auth login`, or correct HF_TOKEN",
    403: "the token may not write there; use one with write access to this owner's repos, or another owner",
    404: "there is no such repo, or the token may not see it",
    409: "the name is taken by a repo that the token may not see, or that changes at this moment; choose another",
    412: "somebody else committed at the same time; look at that commit, then publish again",
    429: "too many requests; publish again later",
}

Files = Mapping[str, Path | bytes]
RepoType = Literal["model", "dataset"]
T = TypeVar("T")


class HubError(RuntimeError):
    """Files that could not be published; the message says why, and what to do."""


@dataclass(frozen=True)
class Destination:
    """A repo, `owner/name`; `endpoint` is another Hub's address, None for the default one."""

    repo_id: str
    repo_type: RepoType
    private: bool = False
    endpoint: str | None = None

    def check(self) -> None:
        """Refuse a name that no repo can have."""
        if not re.fullmatch(r"[\w.-]+/[\w.-]+", self.repo_id, re.ASCII):
            raise HubError(f"--repo-id {self.repo_id!r}: write owner/name, in Latin letters, digits, '-', '_' and '.'")


def publish_files(files: Files, destination: Destination, message: str, owned: Sequence[str]) -> str:
    """Make these the files of a repo in one commit; return the commit's address.

    The repo is created where there is none. Files that lie there already, match one of the patterns `owned` and are not
    among the new ones are deleted in the same commit; all else stays.
    """
    destination.check()
    if get_token() is None:
        raise HubError("no token of the Hub: run `hf auth login`, or set HF_TOKEN; it needs the right to write")
    repo = _Repo(HfApi(endpoint=destination.endpoint), destination)
    try:
        created = repo.open()
        try:
            return repo.commit(files, message, owned)
        except BaseException:  # Ctrl-C too
            if created:
                repo.delete_if_unfilled()
            raise
    except (httpx2.HTTPError, OSError, RuntimeError, ValueError) as error:
        raise error if isinstance(error, HubError) else HubError(_explain(error, repo.address)) from error


def show_files(console: Console, files: Files, title: str) -> None:
    """Print the names and sizes of files that would be published."""
    sizes = {name: len(file) if isinstance(file, bytes) else file.stat().st_size for name, file in files.items()}
    table = Table(title=title)
    table.add_column("file", overflow="fold")
    table.add_column("bytes", justify="right")
    for name, size in sorted(sizes.items()):
        table.add_row(name, f"{size:,}")
    console.print(table)
    console.print(f"{len(files)} files, {sum(sizes.values()):,} bytes; nothing was sent", soft_wrap=True)


class _Repo:
    """A destination as the Hub's client sees it."""

    def __init__(self, api: HfApi, to: Destination) -> None:
        self.api, self.to = api, to
        self.address = f"{api.endpoint}/{'datasets/' if to.repo_type == 'dataset' else ''}{to.repo_id}"

    def open(self) -> bool:
        """Create the repo where there is none; say whether it was."""
        info = self._info()
        if info is None:
            _repeat(self._create)
        elif self.to.private and not info.private:
            raise HubError(f"{self.address} is public; make it private in its settings first, or leave out --private")
        return info is None

    def commit(self, files: Files, message: str, owned: Sequence[str]) -> str:
        """Upload the files and commit them; return the commit's address."""
        id_, type_ = self.to.repo_id, self.to.repo_type
        info = self._info()
        head = info.sha if info else None
        tree = self.api.list_repo_tree(id_, recursive=True, revision=head, repo_type=type_)
        old = {entry.path for entry in tree if isinstance(entry, RepoFile)} - files.keys()
        stale = sorted(path for path in old if any(_matches(path, pattern) for pattern in owned))
        additions = [CommitOperationAdd(name, file) for name, file in files.items()]
        self.api.preupload_lfs_files(id_, additions, repo_type=type_)
        operations: list[CommitOperationAdd | CommitOperationDelete] = [*additions, *map(CommitOperationDelete, stale)]
        mark = f"Publication {uuid4().hex}"  # by which a commit is found whose answer was lost

        def send(again: bool) -> str:
            if again and (found := self._find(mark)):
                return found
            done = self.api.create_commit(
                id_,
                operations,
                commit_message=message,
                commit_description=mark,
                repo_type=type_,
                parent_commit=head,
            )
            return done.commit_url

        try:
            return _repeat(send)
        except (HfHubHTTPError, httpx2.TransportError):
            with suppress(httpx2.HTTPError, OSError):  # where even that fails, the first error says more
                if found := self._find(mark):
                    return found
            raise

    def delete_if_unfilled(self) -> None:
        """Delete the repo that was just created, unless somebody has committed to it."""
        id_, type_ = self.to.repo_id, self.to.repo_type
        try:
            if len(self.api.list_repo_commits(id_, repo_type=type_)) <= 1:
                _repeat(lambda _: self.api.delete_repo(id_, repo_type=type_, missing_ok=True))
        except (httpx2.HTTPError, OSError) as error:
            LOG.warning(
                "the new repo could not be deleted; delete it at %s/settings (%s)", self.address, _first_line(error)
            )

    def _info(self) -> ModelInfo | DatasetInfo | None:
        """Return what the Hub says of the repo, None where there is none that the token may see."""
        ask = self.api.dataset_info if self.to.repo_type == "dataset" else self.api.model_info
        try:
            return _repeat(lambda _: ask(self.to.repo_id))
        except RepositoryNotFoundError as error:
            if error.response.status_code != 404:
                raise
            return None

    def _create(self, again: bool) -> None:
        try:
            self.api.create_repo(self.to.repo_id, repo_type=self.to.repo_type, private=self.to.private)
        except HfHubHTTPError as error:
            made_before = again and error.response.status_code == 409 and self._info() is not None
            if not made_before:  # by an attempt whose answer was lost
                raise

    def _find(self, mark: str) -> str | None:
        """Return the address of the commit that has the mark, None where there is none."""
        commits = self.api.list_repo_commits(self.to.repo_id, repo_type=self.to.repo_type)
        return next((f"{self.address}/commit/{one.commit_id}" for one in commits if mark in one.message), None)


def _matches(path: str, pattern: str) -> bool:
    return path.count("/") == pattern.count("/") and fnmatch(path, pattern)


def _repeat(call: Callable[[bool], T]) -> T:
    """Return what a call returns, repeated after errors that may pass; it is told whether it is a repetition."""
    for number, wait in enumerate(WAITS):
        try:
            return call(number > 0)
        except (HfHubHTTPError, httpx2.TransportError) as error:
            pause = _pause(error, wait)
            if pause is None:
                raise
            LOG.warning("%s; trying again in %.0f s", _first_line(error), pause)
            time.sleep(pause)
    return call(True)


def _pause(error: Exception, wait: float) -> float | None:
    """Return how many seconds to wait after an error, None where it will not pass."""
    if not isinstance(error, HfHubHTTPError):
        return wait
    if error.response.status_code not in PASSING:
        return None
    asked = error.response.headers.get("Retry-After", "")
    pause = float(asked) if asked.isdigit() else wait
    return pause if pause <= LONGEST_WAIT else None


def _explain(error: Exception, address: str) -> str:
    """Return one clear line: where, what the Hub or the connection said, and what to do."""
    cause = error
    if isinstance(error, RuntimeError) and isinstance(error.__cause__, httpx2.HTTPError):
        cause = error.__cause__  # an upload's: the error itself only names the file
    if isinstance(cause, HfHubHTTPError):
        status = cause.response.status_code
        fix = FIXES.get(status, "the Hub has failed; publish again later" if status >= 500 else "see what it says")
        return f"{address}: {status} ({cause.server_message or _first_line(cause)}): {fix}"
    if isinstance(cause, httpx2.TransportError):
        return f"{address}: no answer ({_first_line(cause)}); check the connection and --endpoint, then publish again"
    return f"{address}: {_first_line(cause)}"


def _first_line(error: BaseException) -> str:
    return next((line for line in str(error).splitlines() if line.strip()), type(error).__name__).strip()
