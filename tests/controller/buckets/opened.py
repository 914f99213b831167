"""Counts what this process opens, as Python's audit events tell it."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

_heard: list[list[str]] = []


def _hear(event: str, arguments: tuple[object, ...]) -> None:
    if not _heard:
        return
    if event == "open" and isinstance(arguments[0], str):
        _heard[-1].append(arguments[0].rpartition("/")[2])
    elif event == "os.scandir" and isinstance(arguments[0], int):
        _heard[-1].append("a folder")


sys.addaudithook(_hear)


@contextmanager
def opened() -> Iterator[list[str]]:
    """The names of the files that are opened in the meantime; `a folder` for each that is read."""
    _heard.append([])
    try:
        yield _heard[-1]
    finally:
        _heard.pop()
