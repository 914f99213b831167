"""A warm process: a Python module that stays imported, for commands that run it.

See `deployers.warm_server` for what it does, and `deployers.warm_client` for the command that has
it do so. It ends with the controller, and after a while without use.
"""

import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from deployers import warm_client
from deployers.confinement import Confinement, View

CLIENT = Path(warm_client.__file__)
_BACKLOG = 128
_FAILED = 1
"""Its exit code if it could not be confined, or could not import its module."""


class WarmProcess:
    """The warm process of a module, whose socket is the file `address`.

    `programs` are the files and folders that it consists of. It gets no variables but the
    `environment`.
    """

    def __init__(
        self,
        address: Path,
        module: str,
        environment: Mapping[str, str],
        programs: Sequence[Path],
        confinement: Confinement,
    ) -> None:
        self.address = address
        self._module = module
        self._environment = environment
        self._programs = programs
        self._confinement = confinement
        self._process: subprocess.Popen[bytes] | None = None
        self._failed = False

    def start(self) -> bool:
        """Make sure that it runs; False if it cannot, as an earlier one failed to start.

        Does not wait for its imports: its callers do.
        """
        if self._process is not None:
            ended = self._process.poll()
            if ended is None:
                return True
            self._failed = ended == _FAILED
        if not self._failed:
            self.close()
            try:
                self._begin()
            except OSError:  # no sockets in this folder, or too many processes
                self._failed = True
        return not self._failed

    def _begin(self) -> None:
        user = self._confinement.warm_user(self._module)
        with self._listening() as listening:
            number = listening.fileno()
            self._process = subprocess.Popen(
                [
                    *self._confinement.around_entrance(View(Path("/"), self._programs)),
                    *(sys.executable, "-P", "-m", "deployers.warm_server"),
                    *(self._module, str(number), *(map(str, user[:2]) if user else ())),
                ],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=(number,),
                cwd="/",
                env=dict(self._environment),
                start_new_session=True,  # Ctrl-C in a terminal is for the controller
            )

    def command(self, argv: tuple[str, ...]) -> tuple[str, ...]:
        """The command that does the same as `argv`, which runs the module, by this process."""
        return (sys.executable, "-I", "-S", str(CLIENT), str(self.address), *argv)

    def close(self) -> None:
        """End it; what was forked from it goes on."""
        if self._process is None:
            return
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGTERM)  # the group: bwrap may be around it
        self._process.wait()
        self._process = None
        self.address.unlink(missing_ok=True)

    def _listening(self) -> socket.socket:
        self.address.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.address.unlink(missing_ok=True)
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        folder = os.open(self.address.parent, os.O_PATH)
        try:
            # Shorter than the path, as an address has fewer than 108 bytes.
            listening.bind(f"/proc/self/fd/{folder}/{self.address.name}")
            self.address.chmod(0o666)  # only those to whom its private folder is given reach it
            listening.listen(_BACKLOG)
        except OSError:
            listening.close()
            raise
        finally:
            os.close(folder)
        return listening
