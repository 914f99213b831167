"""What lies ready before an attempt starts, on the machine that runs it.

checkouts/<commit>/        the commit's files, read-only; shared
attempts/<id>/code/        the step's own copy of those that it reads; it works in there
attempts/<id>/inputs/      artifacts, read-only; datasets are linked where they are pinned
attempts/<id>/outputs/     what the step writes
attempts/<id>/scratch/     HOME and TMPDIR of the step
"""

import asyncio
import json
import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from controller.artifacts import Artifacts
from controller.buckets.protocol import Contents
from controller.executors.folders import NOTE, note_left_out, own_copy
from controller.executors.virtualenvs import Virtualenvs
from controller.machine.runs.attempt import Attempt
from controller.secrets import Secrets
from specs.digests import ManifestEntry
from specs.failures import NeedsHuman
from specs.load import load
from specs.model import SPEC_FILE
from specs.references import render
from validators.model.request import Request as ModelRequest


class Checkouts(Protocol):
    """Where the files of commits are had."""

    async def folder(self, repository: str, commit: str) -> Path:
        """The folder with the commit's files, read-only."""
        ...


class Datasets(Protocol):
    """Where the objects of dataset versions are had."""

    async def pinned(self, uri: str, digest: str) -> tuple[Path, Contents]:
        """The folder that holds exactly the objects of the dataset's version; their manifest."""
        ...

    async def addresses(self, uri: str, digest: str) -> Iterator[tuple[ManifestEntry, str]]:
        """Each object of the version and where it was listed, as a URI; nothing is copied."""
        ...


@dataclass(frozen=True)
class Prepared:
    """A command, complete."""

    argv: tuple[str, ...]
    folder: Path
    environment: dict[str, str]
    reads: tuple[Path, ...] = ()
    """Folders outside of the attempt's own that it reads."""


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

    async def prepare(self, attempt: Attempt) -> Prepared:
        """Lay out all that the attempt needs. Idempotent.

        Raises `specs.failures.Failure`, and TemplateError for a command that cannot be filled in.
        """
        own = self.folder(attempt.id)
        checkout = await self.checkouts.folder(attempt.repository, attempt.commit)
        if attempt.program == "step":
            return await self._step(attempt, own, checkout)
        _make_folders(own, attempt)
        request = await self._request(attempt, own, checkout / attempt.folder)
        asked = own / "request.json"
        asked.write_text(json.dumps(request))
        module = {"data_gate": "validators.data", "model_gate": "validators.model"}
        report = own / "outputs" / attempt.outputs["report"]
        # -P: nothing that lies in the working directory is ever imported.
        argv = (sys.executable, "-P", "-m", module[attempt.program], str(asked), str(report))
        # The gates are Headgate's own code: they run in its environment and see no secret.
        environment = {"PATH": os.environ.get("PATH", ""), "HOME": str(own / "scratch")}
        if "PYTHONPATH" in os.environ:
            environment["PYTHONPATH"] = os.environ["PYTHONPATH"]
        return Prepared(argv=argv, folder=own, environment={**environment, **calm()})

    async def _step(self, attempt: Attempt, own: Path, checkout: Path) -> Prepared:
        def lay_out() -> Path:
            _make_folders(own, attempt)
            note_left_out(checkout, attempt.folder, attempt.files, own / NOTE)
            return own_copy(checkout, attempt.folder, attempt.files, own / "code")

        # Beside each other: all of them wait for the disk, or for a network.
        folder, environment, inputs = await asyncio.gather(
            asyncio.to_thread(lay_out),
            self.environment(attempt, checkout / attempt.folder, own),
            asyncio.gather(*(self._input(attempt, name, own) for name in attempt.inputs)),
        )
        values = {
            **{f"params.{name}": value for name, value in attempt.params.items()},
            **{f"outputs.{n}": str(own / "outputs" / file) for n, file in attempt.outputs.items()},
            **{f"inputs.{n}": str(path) for n, path in zip(attempt.inputs, inputs, strict=True)},
        }
        pinned = [
            path
            for path, given in zip(inputs, attempt.inputs.values(), strict=True)
            if given.kind == "dataset" and given.access == "path"
        ]
        argv = render(attempt.command, values)
        return Prepared(argv, folder, environment, reads=tuple(dict.fromkeys(pinned)))

    def tidy(self, attempt_id: str) -> None:
        """Delete what only the running step needed."""
        for name in ("code", "scratch"):
            shutil.rmtree(self.folder(attempt_id) / name, ignore_errors=True)

    async def environment(self, attempt: Attempt, folder: Path, own: Path) -> dict[str, str]:
        """The variables of a step: its own, its secrets, and as little else as possible."""
        return {
            **await self._programs(attempt, folder),
            "HOME": str(own / "scratch"),
            "TMPDIR": str(own / "scratch"),
            **calm(),
            "HEADGATE_RUN": attempt.run,
            "HEADGATE_STEP": attempt.node,
            **attempt.env,
            **self.secrets.reveal(attempt.secrets),
        }

    async def _programs(self, attempt: Attempt, folder: Path) -> dict[str, str]:
        """Where its commands are; a container's are where its image says."""
        if attempt.executor == "docker":
            return {}
        text = read_requirements(folder, attempt.requirements)
        env = await self.virtualenvs.get(text, attempt.python)
        path = f"{env / 'bin'}:/usr/local/bin:/usr/bin:/bin"
        return {"PATH": path, "VIRTUAL_ENV": str(env)}

    async def _input(self, attempt: Attempt, name: str, own: Path) -> Path:
        given = attempt.inputs[name]
        if given.kind == "artifact":
            target = own / "inputs" / name / (given.name or name)
            await self.artifacts.link(given.digest, target)
            return target
        if given.access == "uri":
            found = await self.datasets.addresses(given.uri, given.digest)
            listing = own / "inputs" / f"{name}.json"
            await asyncio.to_thread(_write_addresses, listing, given.name, found)
            return listing
        folder, _ = await self.datasets.pinned(given.uri, given.digest)
        return folder

    async def _request(self, attempt: Attempt, own: Path, folder: Path) -> object:
        asked = attempt.request
        if attempt.program == "data_gate":
            given = attempt.inputs["dataset"]
            pinned, manifest = await self.datasets.pinned(given.uri, given.digest)
            suite = str(asked["suite"])
            return {
                "dataset": asked["dataset"],
                "version": given.digest,
                "objects": [{"key": e.key, "path": str(pinned / e.key)} for e in manifest],
                "suite": {"path": str(folder / suite), "origin": _within(attempt, suite)},
            }
        tables = [name for name in ("candidate", "baseline") if name in attempt.inputs]
        files = {name: str(await self._input(attempt, name, own)) for name in tables}
        return _model_request(attempt, files, folder).model_dump(mode="json")


