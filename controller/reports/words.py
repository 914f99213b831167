"""PURE. What of a failed step's last words is fit for a report that others read."""

import re

_FRAME = re.compile(r'^(?P<indent>\s*)File "(?P<path>[^"]*)", line (?P<line>\d+)')
_TRACEBACK = "Traceback (most recent call last):"
_CODE = "/code/"
"""The folder of an attempt that holds the commit's files."""
_ATTEMPT = re.compile(r"/[^\s'\"]*/attempts/[^\s/'\"]+/(?:code/)?")


def fit(message: str) -> str:
    """The message without a Python traceback: of one, only the exception stays, with the line of
    the commit's code that it came through. What was printed before it may be rows of data, and is
    for who may read the log. Folders of the machine are left out of what stays."""
    what, marked, words = message.partition(" Its last words: ")
    shown = _exception(words if marked else message)
    if shown is not None:
        message = f"{what.removesuffix('.')}: {shown}" if marked else shown
    return _ATTEMPT.sub("", message)


def _exception(text: str) -> str | None:
    """What the last traceback in the text ends with; None if there is none."""
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


def _place(path: str, line: str) -> str:
    """The line, if it is one of the commit's own files."""
    _, ours, name = path.rpartition(_CODE)
    return f"{name}, line {line}" if ours else ""
