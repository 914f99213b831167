"""PURE. Makes steps of existing stages: their paths become inputs and outputs."""

import posixpath
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePosixPath

from controller.cli.write.drafts.commands import escaped, filled, line
from controller.cli.write.drafts.detection import glob_of
from controller.cli.write.drafts.imports import reads_of
from controller.cli.write.drafts.values import Data, DraftServer, DraftStep, Folder, Stage
from specs.names import is_part_name

_CODE = (".py", ".ipynb", ".sh", ".r", ".jl", ".js", ".mjs", ".cjs", ".ts", ".c", ".cc", ".cpp",
         ".h", ".hpp", ".rs", ".go", ".java", ".pl", ".rb", ".sql", ".yaml", ".yml", ".toml",
         ".cfg", ".ini", ".lock", ".in", ".md")  # fmt: skip
_DATA = (".csv", ".tsv", ".parquet", ".jsonl", ".ndjson")
_HOST = re.compile(r"(?<![\w.])(127\.0\.0\.1|0\.0\.0\.0|localhost)(?![\w.])")
_PORT = re.compile(r"(?<![\w./-])\d{4,5}(?![\w./-])")
_QUOTED = re.compile(r"""["'](\.{0,2}/?[\w./-]+)["']""")


def of_stages(
    folder: Folder, stages: Sequence[Stage], source: str
) -> tuple[dict[str, DraftStep], dict[str, Data]]:
    """A step for each stage, and a dataset for data that no stage makes."""
    names = {stage.name: name_of(stage.name) for stage in stages}
    made = {
        out: (names[stage.name], name)
        for stage in stages
        for out, name in _named(stage.outs).items()
    }
    steps: dict[str, DraftStep] = {}
    data: dict[str, Data] = {}
    for stage in stages:
        steps[names[stage.name]] = _step(folder, stage, made, data, source)
    return steps, data


def name_of(text: str) -> str:
    """A valid name of a step, dataset, input or output, as near as possible to `text`."""
    name = re.sub(r"[^A-Za-z0-9_-]+", "_", text).strip("_-")[:63]
    return name if is_part_name(name) else f"_{name}"[:63]


def _named(paths: Sequence[str]) -> dict[str, str]:
    """A unique name for each path, after its file."""
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
) -> DraftStep:
    inputs: dict[str, str] = {}
    places: dict[str, str] = {}
    code: list[str] = []
    for dep in (*stage.deps, *_mentioned(folder, stage, made)):
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
    outputs: dict[str, str] = {}
    for out, name in _named(stage.outs).items():
        file = PurePosixPath(out).name
        outputs[name] = file if file not in outputs.values() else f"{name}/{file}"
    to = {out: f"{{outputs.{name}}}" for out, name in _named(stage.outs).items()}
    command, seen = filled(_escaped(stage), places | to)
    reads, paths = _reads(folder, stage.command, code)
    said = [f"from {source}"]
    if stage.unknown:
        said.append(f"TODO: {stage.unknown}")
    return DraftStep(
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
    """The command with all braces escaped but those of the stage's parameters."""
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
    """The name of the dataset with a path, and the place of the path in it."""
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
        paths["src"] = None  # otherwise Python does not find the module
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
            found |= dict.fromkeys(_with_what_it_names(folder, path))
    return tuple(found) or None, tuple(paths)


def _with_what_it_names(folder: Folder, path: str) -> Iterator[str]:
    """A file in another language, and the files that it names in quotes, as `#include`, `require`
    and `source` do."""
    seen, todo = {path}, [path]
    while todo:
        one = todo.pop(0)
        yield one
        above = PurePosixPath(one).parent
        for text in _QUOTED.findall(folder.read(one) or ""):
            whole = posixpath.normpath(above / text)
            for file in (whole, f"{whole}{PurePosixPath(one).suffix}"):
                if file in folder.known and file not in seen:
                    seen.add(file)
                    todo.append(file)


def _mentioned(
    folder: Folder, stage: Stage, made: Mapping[str, tuple[str, str]]
) -> tuple[str, ...]:
    """Data, and outputs of other stages, that a command names but its stage does not declare."""
    own = {*stage.deps, *stage.outs}
    words = dict.fromkeys(one.removeprefix("./") for one in words_of(stage.command))
    return tuple(
        one for one in words
        if one not in own and (one in made or (one in folder.known and one.endswith(_DATA)))
    )  # fmt: skip


def server_of(folder: Folder, rule: Stage, stages: Sequence[Stage], model: str) -> DraftServer:
    """The model server that a rule starts. `model` is the output that is the pipeline's model."""
    of_model = [out for stage in stages for out, name in _named(stage.outs).items()
                if f"steps.{name_of(stage.name)}.{name}" == model]  # fmt: skip
    run, _ = filled(escaped(rule.command), dict.fromkeys(of_model, "{model}"))
    run = _PORT.sub("{port}", _HOST.sub("{host}", run))
    said = ["from Makefile"]
    if "{port}" not in run:
        said.append("TODO: it has to listen on {port}")
        run = f"env PORT={{port}} {run}"
    if "{model}" not in run:
        said.append("TODO: it has to load the model that MODEL names")
        run = f"env MODEL={{model}} {run}"
    reads, paths = _reads(folder, rule.command, ())
    env = {"PYTHONPATH": ":".join(paths)} if paths else {}
    return DraftServer(line(run, {}, {}), reads=reads, env=env, said=tuple(said))


def own_numbers(stages: Sequence[Stage]) -> tuple[str, ...]:
    """The outputs, such as `evaluate.scores`, that are JSON files of the team's own metrics."""
    return tuple(
        f"{name_of(stage.name)}.{name}"
        for stage in stages
        for out, name in _named(stage.outs).items()
        if out in stage.metrics and out.endswith(".json")
    )


def words_of(command: str) -> list[str]:
    """The words of a shell line."""
    try:
        return shlex.split(command)
    except ValueError:
        return command.split()


def scripts_in(folder: Folder, command: str) -> Iterator[str]:
    """The scripts of the folder that a command runs."""
    words = words_of(command)
    for before, one in zip(["", *words], words, strict=False):
        if before == "-m":
            stem = one.replace(".", "/")
            yield from (f for f in (f"{stem}.py", f"src/{stem}.py", f"{stem}/__main__.py")
                        if f in folder.known)  # fmt: skip
        elif one.removeprefix("./") in folder.known and one.lower().endswith(_CODE):
            yield one.removeprefix("./")
