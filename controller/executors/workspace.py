"""Prepares the folders, inputs and command of an attempt on the machine that runs it.

checkouts/<commit>/        the commit's files, read-only; shared
attempts/<id>/code/        the step's own copy of the files it reads; its working directory
attempts/<id>/.git/        a repository with this commit only, beside the copy rather than in it
attempts/<id>/inputs/      artifacts, read-only; datasets are read where they are pinned
attempts/<id>/outputs/     what the step writes
attempts/<id>/scratch/     HOME and TMPDIR of the step
"""

import asyncio
import json
import os
import sys
from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path, PurePath
from typing import Any, Final, NamedTuple, Protocol

from controller.artifacts import Artifacts
from controller.buckets.catalog import Addresses
from controller.buckets.protocol import Contents
from controller.config.secrets import Secrets
from controller.executors.kept_metrics import FOUND, KeptMetricFiles
from controller.executors.leftovers import Leftover
from controller.executors.model_request import model_request, places_in
from controller.executors.ownership import WRITABLE
from controller.executors.requirements import Locked, Requirements
from controller.executors.spark import SparkSetup, spark_setup
from controller.executors.step_files import StepFiles, make_folders, make_own_folder, tidy
from controller.executors.virtualenvs import OnBuild, ReadyEnvironment, Virtualenvs
from controller.git.single_commit import SingleCommit
from controller.machine.runs.attempt import Attempt, Recipe
from controller.machine.runs.data_gate_nodes import HISTORY, OTHER
from controller.machine.runs.dataset_nodes import DATA_OUTPUT, VERSION
from controller.machine.runs.graph import PORTRAIT, VALIDATION
from controller.queries import ADDRESS
from controller.queries.database import files_of
from deployers.confinement import View, interpreter
from specs.failures import NeedsHuman
from specs.globs import from_root
from specs.references import render, render_env

COMMITS = 64
"""How many commits are kept in memory as steps find them; one never changes."""
REQUEST = "request.json"
"""The file with the request of a gate or a query."""
_ROOT = Path(__file__).parents[2]
_MODULES: Final = {
    "data_gate": "validators.data",
    "history_gate": "validators.data.history",
    "model_gate": "validators.model",
}
"""By the program of a gate's attempt."""


class Checkouts(Protocol):
    """Provides the files of commits."""

    async def folder(self, repository: str, commit: str) -> Path:
        """The folder with the commit's files, read-only."""
        ...

    async def commit_object(self, repository: str, commit: str) -> bytes:
        """The raw commit object as git stores it, without its tree and parents."""
        ...


class Datasets(Protocol):
    """Provides the objects of dataset versions."""

    async def pinned(self, uri: str, digest: str) -> tuple[Path, Contents]:
        """A folder with exactly the objects of the dataset version, and their manifest."""
        ...

    async def addresses(self, uri: str, digest: str) -> Addresses:
        """The address of each object of the version. Copies nothing, except from a repository."""
        ...


class _PreparedInput(NamedTuple):
    """An input that is ready to be read."""

    path: Path
    data: Path | None = None
    """The folder that it is in, if that is outside the attempt's own."""
    artifact: str = ""
    """The digest of the artifact that is yet to be put there, or at `place`."""
    place: Path | None = None
    """Where it is put, if that is below `path`."""


@dataclass(frozen=True)
class Prepared:
    """A command that is ready to run."""

    argv: tuple[str, ...]
    folder: Path
    environment: dict[str, str]
    data: tuple[Path, ...] = ()
    """Folders and files that it reads outside the attempt's own folder."""
    programs: tuple[Path, ...] = ()
    """Files and folders of this machine that its programs consist of."""
    write: Callable[[Leftover | None], Collection[str]] = field(default=lambda _: (), compare=False)
    """Writes the files that it finds; for a thread, before it is started. Idempotent. Raises
    `Failure` and `OSError`.

    It may be given the folder of an ended attempt of the same user, commit and branch, which nobody
    else uses: what it moves from there it names, and the user may access that already."""

    def view(self, own: Path) -> View:
        """What a confined process may access, where `own` is the attempt's folder."""
        reads = (own / "inputs", own / REQUEST, *self.data, *self.programs)
        return View(self.folder, reads, tuple(own / name for name in WRITABLE))


