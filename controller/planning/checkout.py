"""A spec in somebody's clone: its commits, files and work tree, read with git."""

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import NamedTuple

from controller.git.commit_info import parse_tree
from controller.git.environment_surveys import surveyed
from controller.git.lfs import is_installed
from controller.git.links import (
    MAX_LINK,
    parse_texts,
    short_enough,
    texts_wanted,
    with_link_targets,
)
from controller.git.pointers import (
    MAX_ATTRIBUTES,
    MAX_POINTER,
    attributes_wanted,
    blobs_wanted,
    explain_absent,
    mark_pointers,
    pointers,
    uses_lfs,
)
from controller.machine.runs.graph import SourceTree
from specs.failures import NeedsHuman
from specs.lint.check import check
from specs.loading.load import LoadedSpec
from specs.model import SPEC_FILE, SPEC_FILES, is_spec_file, spec_order

WORK_TREE = "the work tree"
"""In place of a commit."""
_LIST = ("ls-tree", "-r", "-z", "--full-tree")
LOOK_BACK = 200
"""How many commits that changed a spec are searched for the last rules of a removed pipeline."""


class Checkout(NamedTuple):
    """A spec in somebody's clone."""

    top: Path
    folder: str
    """The spec's folder in the repository; empty for its root."""
    file: str = SPEC_FILE
    """The spec's file name in that folder."""

    @property
    def here(self) -> Path:
        """The path of the spec's folder."""
        return self.top / self.folder if self.folder else self.top


def checkout_of(path: Path) -> Checkout:
    """The clone that contains a spec's folder. Raises NeedsHuman if there is none."""
    top = Path(_git(path, "rev-parse", "--show-toplevel").decode().strip())
    folder = path.resolve().relative_to(top.resolve()).as_posix()
    return Checkout(top, "" if folder == "." else folder)


def top_of(folder: Path) -> Path | None:
    """The root of the clone that contains a folder; None if there is none."""
    try:
        return checkout_of(folder).top.resolve()
    except NeedsHuman:
        return None


def work_tree(checkout: Checkout) -> dict[str, str]:
    """The files that a commit of the work tree would have, with the same ids as `Mirror.files`.

    git itself computes them, with its filters and ignore rules, on a copy of the index and with a
    separate folder for new objects, so nothing in the clone changes.
    """
    own, shared = _git_folders(checkout.top)
    objects = shared / "objects"
    with tempfile.TemporaryDirectory(prefix="headgate-plan-") as scratch:
        index, fresh = Path(scratch) / "index", Path(scratch) / "objects"
        fresh.mkdir()
        if (own / "index").exists():
            # Keep its time: git re-reads files that are not older than their index.
            shutil.copy2(own / "index", index)
        extra = {
            "GIT_INDEX_FILE": str(index),
            "GIT_OBJECT_DIRECTORY": str(fresh),
            "GIT_ALTERNATE_OBJECT_DIRECTORIES": str(objects),
        }
        _git(checkout.top, "add", "--all", extra=extra)
        tree = _git(checkout.top, "write-tree", extra=extra).decode().strip()
        return _files(checkout, tree, extra)


def git_folder(checkout: Checkout) -> Path:
    """The clone's git folder, which all its work trees share."""
    return _git_folders(checkout.top)[1]


@cache
def _git_folders(top: Path) -> tuple[Path, Path]:
    """The git folder of a work tree, and that of the clone; they do not move during a command."""
    found = _git(top, "rev-parse", "--absolute-git-dir", "--git-common-dir").decode()
    own, _, shared = found.removesuffix("\n").partition("\n")
    return Path(own), (top / shared).resolve()


def about(checkout: Checkout, commit: str) -> tuple[str, str]:
    """The branch that is checked out (`HEAD` if detached), and the commit's subject."""
    branch = _git(checkout.top, "rev-parse", "--abbrev-ref", "HEAD")
    subject = _git(checkout.top, "log", "-1", "--format=%s", commit, "--")
    return branch.decode().strip(), subject.decode("utf-8", "replace").strip()


def files_at(checkout: Checkout, commit: str) -> dict[str, str]:
    """The files of a commit, as from `Mirror.files`."""
    return _files(checkout, commit, {})


def tracked(checkout: Checkout) -> dict[str, str]:
    """The files in git's index: the work tree as it was last added."""
    listed = _git(checkout.top, "ls-files", "--stage", "-z")
    as_tree = re.sub(rb"(\d{6}) (\w+) \d\t([^\0]*\0)", rb"\1 blob \2\t\3", listed)
    return _resolved(checkout, parse_tree(as_tree), {})


