"""The bare mirror of one remote repository."""

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple
from weakref import WeakValueDictionary

from controller.blobs.last_use import use
from controller.git import export, importing, lfs
from controller.git.clone import FETCHED, Clone
from controller.git.command import MissingObject, git
from controller.git.commit_info import (
    CHANGES_FORMAT,
    LOG_FORMAT,
    Author,
    CommitInfo,
    FileChanges,
    checked_path,
    checked_ref,
    checked_sha,
    is_sha,
    parse_changes,
    parse_log,
)
from controller.git.commit_lists import CommitLists
from controller.git.object_reader import GitObject
from controller.git.pointers import pointers
from controller.machine.runs.commit_files import CommitFiles
from specs.failures import NeedsHuman

MAX_READ = 16 * 2**20
"""The largest file that `Mirror.read` loads into memory, in bytes."""

WITH_POINTERS = ".pointers"
"""The suffix of a commit's folder with unresolved pointers, as git-lfs was not installed."""

_UNMERGED = (1, 129)
"""Exit codes of `git merge-tree` for a conflict, and from a git that is too old for it."""

_TRACKED = tuple(part for refs in FETCHED for part in ("-c", f"remote.origin.fetch={refs}"))
"""Options of a push that moves the mirror's ref as well, so that no fetch has to."""


class RefMove(NamedTuple):
    """A ref of the remote, where it is to be, and where it is now; None: nowhere."""

    ref: str
    sha: str
    expected: str | None


