"""PURE. Steps of stages that a team has written down: their paths become inputs and outputs."""

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePosixPath

from controller.cli.drafts.commands import escaped, filled, line
from controller.cli.drafts.imports import reads_of
from controller.cli.drafts.surroundings import glob_of
from controller.cli.drafts.values import Data, Folder, Stage, Step
from specs.names import is_part_name

_CODE = (".py", ".ipynb", ".sh", ".r", ".jl", ".js", ".sql", ".yaml", ".yml", ".toml", ".cfg",
         ".ini", ".lock", ".in", ".md")  # fmt: skip


def of_stages(
    folder: Folder, stages: Sequence[Stage], source: str
) -> tuple[dict[str, Step], dict[str, Data]]:
    """A step for each stage, and the datasets that no stage makes."""
    names = {stage.name: name_of(stage.name) for stage in stages}
    made = {
        out: (names[stage.name], name)
        for stage in stages
        for out, name in _named(stage.outs).items()
    }
    steps: dict[str, Step] = {}
    data: dict[str, Data] = {}
    for stage in stages:
        steps[names[stage.name]] = _step(folder, stage, made, data, source)
    return steps, data


def name_of(text: str) -> str:
    """The nearest name of a step, a dataset, an input or an output."""
    name = re.sub(r"[^A-Za-z0-9_-]+", "_", text).strip("_-")[:63]
    return name if is_part_name(name) else f"_{name}"[:63]


def _named(paths: Sequence[str]) -> dict[str, str]:
    """A name for each path, that of its file."""
    found: dict[str, str] = {}
    for path in paths:
        name = name_of(PurePosixPath(path).stem)
        while name in found.values():
            name += "_"
        found[path] = name
    return found


def _step(
    folder: Folder,
    stage: Stage,
    made: Mapping[str, tuple[str, str]],
    data: dict[str, Data],
    source: str,
) -> Step:
    inputs: dict[str, str] = {}
    places: dict[str, str] = {}
    code: list[str] = []
    for dep in stage.deps:
        whole = next((out for out in made if dep == out or dep.startswith(f"{out}/")), None)
        if whole is not None:
            step, output = made[whole]
            inputs[output] = f"steps.{step}.{output}"
            places[dep] = f"{{inputs.{output}}}{dep[len(whole) :]}"
        elif _is_code(folder, dep):
            code.append(dep)
        else:
            name, inside = _dataset(folder, dep, data)
            inputs[name] = f"datasets.{name}"
            places[dep] = f"{{inputs.{name}}}{inside}"
    outputs = {name: PurePosixPath(out).name for out, name in _named(stage.outs).items()}
    to = {out: f"{{outputs.{name}}}" for out, name in _named(stage.outs).items()}
    command, seen = filled(_escaped(stage), places | to)
    reads, paths = _reads(folder, stage.command, code)
    said = [f"from {source}"]
    if stage.unknown:
        said.append(f"TODO: {stage.unknown}")
    return Step(
        line(
            command,
            {path: where for path, where in places.items() if path not in seen},
            {path: where for path, where in to.items() if path not in seen},
        ),
        inputs,
        outputs,
        reads,
        {"PYTHONPATH": ":".join(paths)} if paths else {},
        tuple(said),
    )


def _escaped(stage: Stage) -> str:
    """Braces that are none of the stage's parameters stay what they are."""
    command = escaped(stage.command)
    for name in stage.params:
        command = command.replace(f"{{{{{name}}}}}", f"{{params.{name_of(name)}}}")
    return command


def _is_code(folder: Folder, path: str) -> bool:
    if path in folder.known:
        return path.lower().endswith(_CODE) or path.endswith(("Makefile", "Dockerfile"))
    below = folder.below(path)
    return any(file.endswith(".py") for file in below) or path.lower().endswith(_CODE)


def _dataset(folder: Folder, path: str, data: dict[str, Data]) -> tuple[str, str]:
    """The dataset's name, and where in it the path is."""
    uri, file = glob_of(folder, path)
    for name, known in data.items():
        if known.uri == uri and uri is not None:
            return name, f"/{file}" if file else ""
    name = name_of(PurePosixPath(path).stem)
    while name in data:
        name += "_"
    data[name] = Data(uri, file)
    lost = uri is None and PurePosixPath(path).suffix
    return name, f"/{file}" if file else (f"/{PurePosixPath(path).name}" if lost else "")


def _reads(
    folder: Folder, command: str, code: Sequence[str]
) -> tuple[tuple[str, ...] | None, tuple[str, ...]]:
    found: dict[str, None] = {}
    paths: dict[str, None] = {}
    scripts = list(scripts_in(folder, command))
    if re.search(r"\s-m\s", command) and any(path.startswith("src/") for path in scripts):
        paths["src"] = None  # or Python does not find the module that it is to run
    for path in (*scripts, *code):
        if folder.below(path):
            found[f"{path}/**"] = None
        elif path.endswith(".py"):
            reads, roots = reads_of(folder, path)
            if reads is None:
                return None, tuple(paths)
            found |= dict.fromkeys(reads)
            paths |= dict.fromkeys(roots)
        elif path in folder.known:
            found[path] = None
    return tuple(found) or None, tuple(paths)


def scripts_in(folder: Folder, command: str) -> Iterator[str]:
    """The scripts of the folder that a command runs."""
    try:
        words = shlex.split(command)
    except ValueError:
        words = command.split()
    for before, one in zip(["", *words], words, strict=False):
        if before == "-m":
            stem = one.replace(".", "/")
            yield from (f for f in (f"{stem}.py", f"src/{stem}.py", f"{stem}/__main__.py")
                        if f in folder.known)  # fmt: skip
        elif one.removeprefix("./") in folder.known and one.lower().endswith(_CODE):
            yield one.removeprefix("./")
