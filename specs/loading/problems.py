"""Problems in files that people write, and renderers: terminal, JSON, GitHub, SARIF."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal
from urllib.parse import quote

from specs.digests import digest
from specs.loading.annotations import WorkflowAnnotation, commands


@dataclass(frozen=True, slots=True)
class Problem:
    """One problem, where it is, and how to fix it.

    `line` and `column` count from 1; `code` is a stable slug such as `unknown-key`; `path` is the
    place by keys, such as `steps.train.inputs.flights`.
    """

    severity: Literal["error", "warning"]
    code: str
    message: str
    file: str
    line: int = 1
    column: int = 1
    path: str = ""
    found: str | None = None
    expected: str | None = None
    nearest: str | None = None


def has_errors(problems: Sequence[Problem]) -> bool:
    """Whether any of them is an error."""
    return any(problem.severity == "error" for problem in problems)


def in_order(problems: Sequence[Problem]) -> tuple[Problem, ...]:
    """Sorted by place, without duplicates."""
    unique = dict.fromkeys(problems)
    return tuple(sorted(unique, key=lambda p: (p.file, p.line, p.column, p.severity, p.code)))


def render_text(problems: Sequence[Problem], sources: Mapping[str, str]) -> str:
    """Like a compiler's output: place, message, the line with a caret, and advice.

    `sources` is the text of each file by name; without it, the line is not shown.
    """
    lines = {name: text.splitlines() for name, text in sources.items()}
    blocks = [_block(problem, lines.get(problem.file, [])) for problem in problems]
    if problems:
        blocks.append(_summary(problems) + "\n")
    return "\n".join(blocks)


def to_json(problems: Sequence[Problem]) -> str:
    """A JSON list of objects with the fields of `Problem`."""
    return json.dumps([asdict(problem) for problem in problems], indent=2, ensure_ascii=False)


def to_github(problems: Sequence[Problem]) -> str:
    """Workflow commands, which GitHub Actions shows beside the lines of a pull request."""
    shown = [
        WorkflowAnnotation(
            p.severity,
            sentence(p),
            {"file": p.file, "line": str(p.line), "col": str(p.column), "title": p.code},
        )
        for p in problems
    ]
    return commands(shown, "`headgate validate` on your machine")


def to_sarif(problems: Sequence[Problem]) -> str:
    """A SARIF 2.1.0 log, for code scanning."""
    rules = sorted({problem.code for problem in problems})
    log = {
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [
            {
                "tool": {"driver": {"name": "headgate", "rules": [{"id": code} for code in rules]}},
                "columnKind": "unicodeCodePoints",
                "results": [_sarif_result(problem) for problem in problems],
            }
        ],
    }
    return json.dumps(log, indent=2, ensure_ascii=False)


def _sarif_result(problem: Problem) -> dict[str, Any]:
    place = [problem.file, problem.path, problem.code, problem.message]
    return {
        "ruleId": problem.code,
        "level": problem.severity,
        "message": {"text": sentence(problem)},
        "locations": [
            {
                "physicalLocation": {
                    "artifactLocation": {"uri": quote(problem.file)},
                    "region": {"startLine": problem.line, "startColumn": problem.column},
                },
                **(
                    {"logicalLocations": [{"fullyQualifiedName": problem.path}]}
                    if problem.path
                    else {}
                ),
            }
        ],
        # Identifies the alert when lines move.
        "partialFingerprints": {"headgate/v1": digest(place)},
    }


def sentence(problem: Problem) -> str:
    """The problem and how to fix it, in one line."""
    where = f" ({problem.path})" if problem.path else ""
    return "; ".join([problem.message + where, *_advice(problem)])


def _advice(problem: Problem) -> list[str]:
    found = [f"found {problem.found}"] if problem.found is not None else []
    expected = [f"expected {problem.expected}"] if problem.expected is not None else []
    nearest = [f"did you mean {problem.nearest}?"] if problem.nearest is not None else []
    return found + expected + nearest


def _block(problem: Problem, lines: Sequence[str]) -> str:
    head = f"{problem.file}:{problem.line}:{problem.column}: {problem.severity}: {problem.message}"
    shown = [f"{_visible(head)} [{problem.code}]"]
    gutter = " " * len(str(problem.line))
    if 0 < problem.line <= len(lines):
        text, caret = _window(lines[problem.line - 1], problem.column)
        shown += [f"  {problem.line} | {text}", f"  {gutter} | {caret}"]
    shown += [f"  {gutter} = {_visible(line)}" for line in _advice(problem)]
    return "\n".join(shown) + "\n"


def _window(line: str, column: int, width: int = 100) -> tuple[str, str]:
    """The part of a line around a column, and a line with a caret below it."""
    start = max(0, column - width // 2) if len(line) > width else 0
    text = _visible(line[start : start + width])
    return text, " " * (column - 1 - start) + "^"


def _visible(text: str) -> str:
    """Without control characters, so a spec cannot control the terminal."""
    return "".join(
        c if c.isprintable() else " " if c == "\t" else "\N{REPLACEMENT CHARACTER}" for c in text
    )


def _summary(problems: Sequence[Problem]) -> str:
    errors = sum(problem.severity == "error" for problem in problems)
    counts = [(errors, "error"), (len(problems) - errors, "warning")]
    return ", ".join(f"{n} {word}{'s' * (n != 1)}" for n, word in counts if n)
