"""The process of custom expectations as the gate sees it: asked, and never believed."""

import os
import re
import select
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from typing import Self

from pydantic import ValidationError

from specs.figures import rounded
from validators.data.custom_answer import FAILED, READY, STARTED, CustomAnswer
from validators.data.request import CustomModule, DataGateRequest
from validators.data.suites.outcome import ExpectationOutcome

_LARGEST = 4096
"""Bytes of an answer."""
_REASON = re.compile(rb"[A-Za-z_]\w{0,80}( in line \d{1,9})?")


class CustomError(Exception):
    """It gave no answer that counts; says why, and what to do."""


class CustomWorker:
    """One process. Use `started`, and `close` it after a `CustomError`."""

    def __init__(self, process: "subprocess.Popen[bytes]", module: CustomModule) -> None:
        self._process = process
        self._module = module
        self._read = b""
        self.took = 0.0
        """Seconds that it took to start, before it imported the module."""

    @classmethod
    def started(
        cls, request: DataGateRequest, module: CustomModule, starting: float, seconds: float
    ) -> Self:
        """A process that has imported the module, for which it has `seconds` once it has started,
        for which it has `starting`. Raises `CustomError`."""
        command = (sys.executable, "-P", "-m", "validators.data.custom_process")
        with tempfile.TemporaryFile() as asked:
            asked.write(request.model_dump_json().encode())
            asked.seek(0)
            fd = asked.fileno()
            worker = cls(
                subprocess.Popen(
                    (*command, str(fd)),
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL,
                    pass_fds=(fd,),
                    start_new_session=True,
                ),
                module,
            )
        try:
            worker._start(starting)
            worker._import(seconds)
        except CustomError:
            worker.close()
            raise
        return worker

    def _start(self, seconds: float) -> None:
        begun = time.monotonic()
        late = (
            "was not imported: its processes took too long to start, which is not its fault; "
            "see whether this machine is overloaded, then retry the run"
        )
        if self._line(seconds, late) != STARTED:
            raise self._not_asked()
        self.took = time.monotonic() - begun

    def _import(self, seconds: float) -> None:
        self._tell("import")
        said = self._line(seconds, "took more than {} s to be imported; make it faster")
        if said == READY:
            return
        why = _REASON.fullmatch(said.removeprefix(FAILED))
        if said.startswith(FAILED) and why is not None:
            where = f"{self._module.origin} cannot be imported: {why[0].decode()}"
            raise CustomError(f"{where}; fix the module")
        raise self._not_asked()

    def ask(self, place: int, seconds: float) -> ExpectationOutcome:
        """The outcome of the custom expectation at a place among them. Raises `CustomError`."""
        self._tell(str(place))
        said = self._line(
            seconds, "took more than {} s for this expectation; make it faster, or end its loop"
        )
        try:
            return CustomAnswer.model_validate_json(said).outcome(place)
        except ValidationError:
            raise self._not_asked() from None

    def close(self) -> None:
        """End it, and what it has started as far as that is in its session."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()

    def _tell(self, line: str) -> None:
        assert self._process.stdin is not None
        with suppress(OSError):  # it has ended, as reading tells
            os.write(self._process.stdin.fileno(), f"{line}\n".encode())

    def _line(self, seconds: float, late: str) -> bytes:
        """Its next line; `late` says what is wrong if there is none after these seconds."""
        assert self._process.stdout is not None
        output = self._process.stdout.fileno()
        poll = select.poll()
        poll.register(output, select.POLLIN)
        until = time.monotonic() + seconds
        while b"\n" not in self._read:
            left = until - time.monotonic()
            if left <= 0 or not poll.poll(left * 1000):
                raise CustomError(f"{self._module.origin} {late.format(f'{seconds:,.0f}')}")
            more = os.read(output, _LARGEST)
            if not more:
                raise CustomError(self._ending())
            self._read += more
            if len(self._read) > _LARGEST:
                raise CustomError(f"{self._module.origin} answers too much; fix the module")
        line, _, self._read = self._read.partition(b"\n")
        if self._read:  # before it was asked
            raise self._not_asked()
        return line

    def _not_asked(self) -> CustomError:
        return CustomError(f"{self._module.origin} answers what was not asked; fix the module")

    def _ending(self) -> str:
        """How it ended."""
        try:
            code = self._process.wait(1.0)
        except subprocess.TimeoutExpired:
            return f"{self._module.origin} closed the way of its answers; fix the module"
        how = f"with exit code {code}" if code >= 0 else f"by {signal.Signals(-code).name}"
        gib = rounded(self._module.memory / 2**30)
        return (
            f"its process ended {how}: {self._module.origin} called exit, crashed, or needed more "
            f"than {gib} GiB"
        )
