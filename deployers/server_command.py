"""The command of a model server: the server itself, or the process that stands for a container."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from deployers.confinement import Confinement, View, interpreter
from deployers.container import GIVEN, Order
from deployers.engine import Engine
from deployers.place_folder import HOST, Site
from deployers.processes import ProcessSpec
from deployers.protocol import Server
from specs.failures import NeedsHuman
from specs.references import TemplateError, render, render_env

ANYWHERE = "0.0.0.0"  # noqa: S104 - inside a container, whose port is published on HOST
_SCRATCH = "/tmp"  # noqa: S108 - a confined server's own, in memory
_ROOT = Path(__file__).parents[1]


class ServerCommands:
    """Builds the commands of servers, given the engine and the confinement."""

    def __init__(self, engine: Engine | None, confinement: Confinement) -> None:
        self._engine = engine
        self._confinement = confinement

    def of(self, site: Site, server: Server, port: int) -> ProcessSpec:
        """The process of a server. Raises NeedsHuman if it cannot be started."""
        if not Path(server.model).exists():
            raise NeedsHuman(f"server {server.name}: there is no model file at {server.model}")
        if not Path(server.folder).is_dir():
            raise NeedsHuman(f"server {server.name}: there is no folder {server.folder}")
        if server.image is None:
            return self._own(site, server, port)
        locale = {"LC_ALL": "C.UTF-8"}
        if self._engine is None:
            raise NeedsHuman(
                f"server {server.name} has an image, but there is no Docker Engine: set "
                "`docker.host` in the settings"
            )
        process = site.server(server.name)
        values = _values(server, ANYWHERE, port)
        order = Order(
            host=self._engine.address,
            name=self._engine.container(process),
            labels=self._engine.labels("server", process),
            image=server.image,
            argv=_argv(server, values),
            folder=server.folder,
            root=server.top,
            model=server.model,
            environment={**locale, **_environment(server, values)},
            port=port,
            network=f"headgate-{site.key}-{self._engine.home}",
            lock=str(site.folder / "network.lock"),
        )
        return ProcessSpec(
            argv=(sys.executable, "-m", "deployers.container"),
            cwd=str(_ROOT),
            environment={"PATH": os.defpath, **locale, GIVEN: order.model_dump_json()},
        )

    def _own(self, site: Site, server: Server, port: int) -> ProcessSpec:
        """The process of a server without an image; its files are read-only, as in a container."""
        values = _values(server, HOST, port)
        environment = {"PATH": os.defpath, "LC_ALL": "C.UTF-8", **_environment(server, values)}
        within: tuple[str, ...] = ()
        if self._confinement.works:
            environment = {"HOME": _SCRATCH, "TMPDIR": _SCRATCH, **environment}
            virtualenv = server.environment.get("VIRTUAL_ENV")
            programs = interpreter(Path(virtualenv)) if virtualenv else ()
            given = map(Path, (server.top, server.model, *server.programs))
            view = View(Path(server.folder), (*given, *programs))
            user = self._confinement.user(site.pipeline, "served")
            within = self._confinement.within(view, user)
        return ProcessSpec(
            argv=_argv(server, values),
            cwd=server.folder,
            within=within,
            environment=environment,
        )


def _values(server: Server, host: str, port: int) -> dict[str, str]:
    """The values of its placeholders."""
    params = {f"params.{name}": value for name, value in server.params.items()}
    given = {"model": server.model, "host": host, "port": str(port), "root": server.top}
    return {**params, **given}


def _environment(server: Server, values: Mapping[str, str]) -> dict[str, str]:
    return {**server.environment, **render_env(server.templates, values)}


def _argv(server: Server, values: Mapping[str, str]) -> tuple[str, ...]:
    """The server's command. Raises NeedsHuman for an invalid template."""
    try:
        return tuple(render(server.run, values))
    except TemplateError as error:
        raise NeedsHuman(f"server {server.name}: {error}") from error
