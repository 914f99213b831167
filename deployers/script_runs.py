"""Runs one of the team's scripts: JSON in, JSON out, confined, with a time limit."""

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from deployers.confinement import Confinement, View, interpreter
from deployers.protocol import Scripts
from specs.failures import NeedsHuman, TryAgain
from specs.figures import duration
from specs.references import TemplateError, render

TRY_AGAIN: Final = 75
"""The exit code (EX_TEMPFAIL in sysexits.h) by which a script says that the same call may succeed
later. Any other code but 0 says that a person is needed."""
MOST_OUTPUT: Final = 32 << 20
"""Bytes that a script may print."""
_MOST_SAID: Final = 64 << 10
"""Bytes of its standard error that are kept: the last."""
_QUOTED: Final = 1500
"""Characters of its standard error that are quoted."""
_LOOKS: Final = 0.05
"""Seconds between two looks whether a script that has closed no pipe has ended."""
_SCRATCH: Final = "/tmp"  # noqa: S108 - a confined script's own, in memory


@dataclass(frozen=True)
class _Ended:
    code: int
    output: bytes
    said: bytes
    why: str = ""
    """Why it was ended, if it did not end by itself."""


async def run_script(
    name: str,
    scripts: Scripts,
    given: bytes,
    *,
    secrets: Mapping[str, str],
    redact: Callable[[str], str],
    confinement: Confinement,
    pipeline: str,
) -> bytes:
    """What the script of that name prints when it is given `given` on its standard input.

    Raises TryAgain if it asks for that, takes too long or is killed, and NeedsHuman if it fails
    otherwise; both quote the end of its standard error, redacted.
    """
    try:
        argv = render(scripts.commands[name], {"root": scripts.root})
    except TemplateError as error:
        raise NeedsHuman(f"the script `{name}`: {error}") from error
    environment = {"PATH": os.defpath, "LC_ALL": "C.UTF-8", **scripts.environment, **secrets}
    within: tuple[str, ...] = ()
    if confinement.works:
        environment = {"HOME": _SCRATCH, "TMPDIR": _SCRATCH, **environment}
        virtualenv = scripts.environment.get("VIRTUAL_ENV")
        programs = interpreter(Path(virtualenv)) if virtualenv else ()
        view = View(
            Path(scripts.folder), (Path(scripts.root), *map(Path, scripts.programs), *programs)
        )
        within = confinement.within(view, confinement.user(pipeline, "deploys"))
    ended = await _run((*within, *argv), name, scripts, environment, given)
    # Redacted before it is cut: a part of a secret would not be recognised.
    said = redact(ended.said.decode(errors="replace")).strip()[-_QUOTED:]
    quoted = f"; it said:\n{said}" if said else "; it said nothing on its standard error"
    if ended.why:
        raise TryAgain(f"the script `{name}` {ended.why}{quoted}")
    if ended.code == TRY_AGAIN:
        raise TryAgain(f"the script `{name}` asks to be tried again (exit code 75){quoted}")
    if ended.code < 0:
        raise TryAgain(f"the script `{name}` was killed by signal {-ended.code}{quoted}")
    if ended.code:
        raise NeedsHuman(
            f"the script `{name}` failed with exit code {ended.code} (75 would ask to be tried "
            f"again){quoted}"
        )
    return ended.output


async def _run(
    argv: tuple[str, ...],
    name: str,
    scripts: Scripts,
    environment: Mapping[str, str],
    given: bytes,
) -> _Ended:
    try:
        process = await asyncio.create_subprocess_exec(
            *argv,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            cwd=scripts.folder,
            env=dict(environment),
            start_new_session=True,  # so that all of its processes can be ended together
        )
    except OSError as error:
        why = f"the script `{name}` cannot be started: {argv[0]}: {error.strerror or error}"
        raise NeedsHuman(why) from error
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    output, said, why = bytearray(), bytearray(), ""
    closing = asyncio.create_task(_close_pipes(process))
    try:
        async with asyncio.timeout(scripts.timeout):
            _, full, _ = await asyncio.gather(
                _give(process.stdin, given),
                _collect(process.stdout, output, MOST_OUTPUT),
                _keep_end(process.stderr, said),
            )
            if full:
                why = f"printed more than {MOST_OUTPUT >> 20} MiB"
            else:
                await process.wait()
    except TimeoutError:
        why = f"took longer than {duration(scripts.timeout)} and was ended"
    finally:
        closing.cancel()
        _end_all(process)
        await process.wait()
    return _Ended(process.returncode or 0, bytes(output), bytes(said), why)


def _end_all(process: asyncio.subprocess.Process) -> None:
    """Also what it left in the background: an `apply` that goes on could undo the next one."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


async def _close_pipes(process: asyncio.subprocess.Process) -> None:
    """When the script has ended, end what it left in the background, which may have inherited its
    output: as long as that is open, there is no end to read to."""
    while process.returncode is None:  # noqa: ASYNC110 - `wait` may wait for the pipes, too
        await asyncio.sleep(_LOOKS)
    _end_all(process)


async def _give(to: asyncio.StreamWriter, given: bytes) -> None:
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # it need not read it
        to.write(given)
        await to.drain()
    to.close()


async def _collect(stream: asyncio.StreamReader, into: bytearray, most: int) -> bool:
    """Read to the end; whether there was more than `most` bytes."""
    while piece := await stream.read(1 << 16):
        into += piece
        if len(into) > most:
            return True
    return False


async def _keep_end(stream: asyncio.StreamReader, into: bytearray) -> None:
    while piece := await stream.read(1 << 16):
        into += piece
        del into[:-_MOST_SAID]
