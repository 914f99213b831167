"""PURE. Builds the `run` line of a step: quoting, placeholders, and files at fixed paths."""

import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath

_OPERATORS = re.compile(r"&&|\|\||[;|<>$`*]")


def escaped(text: str) -> str:
    """Text with its braces escaped, so that they are not placeholders."""
    return text.replace("{", "{{").replace("}", "}}")


def word(text: str) -> str:
    """A path, quoted for a shell line if that is necessary."""
    return text if re.fullmatch(r"[\w./@%+=:,{}-]+", text) else shlex.quote(text)


def filled(command: str, places: Mapping[str, str]) -> tuple[str, frozenset[str]]:
    """`command` with the paths that are words, or follow `=`, replaced; and those that were."""
    found: set[str] = set()
    for path in sorted(places, key=len, reverse=True):
        form = re.compile(rf"(?<![\w./-])(?:\./)?{re.escape(path)}/?(?![\w./-])")
        command, times = form.subn(places[path].replace("\\", r"\\"), command)
        if times:
            found.add(path)
    return command, frozenset(found)


def line(command: str, links: Mapping[str, str], copies: Mapping[str, str]) -> str:
    """The `run` line of a program that reads the paths `links` and writes the paths `copies`, each
    mapped to an input or output. Each step has its own copy of the files it reads, so links to its
    inputs can be made there."""
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
