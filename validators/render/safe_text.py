"""Untrusted text that is safe to show anywhere."""

import re
from typing import Final

LONGEST_TEXT: Final = 2_000
"""Characters of any single text in a report, in every format."""

# Control characters could rewrite a terminal and are not allowed in XML; the others change the
# direction of text, or cannot be encoded.
_UNSAFE: Final = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]"
)


def clean(text: str) -> str:
    """The text without control characters, and cut to `LONGEST_TEXT`."""
    safe = _UNSAFE.sub("\N{REPLACEMENT CHARACTER}", text)
    return safe if len(safe) <= LONGEST_TEXT else safe[: LONGEST_TEXT - 1] + "…"
