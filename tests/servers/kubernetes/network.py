"""The network of a cluster: a namespace of the kernel, where its node, pods and Services are.

Rules for the addresses of Services are there alone: those of clusters beside each other, and the
machine's own, do not meet. It ends with the process that holds it, however that ends.
"""

import contextlib
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass

BRIDGE = "pods"
"""Inside, what pods are connected by."""


@dataclass(frozen=True)
class Network:
    """A network that this machine reaches, and that reaches this machine."""

    number: int
    """Of this machine's clusters."""
    holder: int
    """The process that holds it."""

    @property
    def machine(self) -> str:
        """This machine's address, for the node and the pods."""
        return f"10.214.{self.number}.1"

    @property
    def node(self) -> str:
        """The node's address."""
        return f"10.213.{self.number}.1"

    @property
    def pods(self) -> str:
        """The addresses of pods."""
        return f"10.213.{self.number}.0/24"

    def service(self, number: int) -> str:
        """An address of a Service."""
        return f"10.96.{self.number}.{number}"

    @property
    def services(self) -> str:
        """The addresses of Services."""
        return f"{self.service(0)}/24"

    def inside(self, *command: str) -> list[str]:
        """The command as one that runs in there."""
        return ["nsenter", f"--net=/proc/{self.holder}/ns/net", *command]


@contextlib.contextmanager
def network() -> Iterator[Network]:
    """Make one. Raises OSError where that is not possible."""
    hold = ["unshare", "--net", "sh", "-c", "echo; exec cat"]
    with subprocess.Popen(hold, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdin is not None
        assert holder.stdout is not None
        try:
            if not holder.stdout.readline():  # it is in there
                raise OSError("no network can be made here: only root may")
            made = _connected(holder.pid)
            _furnish(made)
            yield made
        finally:
            holder.stdin.close()


def _connected(holder: int) -> Network:
    """Lay the way to this machine, under a number that nobody has."""
    for number in range(200):
        ends = ("name", f"hgk{number}", "type", "veth", "peer", "name", "machine")
        made = subprocess.run(
            ["ip", "link", "add", *ends, "netns", f"{holder}"], capture_output=True, text=True
        )
        if made.returncode == 0:
            return Network(number, holder)
        if "File exists" not in made.stderr:
            raise OSError(f"no network can be made here: {made.stderr.strip()}")
    raise OSError("no network can be made here: there are 200 clusters")


def _furnish(made: Network) -> None:
    way, far = f"hgk{made.number}", f"10.214.{made.number}.2"
    _run("ip", "address", "add", f"{made.machine}/30", "dev", way)
    _run("ip", "link", "set", way, "up")
    for command in (
        "ip link set lo up",
        f"ip address add {far}/30 dev machine",
        "ip link set machine up",
        f"ip route add default via {made.machine}",
        f"ip link add {BRIDGE} type bridge",
        f"ip address add {made.node}/24 dev {BRIDGE}",
        f"ip link set {BRIDGE} up",
    ):
        _run(*made.inside(*command.split()))
    # What is below /proc/sys/net is the reader's own network's.
    _run(*made.inside("sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward"))
    for there in (made.pods, made.services):
        _run("ip", "route", "add", there, "via", far)


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise OSError(f"{' '.join(command)}: {done.stderr.strip()}")
