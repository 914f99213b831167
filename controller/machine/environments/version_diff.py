"""PURE. How two model versions differ: parameters, files, data, images."""

from collections.abc import Iterator, Mapping

from controller.machine.pipelines.version import ModelVersion
from controller.machine.runs.referenced_files import referenced_files
from specs.digests import short
from specs.figures import clip

MOST = 8
"""Lines."""
NAMES = 6
"""Files in one line."""
LONGEST = 200


def differs(old: ModelVersion, new: ModelVersion) -> tuple[str, ...]:
    """One line per difference, at most `MOST`; or one that says that nothing differs."""
    lines = [
        *_values("params.", _params(old), _params(new)),
        *_files(*(referenced_files(one.spec, one.source) for one in (old, new))),
        *_versions("data", old.datasets, new.datasets),
        *_versions("image", old.source.images, new.source.images),
    ]
    if not lines:
        return ("nothing: it was made from the same files, parameters and data",)
    if len(lines) > MOST:
        lines = [*lines[: MOST - 1], f"{len(lines) - MOST + 1} more"]
    return tuple(clip(line, LONGEST) for line in lines)


def _params(version: ModelVersion) -> Mapping[str, object]:
    own = ((name, step.params) for name, step in version.spec.steps.items())
    of_steps = {f"{step}.{name}": one for step, all_ in own for name, one in all_.items()}
    return {**version.spec.params, **of_steps}


def _values(what: str, old: Mapping[str, object], new: Mapping[str, object]) -> Iterator[str]:
    for name in sorted(old.keys() | new.keys()):
        was, now = (clip(str(side[name]), 60) if name in side else "none" for side in (old, new))
        if old.get(name) != new.get(name) or (name in old) != (name in new):
            yield f"{what}{name}: {was} → {now}"


def _files(old: Mapping[str, str], new: Mapping[str, str]) -> Iterator[str]:
    named = {
        "changed": [path for path in new if path in old and old[path] != new[path]],
        "new": [path for path in new if path not in old],
        "gone": [path for path in old if path not in new],
    }
    for how, paths in named.items():
        if paths:
            shown = ", ".join(sorted(paths)[:NAMES])
            more = f" and {len(paths) - NAMES:,} more" if len(paths) > NAMES else ""
            yield f"files {how}: {shown}{more}"


def _versions(what: str, old: Mapping[str, str], new: Mapping[str, str]) -> Iterator[str]:
    shown = ({name: short(one) for name, one in side.items()} for side in (old, new))
    yield from _values(f"{what} ", *shown)
