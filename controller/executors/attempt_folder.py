"""The files in an attempt's folder that record how it ended, for executors on this machine."""

import asyncio
import contextlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path

from controller.executors.working_copy import OMITTED, explain_missing
from controller.executors.workspace import Workspace
from controller.machine.runs.attempt import Attempt, Status
from specs.failures import NeedsHuman

TAIL = 1200
"""Characters from the end of the log that are quoted in the message of a failure."""
TAIL_BYTES = 16 * TAIL
"""Bytes that are read for that: more, so that a secret at the cut is still whole to be redacted."""


def write_status(folder: Path, status: Status) -> None:
    """Record how the attempt ended; this is final."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    scratch = folder / ".status.json"
    scratch.write_text(status.model_dump_json())
    scratch.replace(folder / "status.json")


def read_status(folder: Path) -> Status | None:
    """How the attempt ended; None if that is not recorded."""
    try:
        return Status.model_validate_json((folder / "status.json").read_bytes())
    except FileNotFoundError:
        return None


def explain_failure(what: str, log: str, folder: Path, redact: Callable[[str], str]) -> str:
    """A message for a failure: what happened, and the end of the log without secrets.

    `folder` is the attempt's: if the log names a file of the commit that the step was not given,
    the message says so.
    """
    last = redact(log).strip()[-TAIL:]
    lacks = explain_missing(folder / OMITTED, last)
    what = f"{what}; {lacks}" if lacks else what
    return f"{what}. Its last words: {last}" if last else what


async def collect_outputs(workspace: Workspace, attempt: Attempt) -> Mapping[str, str]:
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
                f"the output {name} of {attempt.node} is, or is below, a symbolic link: write a "
                f"file or a folder to {{outputs.{name}}}"
            )
        if not path.exists():
            raise NeedsHuman(
                f"{attempt.node} succeeded but did not write its output {name}: write it to "
                f"{{outputs.{name}}}, or remove it from `outputs`"
            )
        found[name] = (await workspace.artifacts.put(path)).digest
    scratch = folder / ".outputs.json"
    scratch.write_text(json.dumps(found))
    scratch.replace(known)
    return found


def _leads_away(path: Path, folder: Path) -> bool:
    """Whether a symbolic link makes the path lead elsewhere, to what the attempt did not write."""
    return path.resolve() != folder.resolve() / path.relative_to(folder)


async def redact_log(folder: Path, redact: Callable[[str], str]) -> None:
    """Remove from the log of an attempt that ended the secrets that it may have printed."""
    mark, printed = folder / "redacted", False
    if mark.exists():
        return
    # If the supervisor was killed, the pieces of the log were never joined.
    for piece in (folder / "log", folder / "log.old", folder / "log.tail"):
        with contextlib.suppress(FileNotFoundError):
            if piece.stat().st_size:  # most are empty: skip the thread and the mark
                await asyncio.to_thread(_rewrite, piece, redact)
                printed = True
    if printed:
        mark.touch()


def _rewrite(path: Path, change: Callable[[str], str]) -> None:
    """Replace a file's text by `change` of it, atomically."""
    # Bytes that are not valid text are preserved.
    text = path.read_bytes().decode(errors="surrogateescape")
    changed = change(text)
    if changed == text:
        return
    scratch = path.with_name(f".{path.name}.redacted")
    scratch.touch(mode=0o600)
    scratch.write_bytes(changed.encode(errors="surrogateescape"))
    scratch.replace(path)
