"""Open tasks in a draft: `TODO` in a comment is a warning, `TODO` as a value is an error because
nothing can run with it."""

import re
from collections.abc import Iterator
from typing import Final

from specs.loading.load import LoadedSpec
from specs.loading.problems import Problem

CODE: Final = "todo"
_COMMENT: Final = re.compile(r"(?:^|\s)#.*$")
_SAID: Final = re.compile(r"\bTODO\b:?\s*(.*)")
_VALUE: Final = re.compile(r"""(?:^|[\s"'={[,])TODO(?=$|[\s"',}\]])""")
_LONGEST = 200


def lint_draft(loaded: LoadedSpec) -> Iterator[Problem]:
    """A problem for each line that a person still has to complete."""
    for number, line in enumerate(loaded.text.splitlines(), 1):
        if "TODO" not in line:
            continue
        comment = _COMMENT.search(line)
        plain = line[: comment.start()] if comment else line
        value = _VALUE.search(plain)
        if value is not None:
            place = value.start() + value[0].index("TODO")
            message = "replace `TODO` by a value"
            yield Problem("error", CODE, message, loaded.file, number, place + 1, found="TODO")
        said = _SAID.search(comment[0]) if comment else None
        if comment is not None and said is not None:
            what = said[1].strip()[:_LONGEST] or "see the comment"
            place = comment.start() + said.start() + 1
            message = f"left to do: {what}"
            yield Problem("warning", CODE, message, loaded.file, number, place)
