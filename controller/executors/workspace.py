"""What lies ready before an attempt starts, on the machine that runs it.

checkouts/<commit>/        the commit's files, read-only; shared
attempts/<id>/code/        the step's own copy of those that it reads; it works in there
attempts/<id>/.git/        a repository with the commit alone, beside the copy and not in it
attempts/<id>/inputs/      artifacts, read-only; datasets are linked where they are pinned
attempts/<id>/outputs/     what the step writes
attempts/<id>/scratch/     HOME and TMPDIR of the step
"""

import asyncio
import json
import os
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from controller.artifacts import Artifacts
from controller.buckets.catalog import Addresses
from controller.buckets.protocol import Contents
from controller.config.secrets import Secrets
from controller.executors.folders import NOTE, note_left_out, own_copy
from controller.executors.ownership import WRITABLE
from controller.executors.virtualenvs import ReadyEnvironment, Told, Virtualenvs
from controller.executors.wanted import Locked, Requirements
from controller.git.single import lay_single
from controller.machine.runs.attempt import Attempt, Recipe
from controller.machine.runs.taking import TAKEN, VERSION
from controller.queries import ADDRESS
from controller.queries.database import files_of
from deployers.confinement import View, interpreter
from specs.failures import NeedsHuman
from specs.globs import from_root
from specs.loading.load import load
from specs.references import render, render_env
from validators.model.request import Request as ModelRequest

REQUEST = "request.json"
"""The file with what a gate is asked."""
_ROOT = Path(__file__).parents[2]


class Checkouts(Protocol):
    """Where the files of commits are had."""

    async def folder(self, repository: str, commit: str) -> Path:
        """The folder with the commit's files, read-only."""
        ...

    async def commit_object(self, repository: str, commit: str) -> bytes:
        """The commit as git stores it, without what it points to."""
        ...


class Datasets(Protocol):
    """Where the objects of dataset versions are had."""

    async def pinned(self, uri: str, digest: str) -> tuple[Path, Contents]:
        """The folder that holds exactly the objects of the dataset's version; their manifest."""
        ...

    async def addresses(self, uri: str, digest: str) -> Addresses:
        """Where each object of the version is; nothing is copied that is not in the repository."""
        ...


class _Given(NamedTuple):
    """An input as it lies ready."""

    path: Path
    data: Path | None
    """The folder outside of the attempt's own that it is in."""


