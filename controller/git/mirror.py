"""The bare mirror of one remote repository."""

import asyncio
import shutil
import tempfile
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from controller.blobs.shelf import use
from controller.git import export, lfs
from controller.git.command import Corrupt, MissingObject, Remote, git
from controller.git.links import LONGEST_TEXT, followed, parse_texts, short_enough, texts_wanted
from controller.git.pointers import (
    LONGEST_ATTRIBUTES,
    LONGEST_POINTER,
    attributes_wanted,
    blobs_wanted,
    marked,
    pointers,
    uses_lfs,
)
from controller.git.values import (
    LOG_FORMAT,
    Author,
    CommitInfo,
    checked_path,
    checked_ref,
    checked_sha,
    is_sha,
    parse_batch,
    parse_log,
    parse_tree,
)
from specs.failures import NeedsHuman

T = TypeVar("T")

LARGEST_READ = 16 * 2**20
"""Bytes of the largest file that `Mirror.read` loads into memory."""

WITH_POINTERS = ".pointers"
"""What the name of a commit's folder ends with where git-lfs was not there to fetch its files."""

_UNMERGED = (1, 129)
"""How `git merge-tree` ends where there is a conflict, and where it cannot merge yet."""

_FETCHED = ("+refs/heads/*:refs/heads/*", "+refs/notes/*:refs/notes/*")


