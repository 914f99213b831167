"""Applies deployments: turns model versions into servers that a deployer can start."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from controller.artifacts import Artifacts
from controller.blobs.last_use import discard_all, mode, use
from controller.config.secrets import Secrets
from controller.effects.shipping import Shipper, shipped
from controller.executors.installer import CannotBuild
from controller.executors.virtualenvs import ReadyEnvironment, Virtualenvs
from controller.executors.working_copy import copy_files
from controller.executors.workspace import (
    Checkouts,
    common_variables,
    environment_spec,
    environment_variables,
    package_paths,
)
from controller.machine.actions import Deploy
from controller.machine.core import Envelope, Key
from controller.machine.environments.environment import server_name
from controller.machine.pipelines.version import ModelVersion
from controller.machine.runs.attempt import Build
from controller.machine.runs.projects import recipe_of
from controller.machine.runs.step_nodes import image_of, script_reads, serve_params, serve_reads
from controller.store.model_versions import Versions
from deployers.engine import Engine
from deployers.protocol import Bounds, Deployer, Desired, Scripts, Server, Shipment
from specs.digests import digest
from specs.failures import NeedsHuman, TryAgain
from specs.release import ErrorSignal, Serve
from specs.resources import Resources
from specs.target_scripts import ON_CLUSTER, TargetName

PYTHONPATH = "PYTHONPATH"
SOON = 5.0
"""Seconds to wait for an image: enough if it is there already."""


class Serving:
    """Prepares a version's model, code and environment, and hands them to the deployer."""

    def __init__(
        self,
        deployer: Deployer,
        versions: Versions,
        artifacts: Artifacts,
        checkouts: Checkouts,
        virtualenvs: Virtualenvs,
        secrets: Secrets,
        home: Path,
        ports: Mapping[str, int],
        engine: Engine | None = None,
        shipper: Shipper | None = None,
    ) -> None:
        """Without `shipper` there is no artifact store that pods reach."""
        self._deployer = deployer
        self._versions = versions
        self._artifacts = artifacts
        self._checkouts = checkouts
        self._virtualenvs = virtualenvs
        self._secrets = secrets
        self._home = home
        self._ports = ports
        self._engine = engine
        self._shipper = shipper
        self._fetching: dict[str, asyncio.Task[str]] = {}
        self._building: dict[str, asyncio.Task[ReadyEnvironment]] = {}

    async def deploy(self, _owner: Key, action: Deploy) -> Sequence[Envelope]:
        """Converge the environment on the action's versions."""
        place = f"{action.pipeline}/{action.environment}"
        await self._deployer.apply(
            place,
            Desired(
                stable=await self._server(action, action.stable),
                canary=await self._server(action, action.canary),
                canary_weight=action.canary_weight,
                seed=int(digest(action.attempt)[7:15], 16),
                port=self._ports.get(place),
                closed=action.closed,
                target=await self._target(action),
                errors=_errors_of(await self._released(action)),
                scripts=await self._scripts(action),
            ),
        )
        return ()

    def sweep(self, keep: Iterable[ModelVersion], before: float) -> int:
        """Delete the folders of versions that are not in `keep` and were not used since `before`
        (seconds since the epoch). Returns how many were deleted. Blocking."""
        kept = {name for version in keep for name in (_code_of(version), _model_of(version))}
        return discard_all(self._home, before, kept)

    def shipped(self, keep: Iterable[ModelVersion]) -> set[str]:
        """The digests of the artifacts by which these versions reach a cluster. Blocking."""
        return {one for version in keep for one in shipped(self._home / _code_of(version))}

    def withdraw(self, keep: Iterable[ModelVersion], before: float) -> int:
        """Delete the published models of all versions but these; how many files. Blocking."""
        if self._shipper is None:
            return 0
        with suppress(TryAgain):  # the store is away: the next sweep does it
            return self._shipper.withdraw({_code_of(version) for version in keep}, before)
        return 0

    async def _server(self, action: Deploy, number: int | None) -> Server | None:
        if number is None:
            return None
        version = await self._versions.get(action.pipeline, number)
        if version is None or version.spec.release is None:
            raise NeedsHuman(f"v{number} of {action.pipeline} is not in the store")
        serve = version.spec.release.serve
        if serve is None:
            raise NeedsHuman(f"v{number} of {action.pipeline} is no server: its release is a batch")
        checkout = await self._checkouts.folder(version.source.repository, version.source.commit)
        # A folder of its own, so that what the server writes affects no step and no other server.
        place = self._home / _code_of(version)
        use(place)
        files, within = serve_reads(version.spec, version.source), version.source.folder
        root = place / "code"
        folder = await asyncio.to_thread(copy_files, checkout, within, files, root)
        target = version.spec.release.deployer_for(action.environment)
        server = _described(f"{action.pipeline}/{action.environment}", version, serve)
        if target in ON_CLUSTER:
            return await self._on_cluster(server, version, serve, root)
        image = await self._image(version, checkout, fetch=target != "command")
        if image is not None and target != "command":
            for one in (folder, *folder.parents):  # the container runs as another user
                if one.is_relative_to(root):
                    one.chmod(mode(0o755))
        plain, filled = _by_form(serve.env)
        # Git must not find a repository that the folder happens to lie in.
        ours = {**common_variables(), "GIT_CEILING_DIRECTORIES": str(self._home)}
        own = {**ours, **plain, **self._secrets.reveal(serve.secrets)}
        programs: tuple[Path, ...] = ()
        if image is None:
            ready = await self._environment(version, checkout)
            own, programs = environment_variables(ready, own), package_paths(ready)
            if programs and PYTHONPATH in filled:
                filled[PYTHONPATH] += f":{programs[0]}"
        return server.model_copy(
            update={
                "model": str(await self._model(version)),
                "folder": str(folder),
                "root": str(root),
                "image": image,
                "environment": own,
                "programs": tuple(map(str, programs)),
                "templates": {n: filled[n] for n in filled if n not in serve.secrets},
            }
        )

    async def _on_cluster(
        self, server: Server, version: ModelVersion, serve: Serve, code: Path
    ) -> Server:
        """The server as a cluster runs it: nothing of it is on this machine."""
        image, _ = image_of(version.spec, version.source, None)
        if image is None and serve.format is None:
            why = "a cluster runs images: name one by `environment.image`"
            raise NeedsHuman(f"v{version.number} of {version.pipeline}: {why}")
        if self._shipper is None:
            raise NeedsHuman(
                "servers on a cluster need an artifact store that pods reach: set `artifacts` in "
                "headgate.yaml to s3://, gs:// or az:// with a prefix"
            )
        plain, filled = _by_form(serve.env)
        own = {**common_variables(), **plain, **self._secrets.reveal(serve.secrets)}
        return server.model_copy(
            update={
                "shipment": await self._shipment(self._shipper, version, serve, code),
                "image": image,
                "environment": own,
                "templates": {n: filled[n] for n in filled if n not in serve.secrets},
                "resources": serve.resources or Resources(),
                "profile": serve.profile,
                "replicas": serve.replicas,
            }
        )

    async def _shipment(
        self, shipper: Shipper, version: ModelVersion, serve: Serve, code: Path
    ) -> Shipment:
        """How it reaches the cluster: all that a pod fetches, or a model that others load."""
        if serve.format is not None:
            path = await self._model(version)
            return await shipper.publish(version.model, path, _code_of(version))
        name, folder = _model_name(version), version.source.folder
        return await shipper.ship(version.model, name, code, folder)

    async def _released(self, action: Deploy) -> ModelVersion | None:
        """The version whose spec says who deploys: the canary if there is one, else stable."""
        number = action.canary if action.canary is not None else action.stable
        if number is None:
            return None
        return await self._versions.get(action.pipeline, number)

    async def deployed_by(self, action: Deploy) -> Desired:
        """Whom the environment is deployed by, without servers."""
        return Desired(target=await self._target(action), scripts=await self._scripts(action))

    async def _target(self, action: Deploy) -> TargetName:
        version = await self._released(action)
        if version is None or version.spec.release is None:
            return "local"  # nothing is to run, wherever that is
        return version.spec.release.deployer_for(action.environment)

    async def _scripts(self, action: Deploy) -> Scripts | None:
        """The scripts that deploy: of the canary's commit if there is one, else of stable's."""
        version = await self._released(action)
        if version is None or version.spec.release is None:
            return None
        found = version.spec.release.scripts_for(action.environment)
        if found is None:
            return None
        checkout = await self._checkouts.folder(version.source.repository, version.source.commit)
        place = self._home / _code_of(version)
        use(place)
        files, root = script_reads(version.spec, version.source), place / "scripts"
        folder = await asyncio.to_thread(copy_files, checkout, version.source.folder, files, root)
        ready = await self._environment(version, checkout)
        ours = {**common_variables(), "GIT_CEILING_DIRECTORIES": str(self._home)}
        return Scripts(
            commands=found.commands,
            folder=str(folder),
            root=str(root),
            programs=tuple(map(str, package_paths(ready))),
            environment=environment_variables(ready, ours),
            secrets=found.secrets,
            timeout=found.timeout.total_seconds(),
            split=found.split,
            errors=_errors_of(version),
            counters=found.prometheus.names() if found.prometheus is not None else None,
        )

    async def _image(
        self, version: ModelVersion, checkout: Path, *, fetch: bool = True
    ) -> str | None:
        """The image that it is served from; None for a process. Pulling or building takes a while,
        so that is done in the background, and `TryAgain` raised until it is finished. What scripts
        deploy is not fetched."""
        image, build = image_of(version.spec, version.source, None)
        if image is None and build is None:
            return None
        if not fetch:
            if image is None:
                why = "its image is built by Headgate, so no script can deploy it: name an `image`"
                raise NeedsHuman(f"v{version.number} of {version.spec.metadata.name}: {why}")
            return image
        task = self._fetching.get(version.digest)
        if task is None:
            task = asyncio.create_task(self._fetch(checkout, image, build))
            self._fetching[version.digest] = task
        await asyncio.wait([task], timeout=SOON)
        if not task.done():
            raise TryAgain(f"the image of v{version.number} is being fetched", after=1.0)
        del self._fetching[version.digest]
        return task.result()

    async def _fetch(self, checkout: Path, image: str | None, build: Build | None) -> str:
        if self._engine is None:
            raise NeedsHuman("the server has an image: name a Docker Engine, `docker.host`")
        if build is not None:
            return await self._engine.build(checkout / build.context, build.digest)
        assert image is not None
        await self._engine.ensure(image)
        return image

    async def _model(self, version: ModelVersion) -> Path:
        """The model, under the file name that its step gave it."""
        path = self._home / _model_of(version) / _model_name(version)
        if not use(path.parent) or not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            await self._artifacts.link(version.model, path)
        return path

    async def _environment(self, version: ModelVersion, checkout: Path) -> ReadyEnvironment:
        """The Python environment of its steps. Building one takes a while, so that is done in the
        background, and `TryAgain` raised until it is finished."""
        asked, source = version.spec.environment, version.source
        recipe = recipe_of(version.spec, source)
        wanted = environment_spec(checkout, source.folder, recipe, asked.requirements)
        ready = self._virtualenvs.ready(wanted, asked.python)
        if ready is not None:
            return ready
        task = self._building.get(version.digest)
        if task is None:
            task = asyncio.create_task(self._virtualenvs.get(wanted, asked.python))
            self._building[version.digest] = task
        if not task.done():
            raise TryAgain(f"the environment of v{version.number} is being built", after=1.0)
        del self._building[version.digest]
        try:
            return task.result()
        except CannotBuild as failure:
            raise NeedsHuman(str(failure)) from None