def _write_addresses(
    path: Path, dataset: str | None, found: Iterator[tuple[ManifestEntry, str]]
) -> None:
    """One object a line, as there may be a million of them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8") as file:
        file.write(f'{{"dataset": {json.dumps(dataset)}, "objects": [')
        for number, (entry, uri) in enumerate(found):
            one = {"key": entry.key, "uri": uri, "size": entry.size, "version": entry.version}
            file.write(("," if number else "") + "\n" + json.dumps(one))
        file.write("\n]}\n")


def _make_folders(own: Path, attempt: Attempt) -> None:
    for folder in (own / "inputs", own / "scratch", own / "outputs"):
        folder.mkdir(parents=True, exist_ok=True)
    for file in attempt.outputs.values():
        (own / "outputs" / file).parent.mkdir(parents=True, exist_ok=True)


def read_requirements(folder: Path, path: str | None) -> str:
    """The text of a requirements file below `folder`, `` for none. Raises `NeedsHuman`."""
    if path is None:
        return ""
    try:
        return (folder / path).read_text(encoding="utf-8")
    except OSError:
        raise NeedsHuman(f"{path} is not in the commit; mend `environment.requirements`") from None
    except UnicodeDecodeError:
        raise NeedsHuman(f"{path} is not UTF-8 text; save it as such") from None


def calm() -> dict[str, str]:
    """Variables that every command gets."""
    return {
        "LANG": "C.UTF-8",
        "PYTHONDONTWRITEBYTECODE": "1",  # nobody would read it a second time
        "PYTHONUNBUFFERED": "1",  # logs can be followed
    }


def _within(attempt: Attempt, path: str) -> str:
    return f"{attempt.folder}/{path}" if attempt.folder else path


def _model_request(attempt: Attempt, files: Mapping[str, str], folder: Path) -> ModelRequest:
    asked = attempt.request
    version = asked["baseline_version"]
    baseline: object
    if "baseline" in files:
        subject = f"v{version}"
        baseline = {"kind": "predictions", "path": files["baseline"], "subject": subject}
    elif version is None:
        baseline = {"kind": "first_model", "reason": asked["no_baseline"]}
    else:
        baseline = {"kind": "could_not_run", "reason": asked["no_baseline"]}
    loaded = load((folder / SPEC_FILE).read_bytes(), _within(attempt, SPEC_FILE))
    where = []
    for place in asked["places"]:  # None: a check of the base branch
        path = ("gates", "model", "checks", place) if place is not None else ("gates",)
        line, column = loaded.position(path)
        where.append({"file": loaded.file, "line": line, "column": column})
    return ModelRequest.model_validate_json(
        json.dumps(
            {
                "subject": attempt.run,
                "candidate": files["candidate"],
                "baseline": baseline,
                "same_model": asked["baseline_model"] == attempt.inputs["model"].digest,
                "gate": asked["gate"],
                "file": loaded.file,
                "where": where,
                "provenance": {n: given.digest for n, given in attempt.inputs.items()},
            }
        )
    )
