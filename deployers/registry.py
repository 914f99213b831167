"""The deployers of all targets by name.

To serve models elsewhere, add a file beside `local.py` with a `Deployer` and its name to
`DEPLOYERS`, and one beside `local_window.py` with a `Window` and the same name to
`windows.WINDOWS`; `EveryTarget` picks one for each place. The contract suite
(`tests/contracts/deployer.py`) runs over every target.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from deployers import control
from deployers.chosen_target import DEFAULT
from deployers.command import CommandDeployer
from deployers.command_place import COMMAND
from deployers.confinement import UNCONFINED, Confinement
from deployers.counting.prometheus import PrometheusServer
from deployers.counting.reader import CounterReader
from deployers.engine import Engine
from deployers.every_target import EveryTarget, Recall, nothing_recalled
from deployers.kserve.deployer import KServeDeployer
from deployers.kserve.place import KSERVE
from deployers.kubernetes.deployer import KubernetesDeployer
from deployers.kubernetes.gateway import GatewayDeployer
from deployers.kubernetes.gateway_place import GATEWAY
from deployers.kubernetes.place_cluster import anything
from deployers.kubernetes.router_link import KUBERNETES
from deployers.kubernetes.settings import ServingCluster
from deployers.local import LocalDeployer
from deployers.protocol import Deployer
from specs.failures import NeedsHuman


def _no_secrets(names: tuple[str, ...]) -> dict[str, str]:
    if names:
        raise NeedsHuman(f"the secret {names[0]} is not known here")
    return {}


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
    cluster: ServingCluster | None = None
    """The cluster that serves, if one is set."""
    reveal: Callable[[tuple[str, ...]], dict[str, str]] = _no_secrets
    """The values of secrets by name, for scripts. Raises NeedsHuman for an unknown name."""
    prometheus: Mapping[str, PrometheusServer] = field(default_factory=dict)
    """The Prometheus servers of the settings, by name."""
    recall: Recall = nothing_recalled
    """Asked before a place is looked at."""
    may: Callable[[str], bool] = anything
    """Whether a place may be changed by this controller, just now."""


def _local(setup: DeployerSetup) -> Deployer:
    return LocalDeployer(
        setup.home,
        redact=setup.redact,
        engine=setup.engine,
        confinement=setup.confinement,
        silence=setup.silence,
        trusted=setup.trusted,
    )


def _command(setup: DeployerSetup) -> Deployer:
    return CommandDeployer(
        setup.home,
        redact=setup.redact,
        reveal=setup.reveal,
        confinement=setup.confinement,
        prometheus=setup.prometheus,
    )


def _kserve(setup: DeployerSetup) -> Deployer:
    counters = CounterReader(setup.home, setup.prometheus, setup.reveal)
    return KServeDeployer(setup.home, setup.cluster, counters, setup.redact, setup.may)


def _kubernetes(setup: DeployerSetup) -> Deployer:
    return KubernetesDeployer(
        setup.home,
        setup.cluster,
        redact=setup.redact,
        silence=setup.silence,
        trusted=setup.trusted,
        may=setup.may,
    )


def _gateway(setup: DeployerSetup) -> Deployer:
    return GatewayDeployer(
        setup.home,
        setup.cluster,
        redact=setup.redact,
        reveal=setup.reveal,
        prometheus=setup.prometheus,
        may=setup.may,
    )


DEPLOYERS: Final[Mapping[str, Callable[[DeployerSetup], Deployer]]] = {
    DEFAULT: _local,
    COMMAND: _command,
    KSERVE: _kserve,
    KUBERNETES: _kubernetes,
    GATEWAY: _gateway,
}


def make_deployer(setup: DeployerSetup) -> Deployer:
    """The deployer of all places, each with its target."""
    targets = {name: made(setup) for name, made in DEPLOYERS.items()}
    return EveryTarget(setup.home, targets, setup.recall)