@dataclass(frozen=True)
class Prepared:
    """A command, complete."""

    argv: tuple[str, ...]
    folder: Path
    environment: dict[str, str]
    data: tuple[Path, ...] = ()
    """Folders and files outside of the attempt's own that it reads."""
    programs: tuple[Path, ...] = ()
    """What its programs are made of, on this machine."""

    def view(self, own: Path) -> View:
        """All that it is to see beside the machine, where `own` is the attempt's folder."""
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

    def folder(self, attempt_id: str) -> Path:
        """The attempt's own folder."""
        return self.home / attempt_id

    async def prepare(self, attempt: Attempt, told: Told | None = None) -> Prepared:
        """Lay out all that the attempt needs. Idempotent. `told` hears of an environment that is
        built for it.

        Raises `specs.failures.Failure`, and TemplateError for a command that cannot be filled in.
        """
        own = self.folder(attempt.id)
        checkout = await self.checkouts.folder(attempt.repository, attempt.commit)
        if attempt.program == "step":
            return await self._step(attempt, own, checkout, told)
        _make_folders(own, attempt)
        if attempt.program == "query":
            return self._query(attempt, own)
        request = await self._request(attempt, own, checkout)
        asked = own / REQUEST
        asked.write_text(json.dumps(request))
        module = {"data_gate": "validators.data", "model_gate": "validators.model"}
        report = own / "outputs" / attempt.outputs["report"]
        # -P: nothing that lies in the working directory is ever imported.
        argv = (sys.executable, "-P", "-m", module[attempt.program], str(asked), str(report))
        # The gates are Headgate's own code: they run in its environment and see no secret.
        return Prepared(
            argv, own, _own_environment(own), data=_read_by(request), programs=_headgate()
        )

    def _query(self, attempt: Attempt, own: Path) -> Prepared:
        """What takes a query's rows: it alone is told where the database is."""
        if attempt.request.get("denied"):
            raise NeedsHuman(attempt.request["denied"])
        (secret,) = attempt.secrets
        address = self.secrets.reveal((secret,))[secret]
        try:
            there = files_of(address)
        except NeedsHuman as failure:
            raise NeedsHuman(f"the secret {secret}: {failure}") from None
        asked = own / REQUEST
        asked.write_text(json.dumps(dict(attempt.request)))
        rows = own / "outputs" / attempt.outputs[TAKEN]
        version = own / "outputs" / attempt.outputs.get(VERSION, "version.json")
        module = ("-P", "-m", "controller.queries")
        return Prepared(
            (sys.executable, *module, str(asked), str(rows), str(version)),
            own,
            {**_own_environment(own), ADDRESS: address},
            data=there,
            programs=(*_headgate(), _ROOT / "controller"),
        )

    async def _step(
        self, attempt: Attempt, own: Path, checkout: Path, told: Told | None
    ) -> Prepared:
        commit = await self.checkouts.commit_object(attempt.repository, attempt.commit)

        def lay_out() -> Path:
            _make_folders(own, attempt)
            note_left_out(checkout, attempt.folder, attempt.files, own / NOTE)
            folder = own_copy(checkout, attempt.folder, attempt.files, own / "code")
            if not (own / ".git").exists():
                lay_single(own, attempt.commit, commit, attempt.branch)
            return folder

        # Beside each other: all of them wait for the disk, or for a network.
        folder, ready, given = await asyncio.gather(
            asyncio.to_thread(lay_out),
            self._virtualenv(attempt, checkout, told),
            asyncio.gather(*(self._input(attempt, name, own) for name in attempt.inputs)),
        )
        outputs = {n: str(own / "outputs" / file) for n, file in attempt.outputs.items()}
        values = {
            **({"output": outputs[TAKEN]} if TAKEN in outputs else {}),
            **{f"params.{name}": value for name, value in attempt.params.items()},
            **{f"outputs.{name}": path for name, path in outputs.items()},
            **{f"inputs.{n}": str(one.path) for n, one in zip(attempt.inputs, given, strict=True)},
            "root": str(own / "code"),
        }
        return Prepared(
            render(attempt.command, values),
            folder,
            self._environment(attempt, ready, own, values),
            data=tuple(dict.fromkeys(one.data for one in given if one.data is not None)),
            programs=(*interpreter(ready.environment), *packages_of(ready)) if ready else (),
        )

    def tidy(self, attempt_id: str) -> None:
        """Delete what only the running step needed."""
        for name in ("code", ".git", "scratch"):
            shutil.rmtree(self.folder(attempt_id) / name, ignore_errors=True)

    def _environment(
        self, attempt: Attempt, ready: ReadyEnvironment | None, own: Path, values: Mapping[str, str]
    ) -> dict[str, str]:
        """The variables of a step: its own, its secrets, and as little else as possible."""
        variables = {
            "HOME": str(own / "scratch"),
            "TMPDIR": str(own / "scratch"),
            **calm(),
            "GIT_CEILING_DIRECTORIES": str(own.parent),  # no clone that lies around it
            "GIT_DISCOVERY_ACROSS_FILESYSTEM": "1",  # confined, its folders are mounts
            "HEADGATE_PIPELINE": attempt.pipeline,
            "HEADGATE_RUN": attempt.run,
            "HEADGATE_STEP": attempt.node,
            "HEADGATE_COMMIT": attempt.commit,
            "HEADGATE_BRANCH": attempt.branch,
            **render_env(attempt.env, values),
            **self.secrets.reveal(attempt.secrets),
        }
        return variables_in(ready, variables) if ready else variables

    async def _virtualenv(
        self, attempt: Attempt, checkout: Path, told: Told | None
    ) -> ReadyEnvironment | None:
        """Where its commands are; a container's are where its image says."""
        if attempt.executor == "docker":
            return None
        wanted = wanted_by(checkout, attempt.folder, attempt.project, attempt.requirements)
        return await self.virtualenvs.get(wanted, attempt.python, told, attempt.run)

    async def _input(self, attempt: Attempt, name: str, own: Path) -> _Given:
        given = attempt.inputs[name]
        if given.kind == "taken":  # as any dataset: a folder
            folder = own / "inputs" / name
            await self.artifacts.link(given.digest, folder / given.name if given.name else folder)
            return _Given(folder, None)
        if given.kind == "artifact":
            target = own / "inputs" / name / (given.name or name)
            await self.artifacts.link(given.digest, target)
            return _Given(target, None)
        if given.access == "uri":
            found = await self.datasets.addresses(given.uri, given.digest)
            listing = own / "inputs" / f"{name}.json"
            await asyncio.to_thread(_write_addresses, listing, given.name, found)
            return _Given(listing, found.folder)
        folder, _ = await self.datasets.pinned(given.uri, given.digest)
        return _Given(folder, folder)

    async def _request(self, attempt: Attempt, own: Path, checkout: Path) -> dict[str, Any]:
        asked = attempt.request
        if attempt.program == "data_gate":
            given = attempt.inputs["dataset"]
            objects: list[tuple[str, Path]]
            if given.kind == "taken":
                taken = (await self._input(attempt, "dataset", own)).path
                objects = await asyncio.to_thread(_below, taken)
            else:
                pinned, manifest = await self.datasets.pinned(given.uri, given.digest)
                objects = [(e.key, pinned / e.key) for e in manifest]
            suite = from_root(str(asked["suite"]), attempt.folder)
            return {
                "dataset": asked["dataset"],
                "version": given.digest,
                "objects": [{"key": key, "path": str(path)} for key, path in objects],
                "suite": {"path": str(checkout / suite), "origin": suite},
                "reading": asked.get("reading", {}),  # none in an attempt of an older controller
            }
        evidence = [name for name in attempt.inputs if name != "model"]
        files = {name: str((await self._input(attempt, name, own)).path) for name in evidence}
        return _model_request(attempt, files, checkout).model_dump(mode="json")


