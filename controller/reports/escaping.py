"""PURE. Foreign text quoted in a report."""

import re

from validators.render.safe_text import clean

LONGEST_TEXT = 12_000
"""Characters of one quoted text, such as a spec's problems or a step's last output."""


def fenced(text: str) -> str:
    """Foreign text in a code block that it cannot close. Long text is cut in the middle."""
    if len(text) > LONGEST_TEXT:
        half = LONGEST_TEXT // 2
        left = f"[... {len(text) - 2 * half:,} characters omitted ...]"
        text = f"{text[:half]}\n{left}\n{text[-half:]}"
    text = "\n".join(clean(line) for line in text.splitlines())
    longest = max((len(ticks) for ticks in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}text\n{text}\n{fence}"