class Mirror(Clone):
    """Reads from and writes to the repository at `url`, through a bare mirror in `folder`.

    Every method may raise `TryAgain` (remote gone, network, lock) or `NeedsHuman` (access
    refused, not a repository). If the mirror is damaged or deleted, it is cloned again and the call
    repeated. Commits are always named by their full ids.
    """

    def __init__(self, url: str, folder: Path) -> None:
        super().__init__(url, folder)
        self._lists = CommitLists(self._objects, self._list_tree)
        self._exports: WeakValueDictionary[Path, asyncio.Lock] = WeakValueDictionary()

    # -- the remote ---------------------------------------------------------------------------

    async def heads(self) -> dict[str, str]:
        """The remote's current branches, and their commits. Fetches nothing."""
        out = await self._git("ls-remote", "--heads", "origin", local=False)
        found = {}
        for line in out.decode("utf-8", "replace").splitlines():
            sha, _, ref = line.partition("\t")
            found[ref.removeprefix("refs/heads/")] = sha
        return found

    async def default_branch(self) -> str | None:
        """The branch that the remote's HEAD names; None if HEAD has no commit."""
        out = await self._git("ls-remote", "--symref", "origin", "HEAD", local=False)
        first = out.decode("utf-8", "replace").partition("\t")[0]
        return first.removeprefix("ref: refs/heads/") if first.startswith("ref: ") else None

    async def tip(self, ref: str) -> str | None:
        """The current commit of a ref (a branch, or `refs/...`) of the remote, fetched."""
        name = _full(ref)
        out = await self._git("ls-remote", "origin", name, local=False)
        lines = (line.partition("\t") for line in out.decode("utf-8", "replace").splitlines())
        found = {ref: sha for sha, _, ref in lines}.get(name)
        if await self.resolve(name) == found:
            return found
        await self.fetch()
        # It may have moved again, and what it was a moment ago need not be reachable any more.
        return await self.resolve(name)

    async def fetch_pulls(self, heads: Mapping[int, str]) -> None:
        """Fetch the commits of pull requests, by number, from the refs that GitHub keeps for them;
        also those from forks."""
        lacking = [number for number, sha in heads.items() if not await self.has(sha)]
        refs = [f"+refs/pull/{number:d}/head:refs/pull/{number:d}/head" for number in lacking]

        async def fetch() -> None:
            async with self._lock:
                with self._moving():
                    await self._git("fetch", "--quiet", "--no-tags", "origin", *refs)

        if refs:
            await self._recovering(fetch)

    async def push(self, ref: str, sha: str, expected: str | None) -> None:
        """Move `ref` (a branch, or a full `refs/...`) of the remote from `expected` to `sha`.

        `expected` None creates it. Raises `Rejected` if the remote's ref is not at `expected`.
        """
        await self.push_together(RefMove(ref, sha, expected))

    async def push_together(self, *moves: "RefMove") -> None:
        """As `push`, for several refs: all of them or none."""
        names = [_full(one.ref) for one in moves]
        leases = [
            f"--force-with-lease={name}:{checked_sha(one.expected) if one.expected else ''}"
            for name, one in zip(names, moves, strict=True)
        ]
        targets = [f"{checked_sha(m.sha)}:{name}" for name, m in zip(names, moves, strict=True)]
        how = ("--quiet", "--no-verify", *(["--atomic"] if len(moves) > 1 else []), *leases)
        arguments = (*_TRACKED, "push", *how, "origin", *targets)
        await self._with_commit(moves[0].sha, lambda: self._git(*arguments))
        self._moves += 1
        if self._refs is not None:
            self._refs |= {name: one.sha for name, one in zip(names, moves, strict=True)}

    async def delete(self, branch: str) -> None:
        """Delete a branch of the remote, if it exists."""
        at = await self.tip(branch)
        if at is not None:
            name = _full(branch)
            lease = f"--force-with-lease={name}:{at}"
            arguments = ("push", "--quiet", "--no-verify", lease, "origin", f":{name}")
            await self._recovering(lambda: self._git(*arguments))

    # -- reading ------------------------------------------------------------------------------

    async def resolve(self, ref: str) -> str | None:
        """The commit of `ref` (a branch, or `refs/...`) as last fetched."""

        name = _full(ref)
        return (await self._recovering(self._refs_now)).get(name)

    async def read(self, commit: str, path: str) -> bytes | None:
        """The file at `path`, following symbolic links inside the repository; None if there is
        none."""
        return (await self.read_files(commit, (path,))).get(path)

    async def read_each(self, commits: Sequence[str], path: str) -> dict[str, bytes]:
        """The file at `path` in several commits of one history, by commit."""
        names = [f"{checked_sha(one)}:{checked_path(path)}" for one in commits]
        if not commits:
            return {}

        async def read() -> dict[str, bytes]:
            found = await self._objects.ask(names, MAX_READ)
            contents = zip(commits, found, strict=True)
            whole = ((commit, self._whole(one, path, commit)) for commit, one in contents)
            return {commit: content for commit, content in whole if content is not None}

        return await self._with_commit(commits[0], read)

    async def read_files(self, commit: str, paths: Sequence[str]) -> dict[str, bytes]:
        """The files that a commit has at some of these paths, by path."""
        names = [f"{checked_sha(commit)}:{checked_path(path)}" for path in paths]

        async def read() -> dict[str, bytes]:
            there, *found = await self._objects.ask((f"{commit}^{{commit}}", *names), MAX_READ)
            if there is None:
                raise MissingObject(commit)
            each = zip(paths, found, strict=True)
            whole = ((path, self._whole(one, path, commit)) for path, one in each)
            return {path: content for path, content in whole if content is not None}

        return await self._with_commit(commit, read)

    async def read_blobs(
        self, commit: str, blobs: Mapping[str, str], most: int
    ) -> dict[str, bytes]:
        """The contents of files of a commit, by path, without those larger than `most` bytes;
        `blobs` are their ids by path."""

        async def read() -> dict[str, bytes]:
            found = await self._objects.ask(tuple(blobs.values()), most)
            if None in found:
                raise MissingObject(commit)
            each = zip(blobs, found, strict=True)
            return {path: one.content for path, one in each if one and one.content is not None}

        return await self._with_commit(commit, read)

    def _whole(self, found: GitObject | None, path: str, commit: str) -> bytes | None:
        """The content of a file; None if the object is not one."""
        if found is None or found.kind != "blob":
            return None
        if found.content is None:
            raise NeedsHuman(
                f"{path} at {commit[:10]} of {self.url} has {found.size:,} bytes, but at most "
                f"{MAX_READ:,} are read: check that it is the right file"
            )
        return found.content

    async def files(self, commit: str) -> CommitFiles:
        """Every path in the commit's tree and its entry: see `parse_tree` and, for symbolic links
        and Git LFS, `with_link_targets` and `mark_pointers`. Shared: never change it."""
        checked_sha(commit)
        return await self._with_commit(commit, lambda: self._lists.of(commit))

    async def _list_tree(self, commit: str) -> bytes:
        return await self._git("ls-tree", "-r", "-z", "--full-tree", commit)

    async def _object(self, commit: str, name: str) -> GitObject:
        """An object that `commit` has, with its content."""

        async def read() -> GitObject:
            (found,) = await self._objects.ask((name,), MAX_READ)
            if found is None:
                raise MissingObject(commit)
            return found

        return await self._with_commit(commit, read)

    async def commit_object(self, commit: str) -> bytes:
        """The raw commit object as git stores it, without its tree and parents."""
        return (await self._object(commit, f"{checked_sha(commit)}^{{commit}}")).content or b""

    async def commit_info(self, commit: str) -> CommitInfo:
        """Author, time, message and trailers of one commit."""
        sha = checked_sha(commit)
        arguments = ("log", "-1", "-z", f"--format={LOG_FORMAT}", sha, "--")
        return (await self._with_commit(commit, lambda: self._parsed(parse_log, arguments)))[0]

    async def log(
        self, ref: str, paths: Sequence[str] = (), limit: int = 50, without: str | None = None
    ) -> tuple[CommitInfo, ...]:
        """The history of a branch, ref or commit, latest first; empty if that is unknown. Leaves
        out the commit `without` and its ancestors.
        """
        start = ref if is_sha(ref) else await self.resolve(ref)
        if start is None:
            return ()
        options = ("log", "-z", f"-{int(limit)}", f"--format={LOG_FORMAT}", start)
        left_out = (f"^{checked_sha(without)}",) if without else ()
        arguments = (
            *options,
            *left_out,
            "--",
            *(f":(literal){checked_path(path)}" for path in paths),
        )
        return await self._with_commit(start, lambda: self._parsed(parse_log, arguments))

    async def changes(
        self, commit: str, names: Sequence[str], limit: int = 200
    ) -> tuple[FileChanges, ...]:
        """What the commits along the first parents of `commit`, including itself, changed in files
        with one of these names (or globs) in any folder; latest first, at most `limit`."""
        walk = ("log", "-z", f"-{int(limit)}", "--first-parent", "-m", "--no-renames")
        form = ("--raw", "--no-abbrev", f"--format={CHANGES_FORMAT}", checked_sha(commit))
        patterns = (f":(top,glob)**/{checked_path(name)}" for name in names)
        arguments = (*walk, *form, "--", *patterns)
        return await self._with_commit(commit, lambda: self._parsed(parse_changes, arguments))

    async def between(self, old: str, new: str, limit: int) -> tuple[str, ...]:
        """The commits strictly between `old` and `new` along the first parents, latest first, at
        most `limit`; empty if `old` does not exist any more."""
        if not await self.has(old):
            return ()
        arguments = ("rev-list", "--first-parent", f"-{int(limit) + 1}", checked_sha(new))

        async def ask() -> tuple[str, ...]:
            found = (await self._git(*arguments, f"^{checked_sha(old)}")).decode().split()
            return tuple(found[1:])

        return await self._with_commit(new, ask)

    async def count(self, commit: str) -> int:
        """How many commits `commit` and its ancestors are."""
        arguments = ("rev-list", "--count", checked_sha(commit))
        return int(await self._with_commit(commit, lambda: self._git(*arguments)))

    async def touched(self, old: str, new: str) -> tuple[str, ...]:
        """The paths that the commits after `old` and up to `new` change, each once; those of a
        merge against each of its parents."""
        walk = ("log", "-z", "-m", "--no-renames", "--format=", "--name-only")
        arguments = (*walk, checked_sha(new), f"^{checked_sha(old)}", "--")

        async def ask() -> tuple[str, ...]:
            out = (await self._git(*arguments)).decode("utf-8", "surrogateescape")
            return tuple(dict.fromkeys(path for path in out.split("\0") if path))

        return await self._with_commit(new, ask)

    async def fork_points(self, one: str, other: str) -> tuple[str, ...]:
        """The merge bases of two commits: several after criss-cross merges, none for unrelated
        histories."""
        arguments = ("merge-base", "--all", checked_sha(one), checked_sha(other))

        async def ask() -> tuple[str, ...]:
            _, out = await git(self._remote, arguments, folder=self._folder, accept=(0, 1))
            return tuple(out.decode().split())

        return await self._with_commit(one, lambda: self._with_commit(other, ask))

    async def is_ancestor(self, commit: str, of: str) -> bool:
        """Whether `commit` is `of` or one of its ancestors."""
        arguments = ("merge-base", "--is-ancestor", checked_sha(commit), checked_sha(of))

        async def ask() -> bool:
            code, _ = await git(self._remote, arguments, folder=self._folder, accept=(0, 1))
            return code == 0

        return await self._with_commit(of, lambda: self._with_commit(commit, ask))

    async def tree(self, commit: str) -> str:
        """The id of a commit's tree."""
        return (await self._object(commit, f"{checked_sha(commit)}^{{tree}}")).sha

    async def merged(self, one: str, other: str) -> str | None:
        """The id of the tree that merging two commits gives; None if they conflict or one is
        missing, and with git before 2.38."""
        if not (await self.has(one) and await self.has(other)):
            return None
        arguments = ("merge-tree", "--write-tree", "--allow-unrelated-histories", one, other)

        async def merge() -> str | None:
            accept = (0, *_UNMERGED)
            code, out = await git(self._remote, arguments, folder=self._folder, accept=accept)
            return out.decode().split("\n", 1)[0] if code == 0 else None

        return await self._recovering(merge)

    async def materialise(self, commit: str, folder: Path) -> Path:
        """The folder with the commit's files, read-only, created once and atomically in `folder`.

        Git LFS objects are fetched; without git-lfs their pointers remain, in a folder with another
        name. A submodule is an empty folder. Raises `NeedsHuman` for a symbolic link that leads
        outside, and for a Git LFS object that the remote does not have.
        """
        target = folder / checked_sha(commit)
        if use(target):
            return target
        tree = await self.files(commit)
        if pointers(tree) and not lfs.is_installed():
            target = folder / f"{commit}{WITH_POINTERS}"
        # One of those who wait for it exports it.
        async with self._exports.setdefault(target, asyncio.Lock()):
            if not use(target):
                await self._with_commit(
                    commit, lambda: export.export(self._remote, self._folder, commit, tree, target)
                )
        return target

    def sweep(self, before: float) -> int:
        """Delete the Git LFS objects that no checkout used since `before`; how many."""
        return lfs.sweep(self._folder / export.LFS, before)

    # -- writing ------------------------------------------------------------------------------

    async def write_commit(
        self, base: str | None, files: Mapping[str, bytes | None], message: str, author: Author
    ) -> str:
        """Create a commit on top of `base` that writes `files`, or deletes those that are None.

        It is only in the mirror, on no branch, until it is pushed. `base` None: without a parent.
        """
        stream = importing.stream(base, files, message, author)

        async def write() -> str:
            if base is not None and not await self.has(base):
                raise MissingObject(base)
            return (await self._git(*importing.COMMAND, stdin=stream)).decode().strip()

        return await (self._with_commit(base, write) if base else self._recovering(write))

    async def without_history(self, commit: str, message: str, author: Author) -> str:
        """Create a commit with the files of another and without a parent, as `write_commit`."""
        who = {
            f"GIT_{role}_{part}": value
            for role in ("AUTHOR", "COMMITTER")
            for part, value in (("NAME", author.name), ("EMAIL", author.email))
        }
        tree, text = await self.tree(commit), message.encode()
        made = await self._git("commit-tree", tree, "-F", "-", stdin=text, extra=who)
        return made.decode().strip()


def _full(ref: str) -> str:
    checked_ref(ref)
    return ref if ref.startswith("refs/") else f"refs/heads/{ref}"