def _errors_of(version: ModelVersion | None) -> tuple[str, ...]:
    """What its spec counts as an error."""
    release = version.spec.release if version is not None else None
    errors = release.production.canary.signals.errors if release is not None else None
    return tuple((errors or ErrorSignal()).counts)


def _by_form(env: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """The variables without placeholders, and those with some."""
    filled = {name: value for name, value in env.items() if "{" in value or "}" in value}
    return {name: value for name, value in env.items() if name not in filled}, filled


def _described(place: str, version: ModelVersion, serve: Serve) -> Server:
    """The server as its spec describes it, wherever it runs."""
    return Server(
        name=server_name(place, version.ref),
        run=serve.run or "",
        format=serve.format,
        params=serve_params(version.spec),
        secrets=serve.secrets,
        ready=serve.ready,
        predict=serve.predict,
        bounds=Bounds(
            answer_within=serve.answer_within.total_seconds(),
            idle=serve.idle.total_seconds(),
            largest_request=serve.largest_request,
        ),
        hung_after=serve.patience.total_seconds(),
        startup=serve.startup_deadline.total_seconds(),
    )


def _code_of(version: ModelVersion) -> str:
    """The name of the folder with a version's server."""
    return digest([version.digest, version.source.commit])[7:31]


def _model_of(version: ModelVersion) -> str:
    """The name of the folder with a version's model."""
    return version.model.partition(":")[2][:24]


def _model_name(version: ModelVersion) -> str:
    """The file name that its step gave the model."""
    assert version.spec.model is not None
    step = version.spec.steps[version.spec.model.step]
    return step.outputs[version.spec.model.output].rpartition("/")[2]
