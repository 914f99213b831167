"""PURE. A Markdown report as text for a terminal: `git log` shows notes as they are.

Only our own Markdown is converted; quoted blocks stay as they are.
"""

import html
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

_TAG = re.compile(r"</?(?:details|summary|sub|code)>")
_INVISIBLE = re.compile("[\u200b\ufe0f]")  # zero-width space, emoji selector
_FOLD = "<details><summary>"
_BREAK = re.compile(r"<br>")


def plain(markdown: str) -> str:
    """The text without HTML, with aligned tables. Further lines of a cell are indented below its
    row."""
    lines: list[str] = []
    for kind, group in groupby(_kinds(markdown.splitlines()), lambda pair: pair[0]):
        texts = [text for _, text in group]
        match kind:
            case "table":
                lines += _table(texts)
            case "quoted":
                lines += texts
            case _:
                lines += map(_line, _unfolded(texts))
    text = "\n".join(line.rstrip() for line in lines)
    return re.sub(r"\n{3,}", "\n\n", text).strip("\n") + "\n"


def _kinds(lines: Iterable[str]) -> Iterator[tuple[str, str]]:
    fence = ""
    for line in lines:
        ticks = re.match(r"`{3,}", line)
        if fence:
            yield "quoted", line
            fence = "" if line.strip() == fence else fence
        elif ticks:
            fence = ticks[0]
            yield "quoted", line
        else:
            yield ("table" if line.startswith("|") else ""), line


def _unfolded(lines: Sequence[str]) -> Iterator[str]:
    """Without the titles of folded parts that begin with a heading: it says enough where nothing is
    folded."""
    for place, line in enumerate(lines):
        below = next(filter(None, lines[place + 1 :]), "")
        if not (line.startswith(_FOLD) and below.startswith("#")):
            yield line


def _line(text: str) -> str:
    return _INVISIBLE.sub("", html.unescape(_TAG.sub("", text)).replace("**", ""))


def _table(lines: list[str]) -> Iterator[str]:
    # A bar inside a cell is escaped, so every bar here is a border.
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    rows = [row for row in rows if not all(re.fullmatch(r"-+:?", cell) for cell in row)]
    cells = [[list(map(_line, _BREAK.split(cell))) for cell in row] for row in rows]
    widths = [max(len(cell[0]) for cell in column) for column in zip(*cells, strict=True)]
    for row in cells:
        yield "  ".join(cell[0].ljust(width) for cell, width in zip(row, widths, strict=True))
        yield from (f"      {more}" for cell in row for more in cell[1:])
