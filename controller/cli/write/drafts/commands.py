"""PURE. The lines of `run`: words, paths that are filled in, and files at places of their own."""

import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath

_OPERATORS = re.compile(r"&&|\|\||[;|<>$`*]")


def escaped(text: str) -> str:
    """Braces that are no placeholders."""
    return text.replace("{", "{{").replace("}", "}}")


def word(text: str) -> str:
    """A path as a word of the line."""
    return text if re.fullmatch(r"[\w./@%+=:,{}-]+", text) else shlex.quote(text)


def filled(command: str, places: Mapping[str, str]) -> tuple[str, frozenset[str]]:
    """`command`, in which paths that stand as words, or after `=`, are replaced; and which were."""
    found: set[str] = set()
    for path in sorted(places, key=len, reverse=True):
        form = re.compile(rf"(?<![\w./-])(?:\./)?{re.escape(path)}/?(?![\w./-])")
        command, times = form.subn(places[path].replace("\\", r"\\"), command)
        if times:
            found.add(path)
    return command, frozenset(found)


def line(command: str, links: Mapping[str, str], copies: Mapping[str, str]) -> str:
    """A `run` line for a program that looks for `links` and writes `copies` at paths of its own,
    which stand for an input or output each. A step has a copy of its files to itself, so links to
    its inputs may lie there."""
    if not links and not copies and not _OPERATORS.search(command):
        return command
    folders = [PurePosixPath(path).parent.as_posix() for path in (*links, *copies)]
    made = [folder for folder in dict.fromkeys(folders) if folder != "."]
    parts: Sequence[str] = [
        *([f"mkdir -p {' '.join(map(word, made))}"] if made else []),
        *(f'ln -s "{to}" {word(path)}' for path, to in links.items()),
        command,
        *(f'cp -r {word(path)} "{to}"' for path, to in copies.items()),
    ]
    return f"sh -c {shlex.quote(' && '.join(parts))}"
