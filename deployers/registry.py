"""The deployers of all targets by name.

To serve models elsewhere, add a file beside `local.py` with a `Deployer` and its name to
`DEPLOYERS`, and one beside `local_window.py` with a `Window` and the same name to
`windows.WINDOWS`. The contract suite (`tests/contracts/deployer.py`) runs over every target.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from deployers import control
from deployers.confinement import UNCONFINED, Confinement
from deployers.engine import Engine
from deployers.local import LocalDeployer
from deployers.protocol import Deployer
from deployers.windows import DEFAULT


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


def _local(setup: DeployerSetup) -> Deployer:
    return LocalDeployer(
        setup.home,
        redact=setup.redact,
        engine=setup.engine,
        confinement=setup.confinement,
        silence=setup.silence,
        trusted=setup.trusted,
    )


DEPLOYERS: Final[Mapping[str, Callable[[DeployerSetup], Deployer]]] = {DEFAULT: _local}


def make_deployer(setup: DeployerSetup, name: str = DEFAULT) -> Deployer:
    """The deployer of a target."""
    return DEPLOYERS[name](setup)
