"""Gates by warm processes: what a judgement imports takes ten times as long as judging.

There is one warm process for each kind of gate, started by the first attempt that needs it. It
judges nothing itself: each judgement is a fork, in the attempt's own sandbox and as its user. An
attempt that it does not serve runs as a process of its own, with the same result.
"""

import json
import os
import stat
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Final

import structlog

from controller.executors.workspace import Prepared, headgate_programs, own_environment
from controller.machine.runs.attempt import Attempt
from deployers.confinement import Confinement
from deployers.warm import CLIENT, WarmProcess
from deployers.warm_client import USAGE

log = structlog.get_logger("headgate.executor")

MODULES: Final[Mapping[str, str]] = {
    "data_gate": "validators.data.__main__",
    "history_gate": "validators.data.history.__main__",
    "model_gate": "validators.model.__main__",
}
"""By the program of an attempt."""
FOLDER = ".warm"
"""Below the folder of the attempts; the dot tells it from theirs."""
_IMPOSSIBLE = 2**60
_LARGEST = 200
"""Bytes of what a judgement used, as JSON."""


def warm_environment() -> dict[str, str]:
    """The variables of a warm process, which has no folder of its own."""
    return own_environment(Path("/nonexistent"))


def warm_programs() -> tuple[Path, ...]:
    """The files and folders that a warm process consists of."""
    return (*headgate_programs(), CLIENT.parent)


class WarmGates:
    """The warm processes of one controller."""

    def __init__(self, home: Path, confinement: Confinement) -> None:
        """`home` is the folder of the attempts."""
        self._processes = {
            program: WarmProcess(
                (home / FOLDER / program).absolute(),
                module,
                warm_environment(),
                warm_programs(),
                confinement,
            )
            for program, module in MODULES.items()
        }

    def warmed(self, attempt: Attempt, prepared: Prepared) -> Prepared:
        """The attempt by a warm process, if it is one of a gate.

        Limits of memory and processors are those of the attempt's own processes; so an attempt that
        has any is left as it is, and so is one that runs code of the repository, or Spark.
        """
        warm = self._processes.get(attempt.program)
        limited = attempt.memory is not None or attempt.cpu is not None
        apart = "custom" in attempt.request or "engine" in attempt.request
        if warm is None or limited or apart:
            return prepared
        if not warm.start():
            log.warning("a gate has no warm process; `headgate doctor` says why", id=attempt.id)
            return prepared
        programs = (*prepared.programs, CLIENT, warm.address)
        return replace(prepared, argv=warm.command(prepared.argv), programs=programs)

    def close(self) -> None:
        """End them; judgements go on."""
        for each in self._processes.values():
            each.close()


def peak_memory(folder: Path) -> int:
    """The most memory that a warm judgement had, in bytes; 0 if the attempt was none.

    `folder` is the attempt's. What it wrote there may be anything.
    """
    with suppress(OSError, ValueError, TypeError, LookupError):
        fd = os.open(folder / "scratch" / USAGE, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with open(fd, "rb") as file:  # noqa: PTH123 - no path leads to a link here
            if stat.S_ISREG(os.fstat(fd).st_mode):
                peak = json.loads(file.read(_LARGEST))["peak_bytes"]
                return peak if isinstance(peak, int) and 0 < peak < _IMPOSSIBLE else 0
    return 0