def _write_addresses(path: Path, dataset: str | None, found: Addresses) -> None:
    """One object a line, as there may be a million of them."""
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


def _make_folders(own: Path, attempt: Attempt) -> None:
    for folder in (own / "inputs", own / "scratch", own / "outputs"):
        folder.mkdir(parents=True, exist_ok=True)
    for name, file in attempt.outputs.items():
        path = own / "outputs" / file
        (path if name in attempt.folders else path.parent).mkdir(parents=True, exist_ok=True)


def _below(folder: Path) -> list[tuple[str, Path]]:
    """The files of a dataset that was taken, by their paths in it."""
    return sorted(
        (path.relative_to(folder).as_posix(), path) for path in folder.rglob("*") if path.is_file()
    )


def _own_environment(own: Path) -> dict[str, str]:
    """The variables of Headgate's own programs."""
    scratch = str(own / "scratch")
    environment = {"PATH": os.environ.get("PATH", ""), "HOME": scratch, "TMPDIR": scratch}
    if "PYTHONPATH" in os.environ:
        environment["PYTHONPATH"] = os.environ["PYTHONPATH"]
    return {**environment, **calm()}


def read_requirements(checkout: Path, folder: str, path: str | None) -> str:
    """The text of a requirements file as a spec in `folder` names it, `` for none. Raises
    `NeedsHuman`."""
    if path is None:
        return ""
    try:
        return (checkout / from_root(path, folder)).read_text(encoding="utf-8")
    except OSError:
        raise NeedsHuman(f"{path} is not in the commit; mend `environment.requirements`") from None
    except UnicodeDecodeError:
        raise NeedsHuman(f"{path} is not UTF-8 text; save it as such") from None


def wanted_by(
    checkout: Path, folder: str, recipe: Recipe | None, requirements: str | None
) -> Requirements | Locked:
    """The environment of a spec in a folder of the checkout. Raises `NeedsHuman`."""
    if recipe is not None:
        return Locked(recipe, checkout)
    return Requirements(read_requirements(checkout, folder, requirements))