@dataclass(frozen=True)
class Workspace:
    """Prepares attempts in folders of this machine."""

    home: Path
    artifacts: Artifacts
    datasets: Datasets
    checkouts: Checkouts
    virtualenvs: Virtualenvs
    secrets: Secrets
    _commits: OrderedDict[tuple[str, str, str], SingleCommit] = field(
        default_factory=OrderedDict, init=False, compare=False, repr=False
    )

    def folder(self, attempt_id: str) -> Path:
        """The attempt's own folder."""
        return self.home / attempt_id

    async def prepare(self, attempt: Attempt, on_build: OnBuild | None = None) -> Prepared:
        """Prepare everything that the attempt needs, up to `Prepared.write`. Idempotent. `on_build`
        is called when an environment has to be built.

        Raises `specs.failures.Failure`, and `TemplateError` for a placeholder without a value.
        """
        own = self.folder(attempt.id)
        checkout = await self.checkouts.folder(attempt.repository, attempt.commit)
        if attempt.program == "step":
            return await self._step(attempt, own, checkout, on_build)
        make_own_folder(f"{own}")
        make_folders(f"{own}", attempt)
        if attempt.program == "query":
            return self._query(attempt, own)
        request = await self._request(attempt, own, checkout)
        asked = own / REQUEST
        asked.write_text(json.dumps(request))
        # Attempts of older controllers have the report alone.
        named = (name for name in ("report", VALIDATION, PORTRAIT) if name in attempt.outputs)
        outputs = [str(own / "outputs" / attempt.outputs[name]) for name in named]
        # -P: nothing is imported from the working directory.
        argv = (sys.executable, "-P", "-m", _MODULES[attempt.program], str(asked), *outputs)
        # Gates are part of Headgate: they run in its environment and are given no secrets.
        setup = spark_setup() if request.get("engine") == "spark" else SparkSetup({}, ())
        return Prepared(
            argv,
            own,
            {**own_environment(own), **setup.variables},
            data=_read_by(request),
            programs=(*headgate_programs(), *setup.folders),
        )

    def _query(self, attempt: Attempt, own: Path) -> Prepared:
        """The program that fetches a query's rows: only this is given the database's address."""
        if attempt.request.get("denied"):
            raise NeedsHuman(attempt.request["denied"])
        (secret,) = attempt.secrets
        address = self.secrets.reveal((secret,))[secret]
        try:
            database_files = files_of(address)
        except NeedsHuman as failure:
            raise NeedsHuman(f"the secret {secret}: {failure}") from None
        asked = own / REQUEST
        asked.write_text(json.dumps(dict(attempt.request)))
        rows = own / "outputs" / attempt.outputs[DATA_OUTPUT]
        version = own / "outputs" / attempt.outputs.get(VERSION, "version.json")
        module = ("-P", "-m", "controller.queries")
        return Prepared(
            (sys.executable, *module, str(asked), str(rows), str(version)),
            own,
            {**own_environment(own), ADDRESS: address},
            data=database_files,
            programs=(*headgate_programs(), _ROOT / "controller"),
        )

    async def _step(
        self, attempt: Attempt, own: Path, checkout: Path, on_build: OnBuild | None
    ) -> Prepared:
        commit = await self.single_commit(attempt)
        ready = await self._virtualenv(attempt, checkout, on_build)
        # At once, as each may wait for the network; one alone needs no task.
        inputs = [self._input(attempt, name, own) for name in attempt.inputs]
        given = [await inputs[0]] if len(inputs) == 1 else await asyncio.gather(*inputs)
        outputs = {name: f"{own}/outputs/{file}" for name, file in attempt.outputs.items()}
        values = {
            **({"output": outputs[DATA_OUTPUT]} if DATA_OUTPUT in outputs else {}),
            **{f"params.{name}": value for name, value in attempt.params.items()},
            **{f"outputs.{name}": path for name, path in outputs.items()},
            **{f"inputs.{n}": str(one.path) for n, one in zip(attempt.inputs, given, strict=True)},
            "root": f"{own}/code",
        }
        return Prepared(
            render(attempt.command, values),
            own / "code" / attempt.folder,
            self._environment(attempt, ready, own, values),
            data=tuple(dict.fromkeys(one.data for one in given if one.data is not None)),
            programs=(*interpreter(ready.environment), *package_paths(ready)) if ready else (),
            write=partial(self._write, StepFiles(attempt, own, checkout, commit), given),
        )

    async def single_commit(self, attempt: Attempt) -> SingleCommit:
        """The attempt's commit, as a step finds it."""
        key = (attempt.repository, attempt.commit, attempt.branch)
        found = self._commits.get(key)
        if found is None:
            commit = await self.checkouts.commit_object(attempt.repository, attempt.commit)
            found = SingleCommit.of(attempt.commit, commit, attempt.branch)
            self._commits[key] = found
            while len(self._commits) > COMMITS:
                self._commits.popitem(last=False)
        return found

    def _write(
        self, files: StepFiles, given: Sequence[_PreparedInput], left: Leftover | None
    ) -> Collection[str]:
        """Write the files of a step: all that is slow enough for a thread, in one."""
        moved = files.write(left)
        for one in given:
            if one.artifact:
                self.artifacts.place(one.artifact, one.place or one.path)
        return moved

    def tidy(self, attempt_id: str) -> None:
        """Delete what is not needed after the step has ended."""
        tidy(f"{self.folder(attempt_id)}")

    def _environment(
        self, attempt: Attempt, ready: ReadyEnvironment | None, own: Path, values: Mapping[str, str]
    ) -> dict[str, str]:
        """The environment variables of a step: its own, its secrets, and few others."""
        variables = {
            **step_variables(attempt, own),
            **render_env(attempt.env, values),
            **self.secrets.reveal(attempt.secrets),
        }
        return environment_variables(ready, variables) if ready else variables

    async def _virtualenv(
        self, attempt: Attempt, checkout: Path, on_build: OnBuild | None
    ) -> ReadyEnvironment | None:
        """The environment with its commands; in a container, the image provides them."""
        if attempt.contained:
            return None
        wanted = environment_spec(checkout, attempt.folder, attempt.project, attempt.requirements)
        return await self.virtualenvs.get(wanted, attempt.python, on_build, attempt.run)

    async def _input(self, attempt: Attempt, name: str, own: Path) -> _PreparedInput:
        given = attempt.inputs[name]
        if given.kind in ("taken", "artifact"):
            await self.artifacts.fetch(given.digest)
            folder = own / "inputs" / name
            if given.kind == "taken":  # a folder, like any dataset
                place = folder / given.name if given.name else folder
                return _PreparedInput(folder, artifact=given.digest, place=place)
            return _PreparedInput(folder / (given.name or name), artifact=given.digest)
        if given.access == "uri":
            found = await self.datasets.addresses(given.uri, given.digest)
            listing = own / "inputs" / f"{name}.json"
            await asyncio.to_thread(write_addresses, listing, given.name, found)
            return _PreparedInput(listing, found.folder)
        folder, _ = await self.datasets.pinned(given.uri, given.digest)
        return _PreparedInput(folder, folder)

    async def _linked(self, attempt: Attempt, name: str, own: Path) -> Path:
        """An input that is ready to be read at once."""
        one = await self._input(attempt, name, own)
        if one.artifact:
            await self.artifacts.link(one.artifact, one.place or one.path)
        return one.path

    @property
    def kept_metrics(self) -> KeptMetricFiles:
        """What data gates measured; the dot tells the folder from those of attempts."""
        return KeptMetricFiles(self.home / ".metrics")

    def _metric_files(self, uri: str, own: Path) -> dict[str, str]:
        known = self.kept_metrics.known(uri)
        found = {"found": str(own / "outputs" / FOUND)}
        return found if known is None else {**found, "known": str(known)}

    async def _request(self, attempt: Attempt, own: Path, checkout: Path) -> dict[str, Any]:
        asked = attempt.request
        if attempt.program == "data_gate":
            given = attempt.inputs["dataset"]
            objects = await self._objects(attempt, "dataset", own)
            metrics = None if given.kind == "taken" else self._metric_files(given.uri, own)
            suite = from_root(str(asked["suite"]), attempt.folder)
            return {
                "dataset": asked["dataset"],
                "version": given.digest,
                "objects": objects,
                "metrics": None if asked.get("custom") or "engine" in asked else metrics,
                "engine": asked.get("engine", "headgate"),
                # Some are absent in attempts of older controllers.
                "suite": {
                    "path": str(checkout / suite),
                    "origin": suite,
                    "at": asked.get("at", ()),
                    "params": asked.get("params", {}),
                    "part": asked.get("object"),
                    "like": asked.get("like"),
                },
                "reading": asked.get("reading", {}),
                "examples": asked.get("examples", ()),
                "leaves_custom": asked.get("leaves_custom", False),
                "custom": _module(asked.get("custom"), attempt, checkout),
            }
        if attempt.program == "history_gate":
            return await self._history_request(attempt, own, checkout)
        evidence = [name for name in attempt.inputs if name != "model"]
        files = {name: str(await self._linked(attempt, name, own)) for name in evidence}
        return model_request(attempt, files, checkout).model_dump(mode="json")

    async def _history_request(self, attempt: Attempt, own: Path, checkout: Path) -> dict[str, Any]:
        asked = attempt.request
        places = [("datasets", asked["of"], "checks", at) for at in range(len(asked["checks"]))]
        others = {
            name: {"objects": await self._objects(attempt, f"{OTHER}{name}", own), "reading": how}
            for name, how in asked["others"].items()
            if f"{OTHER}{name}" in attempt.inputs
        }
        known = await self._linked(attempt, HISTORY, own) if HISTORY in attempt.inputs else None
        return {
            "dataset": asked["dataset"],
            "version": attempt.inputs["dataset"].digest,
            "at": attempt.at,
            "objects": await self._objects(attempt, "dataset", own),
            "reading": asked["reading"],
            "others": others,
            "checks": asked["checks"],
            "where": places_in(checkout, from_root(asked["file"], attempt.folder), places),
            "history": {
                "known": str(known) if known else None,
                "found": str(own / "outputs" / attempt.outputs[HISTORY]),
            },
        }

    async def _objects(self, attempt: Attempt, name: str, own: Path) -> list[dict[str, str]]:
        """The files of an input that is a dataset."""
        given = attempt.inputs[name]
        if given.kind == "taken":
            return await asyncio.to_thread(_below, await self._linked(attempt, name, own))
        pinned, manifest = await self.datasets.pinned(given.uri, given.digest)
        return [
            {"key": e.key, "path": str(pinned / e.key), "digest": f"{e.version} {e.size}"}
            for e in manifest
        ]