class Mirror:
    """Reads from and writes to the repository at `url`, through a bare mirror in `folder`.

    Every method may raise `TryAgain` (remote gone, network, lock) or `NeedsHuman` (access
    refused, not a repository). A mirror that is damaged or was deleted is cloned anew and the
    call repeated. A commit is always named by its full id.
    """

    def __init__(self, url: str, folder: Path) -> None:
        self._remote = Remote(url)
        self._folder = folder
        self._changing = asyncio.Lock()

    @property
    def url(self) -> str:
        """The remote's address, without credentials: for messages."""
        return self._remote.shown

    # -- the remote ---------------------------------------------------------------------------

    async def heads(self) -> dict[str, str]:
        """The branches of the remote as they are now, and their commits. Fetches nothing."""
        out = await self._git("ls-remote", "--heads", "origin", local=False)
        found = {}
        for line in out.decode("utf-8", "replace").splitlines():
            sha, _, ref = line.partition("\t")
            found[ref.removeprefix("refs/heads/")] = sha
        return found

    async def default_branch(self) -> str | None:
        """The branch that the remote's HEAD names; None for one whose HEAD names no commit."""
        out = await self._git("ls-remote", "--symref", "origin", "HEAD", local=False)
        first = out.decode("utf-8", "replace").partition("\t")[0]
        return first.removeprefix("ref: refs/heads/") if first.startswith("ref: ") else None

    async def tip(self, ref: str) -> str | None:
        """The commit of one ref (a branch, or `refs/...`) of the remote now, fetched."""
        name = _full(ref)
        out = await self._git("ls-remote", "origin", name, local=False)
        lines = (line.partition("\t") for line in out.decode("utf-8", "replace").splitlines())
        found = {ref: sha for sha, _, ref in lines}.get(name)
        if found is not None and await self.resolve(name) != found:
            await self.fetch()
        return found

    async def ensure(self) -> None:
        """See to it that there is a mirror: clone it when it is missing or damaged."""
        async with self._changing:
            if not await self._is_whole():
                await self._clone()

    async def fetch(self) -> None:
        """Bring branches and notes of the mirror to where the remote's are."""

        async def fetch() -> None:
            async with self._changing:
                await self._git("fetch", "--quiet", "--prune", "--no-tags", "origin", *_FETCHED)

        await self._mended(fetch)

    async def fetch_pulls(self, heads: Mapping[int, str]) -> None:
        """Bring the commits of pull requests, by number, as GitHub keeps them; forks' as well."""
        lacking = [number for number, sha in heads.items() if not await self.has(sha)]
        refs = [f"+refs/pull/{number:d}/head:refs/pull/{number:d}/head" for number in lacking]

        async def fetch() -> None:
            async with self._changing:
                await self._git("fetch", "--quiet", "--no-tags", "origin", *refs)

        if refs:
            await self._mended(fetch)

    async def push(self, ref: str, sha: str, expected: str | None) -> None:
        """Move `ref` (a branch, or a full `refs/...`) of the remote from `expected` to `sha`.

        `expected` None creates it. Raises `Rejected` when the remote's ref is elsewhere.
        """
        name = _full(ref)
        lease = f"--force-with-lease={name}:{checked_sha(expected) if expected else ''}"
        target = f"{checked_sha(sha)}:{name}"
        arguments = ("push", "--quiet", "--no-verify", lease, "origin", target)
        await self._found(sha, lambda: self._git(*arguments))

    async def delete(self, branch: str) -> None:
        """Delete a branch of the remote, whatever it names; nothing if there is none."""
        at = await self.tip(branch)
        if at is not None:
            name = _full(branch)
            lease = f"--force-with-lease={name}:{at}"
            arguments = ("push", "--quiet", "--no-verify", lease, "origin", f":{name}")
            await self._mended(lambda: self._git(*arguments))

    # -- reading ------------------------------------------------------------------------------

    async def resolve(self, ref: str) -> str | None:
        """The commit that the mirror last saw `ref` (a branch, or `refs/...`) at."""

        async def resolve() -> str | None:
            name = _full(ref)
            arguments = ("for-each-ref", "--format=%(refname) %(objectname)", "--", name)
            lines = (await self._git(*arguments)).decode().splitlines()
            found = dict(line.split(" ", 1) for line in lines)
            return found.get(name)

        return await self._mended(resolve)

    async def read(self, commit: str, path: str) -> bytes | None:
        """The file at `path`, through symbolic links that stay inside; None if there is none."""
        wanted = f"{checked_sha(commit)}:{checked_path(path)}\n".encode()

        async def read() -> bytes | None:
            await self._git("cat-file", "-e", f"{commit}^{{commit}}")
            about = await self._git("cat-file", "--batch-check", "--follow-symlinks", stdin=wanted)
            sha, _, rest = about.decode("utf-8", "replace").partition("\n")[0].partition(" ")
            kind, _, size = rest.partition(" ")
            if kind != "blob" or not is_sha(sha):
                return None
            if int(size) > LARGEST_READ:
                raise NeedsHuman(
                    f"{path} at {commit[:10]} of {self.url} has {int(size):,} bytes; at most "
                    f"{LARGEST_READ:,} are read: is that the right file?"
                )
            return await self._git("cat-file", "blob", sha)

        return await self._found(commit, read)

    async def read_each(self, commits: Sequence[str], path: str) -> dict[str, bytes]:
        """The file at `path` in each of some commits of one history, by commit, in one go."""
        wanted = "\n".join(f"{checked_sha(one)}:{checked_path(path)}" for one in commits)
        if not commits:
            return {}

        async def read() -> dict[str, bytes]:
            out = await self._git("cat-file", "--batch", stdin=f"{wanted}\n".encode())
            return dict(parse_batch(out, commits))

        return await self._found(commits[0], read)

    async def files(self, commit: str) -> dict[str, str]:
        """Every path in the commit's tree and what stands there: see `parse_tree` and, for links
        and what Git LFS keeps, `followed` and `marked`."""
        arguments = ("ls-tree", "-r", "-z", "--full-tree", checked_sha(commit))

        async def read() -> dict[str, str]:
            files = await self._parsed(parse_tree, arguments)
            attributes = await self._texts(attributes_wanted(files), LONGEST_ATTRIBUTES)
            if uses_lfs(attributes.values()):
                files = marked(files, await self._texts(blobs_wanted(files), LONGEST_POINTER))
            texts = await self._texts(texts_wanted(files), LONGEST_TEXT)
            if not texts:
                return files
            # A hostile tree may take seconds; nothing else has to wait for it.
            return await asyncio.to_thread(followed, files, texts)

        return await self._found(commit, read)

    async def _texts(self, wanted: Sequence[str], most: int) -> dict[str, str]:
        """What blobs say, by their ids; without those that are longer than `most` bytes."""
        if not wanted:
            return {}
        about = await self._git("cat-file", "--batch-check", stdin="\n".join(wanted).encode())
        small = "\n".join(short_enough(about, most)).encode()
        return parse_texts(await self._git("cat-file", "--batch", stdin=small))

    async def commit_object(self, commit: str) -> bytes:
        """The commit as git stores it, without what it points to."""

        async def read() -> bytes:
            return await self._git("cat-file", "commit", checked_sha(commit))

        return await self._found(commit, read)

    async def commit_info(self, commit: str) -> CommitInfo:
        """Who, when, what and the trailers of one commit."""
        sha = checked_sha(commit)
        arguments = ("log", "-1", "-z", f"--format={LOG_FORMAT}", sha, "--")
        return (await self._found(commit, lambda: self._parsed(parse_log, arguments)))[0]

    async def log(
        self, ref: str, paths: Sequence[str] = (), limit: int = 50, without: str | None = None
    ) -> tuple[CommitInfo, ...]:
        """Commits of a branch, a ref or before a commit, latest first; none if it is unknown.

        Those that the commit `without` comes after are left out.
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
        return await self._found(start, lambda: self._parsed(parse_log, arguments))

    async def touching(
        self, commit: str, names: Sequence[str], limit: int = 200
    ) -> tuple[str, ...]:
        """The commits along the first parents of `commit`, itself included, that changed a file of
        such a name, which may hold globs, in any folder; latest first, `limit` at most."""
        walk = (
            "log",
            "-z",
            f"-{int(limit)}",
            "--first-parent",
            "-m",
            "--no-renames",
            "--format=%H",
        )
        patterns = (f":(top,glob)**/{checked_path(name)}" for name in names)
        arguments = (*walk, checked_sha(commit), "--", *patterns)

        async def ask() -> tuple[str, ...]:
            out = (await self._git(*arguments)).decode()
            return tuple(dict.fromkeys(sha for sha in out.split("\0") if sha))

        return await self._found(commit, ask)

    async def between(self, old: str, new: str, limit: int) -> tuple[str, ...]:
        """The commits of a branch that went from `old` to `new` that are neither, along the first
        parents; latest first, `limit` at most; none if `old` is not there any more."""
        if not await self.has(old):
            return ()
        arguments = ("rev-list", "--first-parent", f"-{int(limit) + 1}", checked_sha(new))

        async def ask() -> tuple[str, ...]:
            found = (await self._git(*arguments, f"^{checked_sha(old)}")).decode().split()
            return tuple(found[1:])

        return await self._found(new, ask)

    async def parent(self, commit: str) -> str | None:
        """The first parent of a commit; None for the first of all."""
        return next(iter((await self.commit_info(commit)).parents), None)

    async def fork_points(self, one: str, other: str) -> tuple[str, ...]:
        """The last commits that both have in their history: several where each merged the other's
        past in its own way, none for histories that never met."""
        arguments = ("merge-base", "--all", checked_sha(one), checked_sha(other))

        async def ask() -> tuple[str, ...]:
            _, out = await git(self._remote, arguments, folder=self._folder, accept=(0, 1))
            return tuple(out.decode().split())

        return await self._found(one, lambda: self._found(other, ask))

    async def is_ancestor(self, commit: str, of: str) -> bool:
        """Whether `commit` is `of` or stands before it in its history."""
        arguments = ("merge-base", "--is-ancestor", checked_sha(commit), checked_sha(of))

        async def ask() -> bool:
            code, _ = await git(self._remote, arguments, folder=self._folder, accept=(0, 1))
            return code == 0

        return await self._found(of, lambda: self._found(commit, ask))

    async def tree(self, commit: str) -> str:
        """The id of all that a commit holds."""
        arguments = ("rev-parse", "--verify", f"{checked_sha(commit)}^{{tree}}")
        return (await self._found(commit, lambda: self._git(*arguments))).decode().strip()

    async def merged(self, one: str, other: str) -> str | None:
        """The tree that merging two commits makes; None where they conflict, where one is not
        there, and before git 2.38."""
        if not (await self.has(one) and await self.has(other)):
            return None
        arguments = ("merge-tree", "--write-tree", "--allow-unrelated-histories", one, other)

        async def merge() -> str | None:
            accept = (0, *_UNMERGED)
            code, out = await git(self._remote, arguments, folder=self._folder, accept=accept)
            return out.decode().split("\n", 1)[0] if code == 0 else None

        return await self._mended(merge)

    async def materialise(self, commit: str, folder: Path) -> Path:
        """`folder`/`commit`: the commit's files, read-only. Made once, and whole or not at all.

        What Git LFS keeps is fetched; without git-lfs its pointers stay, and such a folder is never
        taken for the whole one. A submodule is an empty folder. Raises NeedsHuman for a symbolic
        link that leads outside, and for what Git LFS does not have.
        """
        target = folder / checked_sha(commit)
        if use(target):
            return target
        tree = await self.files(commit)
        if pointers(tree) and not lfs.is_installed():
            target = folder / f"{commit}{WITH_POINTERS}"
        if not use(target):
            await self._found(
                commit, lambda: export.export(self._remote, self._folder, commit, tree, target)
            )
        return target

    def sweep(self, before: float) -> int:
        """Delete what Git LFS keeps and no commit that was laid out since `before` needed; how many
        files went."""
        return lfs.sweep(self._folder / export.LFS, before)

    # -- writing ------------------------------------------------------------------------------

    async def write_commit(
        self,
        base: str | None,
        files: Mapping[str, bytes | None],
        message: str,
        author: Author,
    ) -> str:
        """A new commit on top of `base` with `files` written, or deleted where None.

        It stands in the mirror only, on no branch, until it is pushed. `base` None: an orphan.
        """
        for path in files:
            checked_path(path)

        async def write() -> str:
            with tempfile.TemporaryDirectory(prefix="headgate-index-") as scratch:
                index = {"GIT_INDEX_FILE": str(Path(scratch) / "index")}
                if base is not None:
                    await self._git("read-tree", checked_sha(base), extra=index)
                lines = [await self._index_line(path, data) for path, data in files.items()]
                await self._git(
                    "update-index", "-z", "--index-info", stdin=b"".join(lines), extra=index
                )
                tree = (await self._git("write-tree", extra=index)).decode().strip()
            return await self._commit_tree(tree, base, message, author)

        return await (self._found(base, write) if base else self._mended(write))

    async def _index_line(self, path: str, data: bytes | None) -> bytes:
        if data is None:
            return f"0 {'0' * 40}\t{path}\0".encode()
        sha = (await self._git("hash-object", "-w", "--stdin", stdin=data)).decode().strip()
        return f"100644 {sha}\t{path}\0".encode()

    async def _commit_tree(self, tree: str, base: str | None, message: str, author: Author) -> str:
        who = {
            f"GIT_{role}_{part}": value
            for role in ("AUTHOR", "COMMITTER")
            for part, value in (("NAME", author.name), ("EMAIL", author.email))
        }
        parent = ("-p", base) if base else ()
        arguments = ("commit-tree", tree, *parent, "-F", "-")
        out = await self._git(*arguments, stdin=message.encode(), extra=who)
        return out.decode().strip()

    # -- the mirror itself --------------------------------------------------------------------

    async def _git(
        self,
        *arguments: str,
        stdin: bytes = b"",
        extra: Mapping[str, str] | None = None,
        local: bool = True,
    ) -> bytes:
        folder = self._folder if local else None
        try:
            _, out = await git(self._remote, arguments, folder=folder, stdin=stdin, extra=extra)
        except (Corrupt, MissingObject) as error:
            if local:
                raise
            raise NeedsHuman(f"{self.url} is damaged: {error}") from None
        return out

    async def _parsed(self, parse: Callable[[bytes], T], arguments: Sequence[str]) -> T:
        return parse(await self._git(*arguments))

    async def _mended(self, call: Callable[[], Awaitable[T]]) -> T:
        """The result of `call`; once more on a new mirror if this one is missing or damaged."""
        try:
            if (self._folder / "HEAD").is_file():
                return await call()
        except Corrupt:
            async with self._changing:
                await self._clone()
        else:
            await self.ensure()
        try:
            return await call()
        except Corrupt as error:
            raise NeedsHuman(f"{self.url} sends damaged objects: {error}") from None

    async def _found(self, commit: str, call: Callable[[], Awaitable[T]]) -> T:
        """The result of `call`, which needs `commit`; fetched if the mirror lacks it."""
        try:
            return await self._mended(call)
        except MissingObject:
            await self.fetch()
        try:
            return await self._mended(call)
        except MissingObject:
            raise NeedsHuman(
                f"commit {commit[:10]} is not in {self.url} (any more): "
                "was its branch deleted or pushed over?"
            ) from None

    async def has(self, commit: str) -> bool:
        """Whether the mirror holds that commit."""
        arguments = ("cat-file", "-e", f"{checked_sha(commit)}^{{commit}}")
        try:
            await self._mended(lambda: self._git(*arguments))
        except MissingObject:
            return False
        return True

    async def _is_whole(self) -> bool:
        if not (self._folder / "HEAD").is_file():
            return False
        try:
            await self._git("rev-parse", "--is-bare-repository")
            await self._git("rev-list", "--all", "-1")
        except (Corrupt, MissingObject, NeedsHuman):
            return False
        return True

    async def _clone(self) -> None:
        """Clone beside, then change places: a clone that fails leaves what was there."""
        self._folder.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=f".{self._folder.name}-", dir=self._folder.parent))
        try:
            await git(self._remote, ("init", "--quiet", "--bare", str(scratch)))
            fetch = ("fetch", "--quiet", "--no-tags", "origin", *_FETCHED)
            await git(self._remote, fetch, folder=scratch)
            await asyncio.to_thread(_replace, self._folder, scratch)
        except Corrupt as error:
            raise NeedsHuman(f"{self.url} sends damaged objects: {error}") from None
        finally:
            await asyncio.to_thread(shutil.rmtree, scratch, ignore_errors=True)


def _replace(old: Path, new: Path) -> None:
    shutil.rmtree(old, ignore_errors=True)
    new.rename(old)


def _full(ref: str) -> str:
    checked_ref(ref)
    return ref if ref.startswith("refs/") else f"refs/heads/{ref}"
