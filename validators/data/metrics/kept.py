"""What was measured about the objects of a dataset, kept for its next judgement.

An object that was measured before costs nothing again: new data costs what is new. What is kept is
only ever an answer that measuring the object would give again; without it, everything is measured.
"""

import hashlib
import json
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from validators.data.metrics.batch import Kinds
from validators.data.metrics.measured import MetricNeed

_MEASURED_BY: Final = 2
"""Changes whenever a metric's state gets another meaning."""
_SPARE: Final = 100
"""Objects of other versions that are kept in any case; and as many more as this version has."""
MOST_BYTES: Final = 256 << 20
"""The size up to which the file is read."""


class KeptMetrics:
    """The states of metrics by object, and those that are found now."""

    def __init__(self, known: Path | None = None) -> None:
        """`known`: the file that an earlier judgement wrote; one that cannot be used is as none."""
        self._known = _read(known) if known is not None else {}
        self._found: dict[str, dict[str, Any]] = {}

    def get(self, object_id: str, need: MetricNeed, kinds: Kinds) -> tuple[Any] | None:
        """The state, in a tuple; None if it is not known."""
        kept = self._known.get(object_id)
        name = _name(need, kinds)
        if kept is None or name not in kept:
            return None
        try:
            state = need.metric.load(kept[name])
        except (ValueError, TypeError, KeyError, IndexError):
            return None
        self._found.setdefault(object_id, {})[name] = kept[name]
        return (state,)

    def put(self, object_id: str, need: MetricNeed, kinds: Kinds, state: Any) -> None:
        """Keep a state, unless it is too large for that."""
        dumped = need.metric.dump(state)
        if dumped is not None:
            self._found.setdefault(object_id, {})[_name(need, kinds)] = dumped

    def looks(self, object_id: str, name: str) -> Any:
        """What else is known about an object, in JSON's types; None if nothing is."""
        found = self._known.get(object_id, {}).get(name)
        if found is not None:
            self._found.setdefault(object_id, {})[name] = found
        return found

    def put_looks(self, object_id: str, name: str, looks: Any) -> None:
        """Keep something else about an object."""
        self._found.setdefault(object_id, {})[name] = looks

    def write(self, target: Path) -> None:
        """Write what is known and found: all about this version's objects, and some others."""
        now = {one: {**self._known.get(one, {}), **states} for one, states in self._found.items()}
        others = [one for one in self._known if one not in now][-(len(now) + _SPARE) :]
        objects = {**{one: self._known[one] for one in others}, **now}
        target.write_text(json.dumps({"by": _stamp(), "objects": objects}))


def object_id(key: str, digest: str) -> str:
    """What identifies an object's rows: its content, and the folders that may be columns."""
    folder = key.rpartition("/")[0]
    return hashlib.blake2b(f"{digest}\n{folder}".encode(), digest_size=16).hexdigest()


def _stamp() -> list[Any]:
    """What the states depend on besides the data. They are of no use to another version."""
    return [_MEASURED_BY, version("pyarrow"), version("pandas"), version("numpy")]


def _name(need: MetricNeed, kinds: Kinds) -> str:
    types = [str(kinds.get(name)) for name in need.columns]
    said = f"{need.condition!r}\n{need.metric!r}\n{types}"
    return hashlib.blake2b(said.encode(), digest_size=12).hexdigest()


def _read(path: Path) -> Mapping[str, Any]:
    try:
        if path.stat().st_size > MOST_BYTES:
            return {}
        content = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    if not isinstance(content, dict) or content.get("by") != _stamp():
        return {}
    objects = content.get("objects")
    if not isinstance(objects, dict):
        return {}
    return {one: states for one, states in objects.items() if isinstance(states, dict)}