def _module(named: str | None, attempt: Attempt, checkout: Path) -> dict[str, str] | None:
    """The module by which a gate judges custom expectations."""
    if named is None:
        return None
    origin = from_root(named, attempt.folder)
    return {"path": str(checkout / origin), "origin": origin}


def write_addresses(path: Path, dataset: str | None, found: Addresses) -> None:
    """Written line by line, as there may be a million objects."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8") as file:
        file.write(f'{{"dataset": {json.dumps(dataset)}, ')
        if found.table is not None:
            file.write(f'"table": {json.dumps(found.table._asdict())}, ')
        file.write('"objects": [')
        for number, (entry, uri) in enumerate(found.objects):
            one = {"key": entry.key, "uri": uri, "size": entry.size, "version": entry.version}
            file.write(("," if number else "") + "\n" + json.dumps(one))
        file.write("\n]}\n")


def _below(folder: Path) -> list[dict[str, str]]:
    """The files of a dataset that was fetched, with their relative paths."""
    files = sorted(
        (path.relative_to(folder).as_posix(), path) for path in folder.rglob("*") if path.is_file()
    )
    return [{"key": key, "path": str(path)} for key, path in files]


def step_variables(attempt: Attempt, own: PurePath) -> dict[str, str]:
    """The environment variables of every step, where `own` is the attempt's folder."""
    return {
        "HOME": f"{own}/scratch",
        "TMPDIR": f"{own}/scratch",
        **common_variables(),
        "GIT_CEILING_DIRECTORIES": str(own.parent),  # find no clone that encloses it
        "GIT_DISCOVERY_ACROSS_FILESYSTEM": "1",  # when confined, its folders are mounts
        "HEADGATE_PIPELINE": attempt.pipeline,
        "HEADGATE_RUN": attempt.run,
        "HEADGATE_STEP": attempt.node,
        "HEADGATE_COMMIT": attempt.commit,
        "HEADGATE_BRANCH": attempt.branch,
    }


