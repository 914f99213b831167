"""The image that holds a pod's network, made of this machine's own busybox."""

import shutil
from pathlib import Path

from examples.demo.image import make

PAUSE = "headgate-tests/pause:1"
_HELD = 'trap "exit 0" TERM INT; sleep infinity & wait'
"""What it does: nothing, and it ends at once when it is told to."""


def make_pause(host: str) -> None:
    """Make it, on the engine there."""
    from docker import DockerClient

    busybox = shutil.which("busybox")
    assert busybox is not None, "it is one of the programs that a cluster needs"
    client = DockerClient(base_url=host)
    try:
        command = ("sh", "-c", _HELD)
        make(client, PAUSE, busybox=Path(busybox), python=False, command=command)
    finally:
        client.close()
