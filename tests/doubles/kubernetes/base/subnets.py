"""The addresses of this process's clusters, apart from those of tests that run beside it."""

import socket
from functools import cache
from typing import Final

_MOST: Final = 60
_HELD: list[socket.socket] = []
"""What holds the number of this process, until it ends."""


def pod_address(number: int) -> str:
    """The address of the pod with that number."""
    return _address(1 + _number(), number)


def service_address(number: int) -> str:
    """The address of the Service with that number."""
    return _address(1 + _MOST + _number(), number)


def _address(subnet: int, number: int) -> str:
    high, low = divmod(number, 250)
    return f"127.{subnet}.{high}.{low + 1}"


@cache
def _number() -> int:
    """A number that no other process of this machine's tests has."""
    for number in range(_MOST):
        held = socket.socket(socket.AF_UNIX)
        try:
            held.bind(f"\0headgate-tests-cluster-{number}")
        except OSError:
            held.close()
        else:
            _HELD.append(held)
            return number
    raise RuntimeError(f"there are {_MOST} processes with clusters already")
