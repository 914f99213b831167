"""Secrets: named in specs, known only to the controller, and redacted from all its output."""

import json
import re
from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel

from specs.failures import NeedsHuman
from specs.references import SECRET

M = TypeVar("M", bound=BaseModel)

MIN_LENGTH = 4
"""Secrets with fewer characters are not redacted, as they would hide ordinary words."""


class Secrets:
    """The values of secrets, by name."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = dict(values)
        hidden = sorted((v for v in values.values() if len(v) >= MIN_LENGTH), key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, hidden))) if hidden else None

    def reveal(self, names: tuple[str, ...]) -> dict[str, str]:
        """The values of the named secrets. Raises `NeedsHuman` for an unknown name."""
        return {name: self._value(name) for name in names}

    def expand(self, text: str) -> str:
        """`text` with each `${NAME}` replaced. Raises `NeedsHuman` for an unknown name."""
        return SECRET.sub(lambda found: self._value(found[1]), text)

    def has(self, name: str) -> bool:
        """Whether there is a secret of that name."""
        return name in self._values

    def redact(self, text: str) -> str:
        """`text` with every secret's value replaced by `***`."""
        return self._pattern.sub("***", text) if self._pattern else text

    def redacted(self, value: M) -> M:
        """The value with every secret in its texts replaced by `***`. To be called before texts are
        escaped, which could hide a secret from `redact`."""
        if self._pattern is None:
            return value
        return type(value).model_validate_json(
            json.dumps(self._clean(json.loads(value.model_dump_json())))
        )

    @property
    def values(self) -> tuple[str, ...]:
        """All values, which must not appear in logs."""
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
                f"the secret {name} is not set: set HEADGATE_SECRET_{name} in the controller's "
                "environment, or add it to the file that `secrets` in the settings names"
            )
        return self._values[name]
