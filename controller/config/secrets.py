"""Secrets: named in specs, known to the controller only, and redacted from all it says."""

import json
import re
from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel

from specs.failures import NeedsHuman
from specs.references import SECRET

M = TypeVar("M", bound=BaseModel)

SHORTEST = 4
"""Characters of the shortest secret that is redacted: shorter ones would hide ordinary words."""


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
        return SECRET.sub(lambda found: self._value(found[1]), text)

    def has(self, name: str) -> bool:
        """Whether there is a secret of that name."""
        return name in self._values

    def redact(self, text: str) -> str:
        """`text` with every secret's value as `***`."""
        return self._pattern.sub("***", text) if self._pattern else text

    def redacted(self, value: M) -> M:
        """The value with every secret in its texts as `***`, before any form of it escapes them."""
        if self._pattern is None:
            return value
        return type(value).model_validate_json(
            json.dumps(self._clean(json.loads(value.model_dump_json())))
        )

    @property
    def values(self) -> tuple[str, ...]:
        """What may appear in no log."""
        return tuple(self._values.values())

    def _clean(self, plain: Any) -> Any:
        if isinstance(plain, str):
            return self.redact(plain)
        if isinstance(plain, list):
            return [self._clean(each) for each in plain]
        if isinstance(plain, dict):
            return {name: self._clean(each) for name, each in plain.items()}
        return plain

    def _value(self, name: str) -> str:
        if name not in self._values:
            raise NeedsHuman(
                f"the secret {name} is not known here: set HEADGATE_SECRET_{name} for the "
                "controller, or add it to the file that `secrets` in its settings names"
            )
        return self._values[name]
