"""PURE. What of a failed program's output may be shown in reports that others read."""

import re

_FRAME = re.compile(r'^(?P<indent>\s*)File "(?P<path>[^"]*)", line (?P<line>\d+)')
_TRACEBACK = "Traceback (most recent call last):"
_CODE = "/code/"
"""The folder of an attempt that holds the commit's files."""
_HOME = re.compile(
    r"/[^\s'\"(]*/(?:attempts/[^\s/'\"]+/(?:code/)?"
    r"|environments/(?:[^\s/'\"]+/)*?(?:lib/python[\d.]+/site-packages|bin)/)"
)
"""Folders that Headgate made: of an attempt, and of an environment's packages."""
_MARK = re.compile(r"\. Its last words: |; its log ends:\n")
_ELSEWHERE = re.compile(r"^\s+at \S.*(?::\d+|:line \d+|\))$")
"""A frame of Node, the JVM or .NET."""


def without_traceback(message: str) -> str:
    """The message without its traceback: only the exception is kept, with the last line of the
    commit's own code in it. What was printed before may be rows of data, which only readers of the
    log may see. Paths of the machine are removed."""
    mark = _MARK.search(message)
    words = message[mark.end() :] if mark else message
    shown = _exception(words)
    if shown is None:
        shown = _thrown(words)
    if shown is not None:
        message = f"{message[: mark.start()]}: {shown}" if mark else shown
    return _HOME.sub("", message)


def _exception(text: str) -> str | None:
    """The exception at the end of the last traceback in the text; None if there is none."""
    rest: list[str] = []
    place, indent, frames = "", 0, False
    for line in text.splitlines():
        frame = _FRAME.match(line)
        if frame or line.strip() == _TRACEBACK:
            if rest or not frames:
                place, rest, frames = "", [], True
            if frame:
                indent = len(frame["indent"])
                place = _place(frame["path"], frame["line"]) or place
        elif frames and (rest or len(line) - len(line.lstrip()) <= indent):
            rest.append(line)
    if not frames:
        return None
    said = "\n".join(rest).strip()
    first, newline, more = (said or "it ended with an exception").partition("\n")
    return f"{first}{f' ({place})' if place else ''}{newline}{more}"


def _thrown(text: str) -> str | None:
    """The exception above the last stack frames of another language; None if there are none."""
    lines = text.splitlines()
    frames = [at for at, line in enumerate(lines) if _ELSEWHERE.match(line)]
    if not frames:
        return None
    top = frames[-1]
    while top > 0 and _ELSEWHERE.match(lines[top - 1]):
        top -= 1
    first = top
    while first > 0 and lines[first - 1].strip() and not _ELSEWHERE.match(lines[first - 1]):
        first -= 1
    return "\n".join(lines[first:top]).strip() or "it ended with an exception"


def _place(path: str, line: str) -> str:
    """The file and line, if the file is one of the commit's own."""
    _, ours, name = path.rpartition(_CODE)
    return f"{name}, line {line}" if ours else ""
