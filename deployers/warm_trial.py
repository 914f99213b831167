"""Whether commands of this machine can be served by warm processes: a program that does nothing.

As a module of a warm process it ends with 0. As a command of its own, because no warm process
served it, it ends with `COLD`.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from deployers.confinement import Confinement, View
from deployers.warm import CLIENT, WarmProcess

NEEDED = ()
LATER = ()
COLD = 3
_PATIENCE = 20.0
"""Seconds that the trial may take."""


def main(_arguments: list[str]) -> int:
    """Do nothing."""
    return 0


def is_served(
    confinement: Confinement, programs: Sequence[Path], environment: Mapping[str, str]
) -> bool:
    """Whether a command that is confined in this way is served by a warm process.

    `programs` are the files and folders that Python and this package consist of.
    """
    with tempfile.TemporaryDirectory(prefix="headgate-doctor-") as folder:
        address = Path(folder) / "warm"
        warm = WarmProcess(address, __name__, environment, programs, confinement)
        warm.start()
        try:
            command = warm.command((sys.executable, "-P", "-m", __name__))
            view = View(Path("/"), (*programs, CLIENT, address))
            done = subprocess.run(
                [*confinement.within(view, confinement.user("trial")), *command],
                check=False,
                capture_output=True,
                env={**environment, "TMPDIR": os.devnull},
                timeout=_PATIENCE,
            )
        except (OSError, subprocess.TimeoutExpired):
            return False
        finally:
            warm.close()
    return done.returncode == 0


if __name__ == "__main__":
    sys.exit(COLD)
