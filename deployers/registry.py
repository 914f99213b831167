"""All targets by name.

To serve models elsewhere, add a file beside `local.py` with a `Deployer`, one beside
`local_window.py` with a `Window`, and both to `TARGETS`. The contract suite
(`tests/contracts/deployer.py`) runs over every target.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from deployers import control
from deployers.confinement import UNCONFINED, Confinement
from deployers.engine import Engine
from deployers.local import LocalDeployer
from deployers.local_window import LocalWindow
from deployers.protocol import Deployer, Window

DEFAULT: Final = "local"
"""The target of all environments: settings cannot choose another one yet."""
SERVING: Final = "serving"
"""The folder of a target's files in the controller's home."""


@dataclass(frozen=True, kw_only=True)
class DeployerSetup:
    """What deployers are made from; each uses what it needs."""

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

    deployer: Callable[[DeployerSetup], Deployer]
    window: Callable[[Path], Window]


def _local(setup: DeployerSetup) -> Deployer:
    return LocalDeployer(
        setup.home,
        redact=setup.redact,
        engine=setup.engine,
        confinement=setup.confinement,
        silence=setup.silence,
        trusted=setup.trusted,
    )


TARGETS: Final[Mapping[str, DeploymentTarget]] = {
    DEFAULT: DeploymentTarget(_local, LocalWindow),
}


def make_deployer(setup: DeployerSetup, name: str = DEFAULT) -> Deployer:
    """The deployer of a target."""
    return TARGETS[name].deployer(setup)


def make_window(home: Path, name: str = DEFAULT) -> Window:
    """The window to a target whose files are in `home`."""
    return TARGETS[name].window(home)