def own_environment(own: Path) -> dict[str, str]:
    """The environment variables of Headgate's own programs."""
    scratch = str(own / "scratch")
    environment = {"PATH": os.environ.get("PATH", ""), "HOME": scratch, "TMPDIR": scratch}
    if "PYTHONPATH" in os.environ:
        environment["PYTHONPATH"] = os.environ["PYTHONPATH"]
    return {**environment, **common_variables()}


def read_requirements(checkout: Path, folder: str, path: str | None) -> str:
    """The text of the requirements file that a spec in `folder` names; empty for None. Raises
    `NeedsHuman`."""
    if path is None:
        return ""
    try:
        return (checkout / from_root(path, folder)).read_text(encoding="utf-8")
    except OSError:
        raise NeedsHuman(f"{path} is not in the commit; fix `environment.requirements`") from None
    except UnicodeDecodeError:
        raise NeedsHuman(f"{path} is not UTF-8 text; save it as UTF-8") from None


def environment_spec(
    checkout: Path, folder: str, recipe: Recipe | None, requirements: str | None
) -> Requirements | Locked:
    """What the environment of a spec in `folder` of the checkout must contain. Raises
    `NeedsHuman`."""
    if recipe is not None:
        return Locked(recipe, checkout)
    return Requirements(read_requirements(checkout, folder, requirements))


