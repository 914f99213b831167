"""Checks what the pipelines' specs need: the stores of their datasets, and the Docker Engine."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from pathlib import Path

from controller.buckets.listing import is_any_readable, remote_place_of
from controller.buckets.stores import Stores, is_remote, is_within
from controller.config.settings import Settings
from controller.doctor.findings import Finding, bad, ok, warn
from controller.git import Mirror
from controller.git.environment_surveys import conda_program
from deployers.engine import Engine
from specs.failures import Failure
from specs.figures import duration
from specs.loading.load import load
from specs.model import Pipeline, is_spec_file
from specs.projects.conda import PROGRAMS
from specs.projects.values import LOCKS
from specs.target_scripts import UNWATCHED, UNWATCHING

PATIENCE = 30.0
"""Timeout of each check, in seconds."""
FIX = "see `stores` in the settings, and docs/object-stores.md"
ENGINE_FIX = "start it, or set `docker.host` in the settings; see docs/docker.md"


async def specs_of(mirror: Mirror, commit: str) -> list[Pipeline]:
    """The valid specs at a commit. The problems of others are in the reports of their commits."""
    found = []
    for path in await mirror.files(commit):
        if not is_spec_file(path.rpartition("/")[2]):
            continue
        text = await mirror.read(commit, path)
        loaded = await asyncio.to_thread(load, text or b"", path)
        if loaded.pipeline is not None:
            found.append(loaded.pipeline)
    return found


def conda(specs: Iterable[Pipeline], files: Iterable[str]) -> Iterator[Finding]:
    """Whether a conda program is installed, if a project has an environment.yml."""
    asked = any(spec.environment.project is not None for spec in specs)
    if not asked or not any(LOCKS.get(path.rpartition("/")[2]) == "conda" for path in files):
        return
    program = conda_program()
    if program is not None:
        yield ok("conda", f"{program} can build environments from environment.yml")
    else:
        names = ", ".join(PROGRAMS)
        yield bad(
            "conda",
            f"none of {names} is on PATH",
            "install micromamba to use environment.yml",
        )


def scripted(specs: Iterable[Pipeline]) -> Iterator[Finding]:
    """The pipelines whose traffic others split: what Headgate does not do for them."""
    for spec in specs:
        release = spec.release
        if release is None or release.production.strategy != "canary":
            continue
        if release.deployer_for("production") in UNWATCHING:
            name = f"deployer of {spec.metadata.name}"
            yield warn(name, UNWATCHED, 'see "Who watches" in docs/deployers.md')


def teams_of(specs: Iterable[Pipeline]) -> list[str]:
    """The teams that may accept changed rules, each as `@organisation/team`."""
    return sorted({who for spec in specs for who in spec.policy.approvers if "/" in who})


async def examine_specs(
    settings: Settings, home: Path, specs: Sequence[Pipeline]
) -> AsyncIterator[Finding]:
    """A finding for each object store address in use, and for the Docker Engine if one is used."""
    stores = Stores(settings.stores)
    for what, uri in _places(settings, specs):
        yield await _dataset(what, uri, stores)
    executors = {spec.executor_of(step) for spec in specs for step in _commands(spec)}
    if "docker" in executors or settings.docker.host is not None:
        yield await _engine(Engine(settings.docker.host, home))


def _commands(spec: Pipeline) -> Iterable[str | None]:
    return (None, *spec.commands)


def _places(settings: Settings, specs: Sequence[Pipeline]) -> Iterator[tuple[str, str]]:
    """Titles and addresses to check: each address of a dataset once, and each store without one."""
    named: dict[str, list[str]] = {}
    for spec in specs:
        for name, dataset in spec.datasets.items():
            if dataset.uri is not None and is_remote(dataset.uri):
                named.setdefault(dataset.uri, []).append(f"{spec.metadata.name}/{name}")
    for uri, names in named.items():
        yield f"dataset {', '.join(names)}", uri
    used = [*named, *([settings.artifacts] if settings.artifacts else [])]
    for store in settings.stores:
        if not any(is_within(uri, store.uri) for uri in used):
            yield "store", store.uri


async def _dataset(what: str, uri: str, stores: Stores) -> Finding:
    try:
        place = remote_place_of(uri)
        async with asyncio.timeout(PATIENCE):
            is_there = await asyncio.to_thread(is_any_readable, place, stores)
    except (Failure, TimeoutError) as failure:
        return bad(what, str(failure) or f"{uri} did not answer within {duration(PATIENCE)}", FIX)
    if not is_there:
        return warn(what, f"{place.uri} holds no object", "write the data there, or correct `uri`")
    return ok(what, f"{place.uri} can be listed and read")


async def _engine(engine: Engine) -> Finding:
    try:
        async with asyncio.timeout(PATIENCE):
            about = await engine.call(lambda client: client.version())
    except (Failure, TimeoutError) as failure:
        late = f"the Docker Engine at {engine.address} did not answer within {duration(PATIENCE)}"
        return bad("docker", str(failure) or late, ENGINE_FIX)
    finally:
        await engine.close()
    return ok("docker", f"Docker Engine {about['Version']} answers at {engine.address}")
