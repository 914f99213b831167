"""Every command that a message offers is one that can be typed."""

import ast
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

import controller
from controller.cli import main

ROOT = Path(controller.__file__).parent
OFFERED = re.compile(r"headgate [a-z]+( [^`();]*)?")
"""No sentence that begins so."""


def offered() -> Iterator[str]:
    """What stands in the code as a text of its own that begins with `headgate VERB`, or in
    backticks within one; a value that is filled in is 1."""
    for path in ROOT.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.JoinedStr):
                parts = [str(p.value) if isinstance(p, ast.Constant) else "1" for p in node.values]
                text = "".join(parts)
                if OFFERED.fullmatch(text):
                    yield text
                yield from (c for c in re.findall(r"`([^`]+)`", text) if OFFERED.fullmatch(c))


@pytest.mark.parametrize("line", sorted(set(offered())))
def test_a_command_that_is_offered_can_be_typed(
    line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "1").mkdir()  # where what is filled in is a folder
    monkeypatch.chdir(tmp_path)
    _, verb, *arguments = shlex.split(line)
    # Settings as they are: a command remembers the help option of its first context.
    outer = click.Context(main, **main.context_settings)
    command = main.get_command(outer, verb)
    assert command is not None
    if arguments:  # the name alone may stand for the command
        command.make_context(verb, arguments, parent=outer)