def _files(checkout: Checkout, tree: str, extra: Mapping[str, str]) -> dict[str, str]:
    files = parse_tree(_git(checkout.top, *_LIST, tree, extra=extra))
    return _resolved(checkout, files, extra)


def _resolved(
    checkout: Checkout, files: dict[str, str], extra: Mapping[str, str]
) -> dict[str, str]:
    """The files with Git LFS content marked and symbolic links followed."""

    def texts(wanted: Sequence[str], most: int) -> dict[str, str]:
        if not wanted:
            return {}
        ids = "\n".join(wanted).encode()
        about = _git(checkout.top, "cat-file", "--batch-check", extra=extra, stdin=ids)
        small = "\n".join(short_enough(about, most)).encode()
        return parse_texts(_git(checkout.top, "cat-file", "--batch", extra=extra, stdin=small))

    if uses_lfs(texts(attributes_wanted(files), MAX_ATTRIBUTES).values()):
        files = mark_pointers(files, texts(blobs_wanted(files), MAX_POINTER))
    return with_link_targets(files, texts(texts_wanted(files), MAX_LINK))


def commit_of(checkout: Checkout, revision: str) -> str:
    """The full commit id of a revision. Raises NeedsHuman for an unknown one."""
    found = _commit_at(checkout, revision)
    if found is not None:
        return found
    if not _git(checkout.top, "rev-list", "--all", "--max-count=1"):
        raise NeedsHuman(
            "the repository has no commit yet; make the first one: "
            "`git add --all && git commit -m 'Add the pipeline'`"
        )
    raise NeedsHuman(f"there is no commit {revision!r} here; fetch it, or choose another")


def _commit_at(checkout: Checkout, revision: str) -> str | None:
    """The full commit id of a revision; None for an unknown one."""
    name = f"{revision}^{{commit}}"
    try:
        out = _git(checkout.top, "rev-parse", "--verify", "--end-of-options", name)
    except NeedsHuman:
        return None
    return out.decode().strip()


def default_base(checkout: Checkout) -> str | None:
    """The commit that a plan is compared with: the fork point from the remote's default branch, or
    HEAD."""
    for revision in ("origin/HEAD", "origin/main", "origin/master"):
        upstream = _commit_at(checkout, revision)
        if upstream is not None:
            with suppress(NeedsHuman):  # they have no common history
                return _git(checkout.top, "merge-base", upstream, "HEAD").decode().strip()
    return _commit_at(checkout, "HEAD")


def spec_at(checkout: Checkout, commit: str, files: Mapping[str, str]) -> LoadedSpec | None:
    """The spec at a commit, checked; None if there is none."""
    source = source_of(checkout, "", commit, files)
    if source.path not in files:
        return None
    content = _read(checkout, commit, source.path) or b""
    return check_at(content, source.path, source, top=checkout.top)


def source_of(
    checkout: Checkout, repository: str, commit: str, files: Mapping[str, str]
) -> SourceTree:
    """The source tree of the checkout's spec at a commit or in the work tree."""
    return SourceTree(
        repository=repository,
        commit=commit,
        folder=checkout.folder,
        files=files,
        file=checkout.file,
    )


def specs_among(checkout: Checkout, files: Mapping[str, str]) -> list[str]:
    """The names of the specs in the checkout's folder."""
    prefix = f"{checkout.folder}/" if checkout.folder else ""
    below = (path.removeprefix(prefix) for path in files if path.startswith(prefix))
    return sorted((name for name in below if is_spec_file(name)), key=spec_order)


def specs_of(checkout: Checkout, files: Iterable[str]) -> list[str]:
    """The paths of all specs of the repository, relative to the current folder if inside it."""
    paths = [checkout.top / path for path in sorted(filter(is_spec, files), key=spec_order)]
    inside = Path.cwd().is_relative_to(checkout.top)
    return [os.path.relpath(path) if inside else str(path) for path in paths]


def is_spec(path: str) -> bool:
    return is_spec_file(path.rpartition("/")[2])


