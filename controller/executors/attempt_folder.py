"""The files in an attempt's folder that record how it ended, for executors on this machine."""

import asyncio
import contextlib
import os
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from controller.artifacts import Artifact
from controller.executors.kept_metrics import FOUND
from controller.executors.outputs import store_outputs
from controller.executors.ownership import take_back_outputs
from controller.executors.working_copy import GIVEN, explain_missing
from controller.executors.workspace import Workspace
from controller.machine.runs.attempt import Attempt, Status

TAIL = 1200
"""Characters from the end of the log that are quoted in the message of a failure."""
SHORT = 2**16
"""Bytes of a log that is redacted at once, each time; a longer one is marked as redacted."""
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
    lacks = explain_missing(folder / GIVEN, last)
    what = f"{what}; {lacks}" if lacks else what
    return f"{what}. Its last words: {last}" if last else what


def log_tail(path: Path) -> str:
    """The end of a log: somewhat more than is quoted."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - TAIL_BYTES))
            return file.read().decode(errors="replace")
    except FileNotFoundError:
        return ""


async def collect_outputs(workspace: Workspace, attempt: Attempt) -> Mapping[str, str]:
    """See `Executor.collect`."""
    return await workspace.artifacts.storing(partial(_collected, workspace, attempt))


def _collected(
    workspace: Workspace, attempt: Attempt, put: Callable[[Path], Artifact]
) -> Mapping[str, str]:
    folder = workspace.folder(attempt.id)
    if attempt.outputs:
        take_back_outputs(folder)
    found = store_outputs(attempt.node, attempt.outputs, folder, put)
    if attempt.program == "data_gate" and not attempt.request.get("custom"):
        # What code of the repository measured is not believed.
        workspace.kept_metrics.keep(attempt.inputs["dataset"].uri, folder / "outputs" / FOUND)
    return found


async def redact_log(folder: Path, redact: Callable[[str], str]) -> None:
    """Remove from the log of an attempt that ended the secrets that it may have printed."""
    mark, long = folder / "redacted", False
    # If the supervisor was killed, the pieces of the log were never joined.
    for name in ("log", "log.old", "log.tail"):
        piece = f"{folder}/{name}"  # text, for speed: every step waits for this
        with contextlib.suppress(FileNotFoundError):
            size = os.stat(piece).st_size  # noqa: PTH116 - as above
            if size <= SHORT:  # a thread would cost more than the work
                if size:
                    _rewrite(Path(piece), redact)
            elif not mark.exists():
                await asyncio.to_thread(_rewrite, Path(piece), redact)
                long = True
    if long:
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
