"""Prints rich renderables to standard output."""

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console, RenderableType


def console() -> "Console":
    """A console on standard output, with colours if that is a terminal."""
    from rich.console import Console

    width = None if sys.stdout.isatty() else 120
    return Console(file=sys.stdout, highlight=False, width=width)


def show(*parts: "RenderableType") -> None:
    """Print each below the other."""
    out = console()
    for part in parts:
        out.print(part)
