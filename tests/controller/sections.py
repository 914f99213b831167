"""What a note of git says, part by part."""

import re

_SECTION = re.compile(
    r"^<!-- headgate: ([a-z0-9-]+) -->\n(.*?)^<!-- /headgate -->\n", re.MULTILINE | re.DOTALL
)


def sections_of(note: str) -> dict[str, str]:
    """The sections of a note by pipeline."""
    return {name: text.rstrip("\n") for name, text in _SECTION.findall(note)}
