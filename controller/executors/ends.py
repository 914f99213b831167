"""What every executor on this machine keeps of an attempt in its folder, once it has ended."""

import asyncio
import contextlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path

from controller.executors.folders import NOTE, missed
from controller.executors.workspace import Workspace
from controller.machine.runs.attempt import Attempt, Status
from specs.failures import NeedsHuman

TAIL = 1200
"""Characters of the log's end that explain a failure."""
READ = 16 * TAIL
"""Bytes of it that are read, so that a secret is whole when it is looked for."""


def keep(folder: Path, status: Status) -> None:
    """Note how it ended, for good."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    scratch = folder / ".status.json"
    scratch.write_text(status.model_dump_json())
    scratch.replace(folder / "status.json")


def kept(folder: Path) -> Status | None:
    """How it ended, if that was noted."""
    try:
        return Status.model_validate_json((folder / "status.json").read_bytes())
    except FileNotFoundError:
        return None


def with_last_words(what: str, log: str, folder: Path, redact: Callable[[str], str]) -> str:
    """Why it failed, and the end of its log without secrets. `folder` is the attempt's: where a
    file of the commit is named that it did not have, that may be why."""
    last = redact(log).strip()[-TAIL:]
    lacks = missed(folder / NOTE, last)
    what = f"{what}; {lacks}" if lacks else what
    return f"{what}. Its last words: {last}" if last else what


async def collect(workspace: Workspace, attempt: Attempt) -> Mapping[str, str]:
    """See `Executor.collect`."""
    folder = workspace.folder(attempt.id)
    known = folder / "outputs.json"
    if known.exists():
        return dict(json.loads(known.read_text()))
    found = {}
    for name, file in attempt.outputs.items():
        path = folder / "outputs" / file
        if _leads_away(path, folder):
            raise NeedsHuman(
                f"{attempt.node} put a symbolic link in the way of its output {name}: write a file "
                f"or a folder to {{outputs.{name}}}"
            )
        if not path.exists():
            raise NeedsHuman(
                f"{attempt.node} ended well but did not write its output {name}: write it to "
                f"{{outputs.{name}}}, or take it out of `outputs`"
            )
        found[name] = (await workspace.artifacts.put(path)).digest
    scratch = folder / ".outputs.json"
    scratch.write_text(json.dumps(found))
    scratch.replace(known)
    return found


def _leads_away(path: Path, folder: Path) -> bool:
    """Whether a link that the attempt left leads elsewhere: what lies there is not what it made."""
    return path.resolve() != folder.resolve() / path.relative_to(folder)


async def redact_log(folder: Path, redact: Callable[[str], str]) -> None:
    """Once it ended, its log is kept without the secrets that it may have printed."""
    mark, spoke = folder / "redacted", False
    if mark.exists():
        return
    # Of an attempt that was lost with its supervisor, the pieces were never joined.
    for piece in (folder / "log", folder / "log.old", folder / "log.tail"):
        with contextlib.suppress(FileNotFoundError):
            if piece.stat().st_size:  # silence holds no secret: no thread for it, and no mark
                await asyncio.to_thread(_rewrite, piece, redact)
                spoke = True
    if spoke:
        mark.touch()


def _rewrite(path: Path, change: Callable[[str], str]) -> None:
    """Replace a text by what `change` makes of it, whole or not at all."""
    # Bytes that are no text stay as they are.
    text = path.read_bytes().decode(errors="surrogateescape")
    changed = change(text)
    if changed == text:
        return
    scratch = path.with_name(f".{path.name}.redacted")
    scratch.touch(mode=0o600)
    scratch.write_bytes(changed.encode(errors="surrogateescape"))
    scratch.replace(path)
