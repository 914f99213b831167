"""Whether a gate begins at once: what it imports is compiled, and stays imported."""

import importlib.util
from collections.abc import Iterator
from pathlib import Path

from controller.doctor.findings import Finding, ok, warn
from controller.executors.warm_gates import warm_environment, warm_programs
from deployers.confinement import Confinement
from deployers.warm_trial import is_served

_IMPORTED = ("great_expectations", "specs", "validators")
"""Packages that only gates import, so that nothing else would compile them, and our own."""


def examine_gates(confinement: Confinement) -> Iterator[Finding]:
    """What makes each gate of this machine slower than it could be."""
    yield _compiled()
    if is_served(confinement, warm_programs(), warm_environment()):
        yield ok("gates", "each is forked from a process that stays imported")
    else:
        said = "each imports all that it needs anew, for seconds: no process that stays imported "
        fix = "use Linux 5.3 or later, and allow the controller's user namespaces and unix sockets"
        yield warn("gates", f"{said}can enter the sandboxes of this machine", fix)


def _compiled() -> Finding:
    raw = [name for name in _IMPORTED if _uncompiled(name)]
    if not raw:
        return ok("gates", "what they import is compiled")
    folders = " ".join(str(_folder(name)) for name in raw)
    said = f"{', '.join(raw)}: not compiled, so each gate compiles it anew, for seconds"
    return warn("gates", said, f"python -m compileall -q {folders}")


def _uncompiled(package: str) -> bool:
    """Whether a module of the package has no bytecode beside it."""
    return any(
        not Path(importlib.util.cache_from_source(str(file))).exists()
        for file in _folder(package).rglob("*.py")
    )


def _folder(package: str) -> Path:
    found = importlib.util.find_spec(package)
    assert found is not None
    assert found.origin is not None
    return Path(found.origin).parent