def variables_in(ready: ReadyEnvironment, own: Mapping[str, str]) -> dict[str, str]:
    """The variables by which a process finds the programs of an environment, and its `own`."""
    environment, packages = ready
    programs = [*([packages / "bin"] if packages else []), environment / "bin"]
    path = f"{':'.join(map(str, programs))}:/usr/local/bin:/usr/bin:/bin"
    found = {"PATH": path, "VIRTUAL_ENV": str(environment), **own}
    if (environment / "conda-meta").is_dir():
        found.setdefault("CONDA_PREFIX", str(environment))
    if packages is not None:
        found["PYTHONPATH"] = ":".join(filter(None, (own.get("PYTHONPATH"), str(packages))))
    return found


def packages_of(ready: ReadyEnvironment) -> tuple[Path, ...]:
    """Where the repository's own packages are, by either of its names; empty without any."""
    return (ready.packages, ready.packages.resolve()) if ready.packages else ()


def calm() -> dict[str, str]:
    """Variables that every command gets."""
    return {
        "LANG": "C.UTF-8",
        "PYTHONDONTWRITEBYTECODE": "1",  # nobody would read it a second time
        "PYTHONUNBUFFERED": "1",  # logs can be followed
    }


def _read_by(request: Mapping[str, Any]) -> tuple[Path, ...]:
    """What a gate reads where it lies: its suite, and the folder of the dataset's objects."""
    if "suite" not in request:
        return ()
    objects = request["objects"][:1]
    pinned = (Path(one["path"]).parents[one["key"].count("/")] for one in objects)
    return (Path(request["suite"]["path"]), *pinned)


def _headgate() -> tuple[Path, ...]:
    """What Headgate's own gates are made of."""
    paths = filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))
    own = (_ROOT / package for package in ("validators", "specs"))
    return (*interpreter(Path(sys.prefix)), *own, *map(Path, paths))


def _model_request(attempt: Attempt, files: Mapping[str, str], checkout: Path) -> ModelRequest:
    asked = attempt.request
    baseline: object
    if "baseline" in files:
        subject = asked["baseline_called"]
        baseline = {"kind": "predictions", "path": files["baseline"], "subject": subject}
    else:
        kind = "could_not_run" if asked["baseline_lost"] else "first_model"
        baseline = {"kind": kind, "reason": asked["no_baseline"]}
    candidate: object = files.get("candidate")
    if candidate is None and asked["gate"].get("predictions"):
        kind = "could_not_run" if asked["exam"] else "missing"
        candidate = {"kind": kind, "reason": asked["no_candidate"]}
    file = from_root(attempt.file, attempt.folder)
    loaded = load((checkout / file).read_bytes(), file)
    where = []
    for place in asked["places"]:  # None: a check of the base branch
        path = ("gates", "model", "checks", place) if place is not None else ("gates",)
        line, column = loaded.position(path)
        where.append({"file": loaded.file, "line": line, "column": column})
    return ModelRequest.model_validate_json(
        json.dumps(
            {
                "subject": attempt.run,
                "candidate": candidate,
                "exam": asked["exam"],
                "baseline": baseline,
                **_numbers_request(asked, files),
                "same_model": "model" in attempt.inputs
                and asked["baseline_model"] == attempt.inputs["model"].digest,
                "gate": asked["gate"],
                "file": loaded.file,
                "where": where,
                "provenance": {n: given.digest for n, given in attempt.inputs.items()},
            }
        )
    )


def _numbers_request(asked: Mapping[str, Any], files: Mapping[str, str]) -> dict[str, Any]:
    """What of the request is about numbers of the team's own; empty where the gate names none."""
    if not asked["gate"].get("metrics"):
        return {}
    numbers: object = files.get("numbers")
    if numbers is None:
        kind = "could_not_run" if asked["exam"] else "missing"
        numbers = {"kind": kind, "reason": asked["no_numbers"]}
    if "baseline_numbers" in files:
        baseline = {
            "kind": "numbers",
            "path": files["baseline_numbers"],
            "subject": asked["baseline_called"],
        }
    else:
        kind = "could_not_run" if asked["baseline_numbers_lost"] else "first_model"
        baseline = {"kind": kind, "reason": asked["no_baseline_numbers"]}
    return {"numbers": numbers, "baseline_numbers": baseline}
