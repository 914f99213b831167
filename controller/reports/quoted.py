"""PURE. Foreign text in a report."""

import re

from validators.render.common import clean

LONGEST_TEXT = 12_000
"""Characters of one quoted text: a spec's problems, a step's last words."""


def fenced(text: str) -> str:
    """Foreign text as a block that it cannot end; its middle is cut if it is long."""
    if len(text) > LONGEST_TEXT:
        half = LONGEST_TEXT // 2
        left = f"[... {len(text) - 2 * half:,} characters are left out ...]"
        text = f"{text[:half]}\n{left}\n{text[-half:]}"
    text = "\n".join(clean(line) for line in text.splitlines())
    longest = max((len(ticks) for ticks in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}text\n{text}\n{fence}"