def spec_commits(checkout: Checkout, head: str) -> list[str]:
    """`head`, and the commits before each change of a spec on its branch, the newest first."""
    touching = _git(
        checkout.top,
        *("log", f"-{LOOK_BACK}", "--first-parent", "-m", "--no-renames", "--format=%H %P", head),
        *("--", *(f":(top,glob)**/{name}" for name in SPEC_FILES)),
    )
    commits = [head]
    for line in touching.decode().splitlines():
        commits += line.split()[1:2]  # the state before that change
    return list(dict.fromkeys(commits))


def fork_points(checkout: Checkout, base: str, head: str) -> list[str]:
    """The merge bases of two commits; none if they have no common history."""
    try:
        return _git(checkout.top, "merge-base", "--all", base, head).decode().split()
    except NeedsHuman:  # git fails if there is none
        return []


def with_project(
    checkout: Checkout, loaded: LoadedSpec, source: SourceTree
) -> tuple[LoadedSpec, SourceTree]:
    """The spec and its source with all that its files say, at that commit or in the work tree."""

    def read(path: str) -> bytes | None:
        if source.commit != WORK_TREE:
            return _read(checkout, source.commit, path)
        try:
            return (checkout.top / path).read_bytes()
        except OSError:
            return None

    found = surveyed(loaded, source.folder, source.commit_files.paths, read)
    known = {"project": found.project, "suite_words": found.suite_words}
    return found.loaded, source.model_copy(update=known)


def tracked_from(folder: Path, top: Path | None = None) -> SourceTree:
    """The tracked files of the clone that contains a folder, as a spec there sees them. Outside of
    a clone there are none, and `top` or else the folder itself counts as the root."""
    try:
        checkout = checkout_of(folder)
        files = tracked(checkout)
    except NeedsHuman:
        top = top or folder
        inside = folder.relative_to(top).as_posix()
        checkout, files = Checkout(top, "" if inside == "." else inside), {}
    return SourceTree(
        repository=str(checkout.top), commit=WORK_TREE, folder=checkout.folder, files=files
    )


def check_at(
    content: bytes,
    file: str,
    source: SourceTree,
    files: Collection[str] | None = None,
    top: Path | None = None,
) -> LoadedSpec:
    """A spec, checked against the files in git, or against `files` if given. `top` is the root of
    the clone."""
    seen = source.seen
    there = seen.keys() if files is None else files
    kept, clone = pointers(seen), str(top.resolve()) if top is not None else ""
    return check(
        content, file, there, explain_absent(seen, is_installed()), kept, source.folder, clone
    )


def text_of(checkout: Checkout, source: SourceTree, path: str) -> str | None:
    """A text file of a commit or of the work tree; None if it does not exist or is not text."""
    if source.content(path) is None:
        return None
    inside = source.within(path)
    try:
        if source.commit == WORK_TREE:
            return (checkout.top / inside).read_text()
        content = _read(checkout, source.commit, inside)
        return content.decode() if content is not None else None
    except (OSError, UnicodeDecodeError):
        return None


def _read(checkout: Checkout, commit: str, path: str) -> bytes | None:
    """A file at a commit, following symbolic links in the repository, as `Mirror.read` does."""
    asked = f"{commit}:{path}\n".encode("utf-8", "surrogateescape")
    out = _git(checkout.top, "cat-file", "--batch", "--follow-symlinks", stdin=asked)
    about, _, rest = out.partition(b"\n")
    kind, size = about.split(b" ")[1:3] if about.count(b" ") == 2 else (b"", b"")
    return rest[: int(size)] if kind == b"blob" else None


def _git(
    folder: Path, *arguments: str, extra: Mapping[str, str] | None = None, stdin: bytes = b""
) -> bytes:
    """Run git in somebody's clone, with their own configuration. Raises NeedsHuman."""
    command: Sequence[str] = ("git", "-c", "core.quotePath=false", *arguments)
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            input=stdin,
            capture_output=True,
            check=False,
            env=os.environ | {"LC_ALL": "C"} | dict(extra or {}),
        )
    except FileNotFoundError:
        raise NeedsHuman("git is not installed, or not on PATH: install git") from None
    if done.returncode != 0:
        said = done.stderr.decode("utf-8", "replace").strip().splitlines()
        if any("not a git repository" in line for line in said):
            raise NeedsHuman(f"{folder} is not in a git repository; `git init` creates one")
        if any("git-lfs" in line and "not found" in line for line in said):
            raise NeedsHuman(
                "the git configuration here uses Git LFS, and git-lfs is not on PATH: install it"
            )
        raise NeedsHuman(f"git {arguments[0]}: {said[-1] if said else 'failed'}")
    return done.stdout
