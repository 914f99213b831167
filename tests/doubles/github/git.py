"""A bare git repository on disk, written and read with git's own plumbing."""

import os
import subprocess
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

_ENVIRONMENT = {
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_SYSTEM": os.devnull,
    "GIT_TERMINAL_PROMPT": "0",
}
ZERO = "0" * 40
_EMPTY_TREE = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
_COMMIT_FORMAT = "%H%x00%T%x00%P%x00%an%x00%ae%x00%aI%x00%cn%x00%ce%x00%cI%x00%B"


@dataclass(frozen=True)
class Commit:
    sha: str
    tree: str
    parents: tuple[str, ...]
    author: tuple[str, str, str]  # name, email, time
    committer: tuple[str, str, str]
    message: str


@dataclass(frozen=True)
class Change:
    """One file that differs between two commits; `status` in GitHub's words."""

    path: str
    status: str
    sha: str
    additions: int
    deletions: int
    previous: str | None


class Bare:
    """A bare repository; what never changes (commits, differences of commits) is remembered."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._commits: dict[str, Commit] = {}
        self._changes: dict[tuple[str, str], tuple[Change, ...]] = {}
        self._merges: dict[tuple[str, str], str | None] = {}
        self._heads: tuple[object, dict[str, str]] | None = None

    @classmethod
    def create(cls, path: Path, branch: str = "main") -> "Bare":
        subprocess.run(
            ["git", "init", "-q", "--bare", f"--initial-branch={branch}", str(path)],
            check=True,
            env=os.environ | _ENVIRONMENT,
        )
        return cls(path)

    def run(self, *arguments: str, given: bytes | None = None, **environment: str) -> str:
        """What git prints; CalledProcessError when it fails."""
        done = subprocess.run(
            ["git", *arguments],
            cwd=self.path,
            input=given,
            capture_output=True,
            check=True,
            env=os.environ | _ENVIRONMENT | environment,
        )
        return done.stdout.decode()

    @cached_property
    def default_branch(self) -> str:
        return self.run("symbolic-ref", "--short", "HEAD").strip()

    def heads(self) -> dict[str, str]:
        """Branches and their commits. Git is asked only when references changed."""
        seen = self._signature()
        if self._heads is None or self._heads[0] != seen:
            lines = self.run(
                "for-each-ref", "--format=%(refname:lstrip=2) %(objectname)", "refs/heads"
            )
            heads = dict(line.split(" ") for line in lines.splitlines())
            self._heads = (seen, heads)
        return self._heads[1]

    def _signature(self) -> object:
        root = self.path / "refs" / "heads"
        places = [Path(folder) for folder, _, _ in os.walk(root)] + [self.path / "packed-refs"]
        times = [(str(place), place.stat().st_mtime_ns) for place in places if place.exists()]
        # A write in the same tick of the file system's clock would look like none.
        fresh = time.time_ns() - max(when for _, when in times) < 50_000_000
        return object() if fresh else times

    def resolve(self, revision: str) -> str | None:
        """The commit a branch, reference or hash means; None if there is none."""
        if revision in self.heads():
            return self.heads()[revision]
        if revision in self._commits:
            return revision
        try:
            return self.run(
                "rev-parse", "-q", "--verify", "--end-of-options", f"{revision}^{{commit}}"
            ).strip()
        except subprocess.CalledProcessError:
            return None

    def commit(self, sha: str) -> Commit:
        if sha not in self._commits:
            self.commits([sha], "--no-walk")
        return self._commits[sha]

    def commits(self, revisions: list[str], *options: str) -> list[Commit]:
        """The commits that `git log` lists, oldest first."""
        text = self.run(
            "log", "-z", "--reverse", f"--format={_COMMIT_FORMAT}%x00", *options, *revisions
        )
        found = []
        for fields in _groups(text.split("\0"), 11):
            sha, tree, parents, an, ae, ad, cn, ce, cd, message, _ = fields
            found.append(
                Commit(
                    sha,
                    tree,
                    tuple(parents.split()),
                    (an, ae, ad),
                    (cn, ce, cd),
                    message.rstrip("\n"),
                )
            )
        self._commits |= {commit.sha: commit for commit in found}
        return found

    def merge_base(self, one: str, other: str) -> str | None:
        try:
            return self.run("merge-base", one, other).strip()
        except subprocess.CalledProcessError:
            return None

    def changes(self, base: str, head: str) -> tuple[Change, ...]:
        """Files that differ between two commits or trees, with their line counts."""
        if (base, head) not in self._changes:
            common = ("diff-tree", "-r", "-M", "-z", base, head)
            counts = _line_counts(self.run(*common, "--numstat"))
            raw = self.run(*common, "--raw")
            self._changes[base, head] = tuple(_changes(raw, counts))
        return self._changes[base, head]

    def patch(self, base: str, head: str, path: str) -> str:
        text = self.run("diff-tree", "-p", "-M", base, head, "--", path)
        start = text.find("\n@@")
        return text[start + 1 :] if start >= 0 else ""

    def changed_by(self, sha: str) -> tuple[Change, ...]:
        commit = self.commit(sha)
        return self.changes(commit.parents[0] if commit.parents else _EMPTY_TREE, sha)

    def write(
        self,
        branch: str,
        files: Mapping[str, str | bytes | None],
        message: str,
        author: tuple[str, str],
        parent: str | None = None,
    ) -> str:
        """Commit files (None deletes one) on a branch, from `parent` or its head."""
        start = parent or self.heads().get(branch)
        with tempfile.TemporaryDirectory() as folder:
            index = str(Path(folder) / "index")
            if start:
                self.run("read-tree", start, GIT_INDEX_FILE=index)
            lines = []
            for path, text in files.items():
                if text is None:
                    lines.append(f"0 {ZERO}\t{path}")
                    continue
                content = text.encode() if isinstance(text, str) else text
                blob = self.run("hash-object", "-w", "--stdin", given=content).strip()
                lines.append(f"100644 {blob}\t{path}")
            self.run(
                "update-index",
                "--index-info",
                given="\n".join(lines).encode(),
                GIT_INDEX_FILE=index,
            )
            tree = self.run("write-tree", GIT_INDEX_FILE=index).strip()
        sha = self.commit_tree(tree, [start] if start else [], message, author)
        self.set_ref(f"refs/heads/{branch}", sha)
        return sha

    def commit_tree(self, tree: str, parents: list[str], message: str, who: tuple[str, str]) -> str:
        person = {
            f"GIT_{role}_{part}": value
            for role in ("AUTHOR", "COMMITTER")
            for part, value in zip(("NAME", "EMAIL"), who, strict=True)
        }
        options = [word for parent in parents for word in ("-p", parent)]
        return self.run("commit-tree", tree, *options, given=message.encode(), **person).strip()

    def merged_tree(self, base: str, head: str) -> str | None:
        """The tree of both, merged; None when they conflict."""
        if (base, head) not in self._merges:
            try:
                tree: str | None = self.run("merge-tree", "--write-tree", base, head).split("\n")[0]
            except subprocess.CalledProcessError:
                tree = None
            self._merges[base, head] = tree
        return self._merges[base, head]

    def set_ref(self, ref: str, sha: str, old: str | None = None) -> None:
        self.run("update-ref", ref, sha, *([old] if old else []))

    def delete_ref(self, ref: str) -> None:
        self.run("update-ref", "-d", ref)

    def fetch(self, other: "Bare", sha: str, ref: str) -> None:
        """Take a commit of another repository, and let `ref` name it."""
        if other is not self:
            self.run(
                "fetch",
                "-q",
                "--no-tags",
                str(other.path),
                f"+{sha}:{ref}",
                GIT_PROTOCOL="version=2",
            )
        else:
            self.set_ref(ref, sha)

    def tree(self, revision: str, path: str) -> list[tuple[str, str, int, str]] | None:
        """(kind, hash, size, path) of a path: of a file itself, of a folder its entries."""
        spec = f"{path}/" if path and self._is_folder(revision, path) else path
        text = self.run("ls-tree", "-l", "-z", revision, *([spec] if spec else []))
        rows = []
        for line in filter(None, text.split("\0")):
            facts, name = line.split("\t", 1)
            _, kind, sha, size = facts.split()
            rows.append((kind, sha, int(size) if size != "-" else 0, name))
        return rows or None

    def _is_folder(self, revision: str, path: str) -> bool:
        return self.run("ls-tree", revision, path.rstrip("/")).split(" ", 2)[1:2] == ["tree"]

    def blob(self, sha: str) -> bytes:
        return subprocess.run(
            ["git", "cat-file", "blob", sha], cwd=self.path, capture_output=True, check=True
        ).stdout


def _groups(values: list[str], size: int) -> list[list[str]]:
    return [values[i : i + size] for i in range(0, len(values) - size + 1, size)]


def _line_counts(text: str) -> dict[str, tuple[int, int]]:
    counts: dict[str, tuple[int, int]] = {}
    fields = iter(text.split("\0"))
    for field in fields:
        if not field:
            continue
        added, deleted, path = field.split("\t")
        if not path:  # a rename: the old and the new path follow
            next(fields)
            path = next(fields)
        counts[path] = (int(added) if added != "-" else 0, int(deleted) if deleted != "-" else 0)
    return counts


def _changes(text: str, counts: dict[str, tuple[int, int]]) -> list[Change]:
    words = {"A": "added", "D": "removed", "M": "modified", "R": "renamed", "T": "changed"}
    found = []
    fields = iter(text.split("\0"))
    for field in fields:
        if not field:
            continue
        _, _, old, new, letter = field.split(" ")
        path = next(fields)
        previous = None
        if letter[0] == "R":
            previous, path = path, next(fields)
        status = words[letter[0]]
        sha = old if status == "removed" else new
        found.append(Change(path, status, sha, *counts[path], previous))
    return found