def environment_variables(ready: ReadyEnvironment, own: Mapping[str, str]) -> dict[str, str]:
    """The variables by which a process finds the programs of an environment, and its `own` ones."""
    environment, packages = ready
    programs = [*([packages / "bin"] if packages else []), environment / "bin"]
    path = f"{':'.join(map(str, programs))}:/usr/local/bin:/usr/bin:/bin"
    found = {"PATH": path, "VIRTUAL_ENV": str(environment), **own}
    if (environment / "conda-meta").is_dir():
        found.setdefault("CONDA_PREFIX", str(environment))
    if packages is not None:
        found["PYTHONPATH"] = ":".join(filter(None, (own.get("PYTHONPATH"), str(packages))))
    return found


def package_paths(ready: ReadyEnvironment) -> tuple[Path, ...]:
    """The folder of the repository's own packages, as a link and resolved; empty without any."""
    return (ready.packages, ready.packages.resolve()) if ready.packages else ()


def common_variables() -> dict[str, str]:
    """The variables that every command gets."""
    return {
        "LANG": "C.UTF-8",
        "PYTHONDONTWRITEBYTECODE": "1",  # it would never be reused
        "PYTHONUNBUFFERED": "1",  # so that logs can be followed
    }


def _read_by(request: Mapping[str, Any]) -> tuple[Path, ...]:
    """What a gate reads outside the attempt's folder: its suite and module, the objects of
    datasets, and what was measured about them before."""
    if "objects" not in request:
        return ()
    given = (request, *request.get("others", {}).values())
    firsts = (one["objects"][0] for one in given if one["objects"])
    pinned = tuple(Path(one["path"]).parents[one["key"].count("/")] for one in firsts)
    if "suite" not in request:
        return pinned
    known = (request["metrics"] or {}).get("known")
    rules = (request["suite"], request["custom"])
    files = (*(file["path"] for file in rules if file is not None), *([known] if known else []))
    return (*map(Path, files), *pinned)


def headgate_programs() -> tuple[Path, ...]:
    """The files and folders that Headgate's own gates consist of."""
    paths = filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))
    own = (_ROOT / package for package in ("validators", "specs"))
    return (*interpreter(Path(sys.prefix)), *own, *map(Path, paths))
