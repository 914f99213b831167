"""Secrets: named in specs, known to the controller only, and redacted from all it says."""

import re
from collections.abc import Mapping

from specs.failures import NeedsHuman

SHORTEST = 4
"""Characters of the shortest secret that is redacted: shorter ones would hide ordinary words."""

_REFERENCE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


class Secrets:
    """The values, by name."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = dict(values)
        hidden = sorted((v for v in values.values() if len(v) >= SHORTEST), key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, hidden))) if hidden else None

    def reveal(self, names: tuple[str, ...]) -> dict[str, str]:
        """The values that a step or a server names. Raises `NeedsHuman` for an unknown one."""
        return {name: self._value(name) for name in names}

    def expand(self, text: str) -> str:
        """`text` with each `${NAME}` replaced. Raises `NeedsHuman` for an unknown one."""
        return _REFERENCE.sub(lambda found: self._value(found[1]), text)

    def redact(self, text: str) -> str:
        """`text` with every secret's value as `***`."""
        return self._pattern.sub("***", text) if self._pattern else text

    @property
    def values(self) -> tuple[str, ...]:
        """What may appear in no log."""
        return tuple(self._values.values())

    def _value(self, name: str) -> str:
        if name not in self._values:
            raise NeedsHuman(
                f"the secret {name} is not known here: set HEADGATE_SECRET_{name} for the "
                "controller, or add it to the file that `secrets` in its settings names"
            )
        return self._values[name]
