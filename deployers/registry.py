"""All targets by name.

To serve models elsewhere, add a file beside `local.py` with a `Deployer`, one beside
`local_window.py` with a `Window`, and both to `TARGETS`. The contract suite
(`tests/contracts/deployer.py`) runs over every target.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from deployers import control
from deployers.confinement import UNCONFINED, Confinement
from deployers.engine import Engine
from deployers.local import LocalDeployer
from deployers.local_window import LocalWindow
from deployers.protocol import Deployer, Window

LOCAL = "local"
FOLDER = "serving"
"""The folder of a target's files in the controller's home."""


@dataclass(frozen=True, kw_only=True)
class Means:
    """What a controller gives a deployer to work with."""

    home: Path
    """The folder for its files."""
    redact: Callable[[str], str]
    """Hides the secrets in a text."""
    engine: Engine | None = None
    confinement: Confinement = UNCONFINED
    silence: float = control.SILENCE
    """Seconds without word from a controller after which a canary loses its traffic."""
    trusted: Sequence[str] = control.LOOPBACK
    """Networks of proxies whose headers about their callers are trusted."""


@dataclass(frozen=True)
class DeploymentTarget:
    """How to open a target: for the controller, and, by its folder, for other processes."""

    deployer: Callable[[Means], Deployer]
    window: Callable[[Path], Window]


def _local(means: Means) -> Deployer:
    return LocalDeployer(
        means.home,
        redact=means.redact,
        engine=means.engine,
        confinement=means.confinement,
        silence=means.silence,
        trusted=means.trusted,
    )


TARGETS: Mapping[str, DeploymentTarget] = {LOCAL: DeploymentTarget(_local, LocalWindow)}
