"""What the test server keeps: repos with their commits, uploaded large files, and who may do what."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from fnmatch import fnmatch
from pathlib import Path

LARGE = ("*.safetensors", "*.onnx", "*.parquet", "*.bin")  # what the Hub's .gitattributes sends to LFS
LARGE_SIZE = 10_000_000
ATTRIBUTES = "".join(f"{pattern} filter=lfs diff=lfs merge=lfs -text\n" for pattern in LARGE).encode()


class HubError(Exception):
    """A refusal, with its HTTP status, message and X-Error-Code."""

    def __init__(self, status: int, message: str, code: str = "") -> None:
        super().__init__(message)
        self.status, self.message, self.code = status, message, code


@dataclass(frozen=True)
class Commit:
    """A commit and the whole tree after it."""

    id: str
    title: str
    message: str
    date: str
    files: Mapping[str, bytes]


@dataclass
class Repo:
    """A repo with one branch."""

    type: str
    id: str
    private: bool
    commits: list[Commit] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Make the commit that the Hub begins every repo with."""
        self.add_commit({".gitattributes": ATTRIBUTES}, "initial commit", "")

    @property
    def owner(self) -> str:
        return self.id.split("/")[0]

    @property
    def head(self) -> Commit:
        return self.commits[-1]

    @property
    def files(self) -> Mapping[str, bytes]:
        return self.head.files

    def add_commit(self, files: Mapping[str, bytes], title: str, message: str) -> Commit:
        seed = f"{self.type} {self.id} {len(self.commits)} {title} {message} {sorted(files)}"
        date = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
        self.commits.append(Commit(hashlib.sha1(seed.encode()).hexdigest(), title, message, date, dict(files)))
        return self.head

    def at(self, revision: str) -> Commit:
        """Return the commit that a revision names."""
        if revision in ("main", "refs/heads/main"):
            return self.head
        for commit in self.commits:
            if commit.id == revision:
                return commit
        raise HubError(404, f"Invalid rev id: {revision}", "RevisionNotFound")


@dataclass
class Hub:
    """All repos and uploaded large files; `tokens` gives each token its user, who may write below its own name."""

    tokens: Mapping[str, str]
    repos: dict[tuple[str, str], Repo] = field(default_factory=dict)
    large: dict[str, bytes] = field(default_factory=dict)
    xet: Path | None = None  # folder of a local Xet store; files uploaded over Xet are kept as pointers into it

    def add_repo(self, repo_type: str, repo_id: str, files: Mapping[str, bytes], *, private: bool = False) -> Repo:
        """Put a repo there, as if its owner had uploaded these files in one commit."""
        repo = self.repos[repo_type, repo_id] = Repo(repo_type, repo_id, private)
        repo.add_commit({**repo.files, **files}, "Upload", "")
        return repo

    def find(self, repo_type: str, repo_id: str, user: str | None, *, write: bool = False) -> Repo:
        """Return a repo; refuse who may not see it, and who may not write to it."""
        repo = self.repos.get((repo_type, repo_id))
        if repo is None or (repo.private and user != repo.owner):
            raise HubError(404 if user else 401, "Repository not found", "RepoNotFound")
        if write:
            check_owner(user, repo.owner)
        return repo


def check_owner(user: str | None, owner: str) -> None:
    """Refuse who is not the owner of a namespace."""
    if user is None:
        raise HubError(401, "Invalid username or password.")
    if user != owner:
        raise HubError(403, f"You don't have the rights to write under the namespace {owner}")


def is_large(path: str, size: int) -> bool:
    """Say whether a file goes to LFS."""
    return size > LARGE_SIZE or any(fnmatch(path, pattern) for pattern in LARGE)


def sha256(content: bytes) -> str:
    """Return a large file's id."""
    return hashlib.sha256(content).hexdigest()


def git_hash(content: bytes) -> str:
    """Return a file's id in git."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def pointer(oid: str, size: int) -> bytes:
    """Return what git stores of a large file."""
    return f"version https://git-lfs.github.com/spec/v1\noid sha256:{oid}\nsize {size}\n".encode()
