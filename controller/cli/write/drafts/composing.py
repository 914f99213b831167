"""PURE. Composes the draft of a spec from what was found in the files of a folder."""

import ast
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Final

from controller.cli.write.drafts.detection import data_of, environment_of
from controller.cli.write.drafts.imports import reads_of
from controller.cli.write.drafts.judging import judged
from controller.cli.write.drafts.notebooks import read_notebook
from controller.cli.write.drafts.samples import Sample, label_of
from controller.cli.write.drafts.scripts import parsed, read_scripts
from controller.cli.write.drafts.stage_steps import of_stages, own_numbers, scripts_in, server_of
from controller.cli.write.drafts.stages import of_dvc, of_makefile, of_mlproject
from controller.cli.write.drafts.steps import Around, of_script, of_server
from controller.cli.write.drafts.values import (
    Data,
    Draft,
    DraftGate,
    DraftServer,
    DraftStep,
    Folder,
    Role,
    Script,
    Stage,
)
from specs.base import Scalar
from specs.names import is_pipeline_name, slug

_ROLES: Final[Mapping[Role, tuple[str, ...]]] = {
    "train": ("train", "training", "trainer", "fit"),
    "evaluate": ("evaluate", "eval", "evaluation", "predict", "test_model", "validate"),
    "serve": ("serve", "server", "serving", "app", "api", "main"),
    "prepare": ("prepare", "preprocess", "preprocessing", "prep", "featurize", "extract", "ingest",
                "download", "clean", "transform", "split", "make_dataset"),
}  # fmt: skip
"""The names of scripts for each role, the likeliest first."""
_MOST_NUMBERS = 3
_SERVES = ("serve", "server", "serving", "api")
_NO_STEPS = (
    *_SERVES,
    "test",
    "tests",
    "check",
    "lint",
    "format",
    "clean",
    "install",
    "docs",
    "help",
)
"""Makefile rules that are not steps."""
_APART = ("tests/", "test/", "docs/", "setup.py", "conftest.py", "noxfile.py")


def draft(folder: Folder, name: str | None, sample: Callable[[Data], Sample]) -> Draft:
    """Draft a spec for `folder`. `sample` reads the first rows of its data."""
    scripts = [script for path in folder.files
               if path.endswith(".py") and not path.startswith(_APART)
               for script in read_scripts(path, folder.read(path) or "")]  # fmt: skip
    by_role = _by_role(folder, scripts)
    source, stages = _stages(folder, by_role)
    if stages:
        steps, data = of_stages(folder, stages, source)
        params = {key: value for stage in stages for key, value in stage.params.items()}
        by_role = by_role | _of_stages(folder, stages, scripts)
    else:
        steps, data, params = _of_scripts(folder, by_role, sample)
    environment, said = environment_of(folder)
    predictions = _output(steps, "pred", ("evaluate", "eval", "test", "predict"))
    evaluate = by_role.get("evaluate")
    gate: DraftGate | None = None
    if predictions is not None:
        first = next(iter(data.values()), Data(None))
        gate = judged(
            evaluate or Script(""),
            [by_role[role] for role in ("train", "evaluate") if role in by_role],
            sample(first),
            _constants(folder, evaluate),
        )
    server = by_role.get("serve")
    train = by_role.get("train")
    metrics = _own_numbers(steps, own_numbers(stages))
    model = _output(steps, "model", ("train", "training", "fit", "main"))
    return Draft(
        name=name if name and is_pipeline_name(name) else slug(name or folder.name),
        data=data,
        environment=environment,
        environment_said=said,
        params=params,
        steps=steps,
        model=model,
        predictions=predictions,
        judged=gate,
        metrics=metrics if predictions is None else None,
        numbers=_numbers(folder, stages, evaluate)[:_MOST_NUMBERS],
        served=of_server(folder, server) if server else _by_make(folder, stages, model),
        missing=() if train is None or train.path in folder.known else (train.path,),
    )


def _by_role(folder: Folder, scripts: Sequence[Script]) -> dict[Role, Script]:
    found: dict[Role, Script] = {}
    for role, names in _ROLES.items():
        fitting = [script for name in names for script in scripts
                   if _fits(script, name, role) and script not in found.values()]  # fmt: skip
        if fitting:
            found[role] = fitting[0]
    if "train" not in found:
        book = next((path for path in folder.files if path.endswith(".ipynb")), None)
        script = read_notebook(book, folder.read(book) or "") if book else None
        if script is not None:
            found["train"] = script
    return found


def _fits(script: Script, name: str, role: Role) -> bool:
    stem = (script.subcommand or PurePosixPath(script.path).stem).lower()
    if stem != name and name not in re.split(r"[_\W]+", stem):
        return False
    if name in ("main", "api", "app") and role == "serve":  # too general a name by itself
        return script.app is not None or "HTTPServer" in " ".join(script.calls) or name == "app"
    if role == "prepare":
        return bool(script.options) or bool(script.writes)
    return True


def _stages(folder: Folder, by_role: Mapping[Role, Script]) -> tuple[str, tuple[Stage, ...]]:
    """The stages in the team's own build files, where they say more than the scripts."""
    dvc = of_dvc(folder.read("dvc.yaml") or "", folder.read("params.yaml"))
    if dvc:
        return "dvc.yaml", dvc
    project = of_mlproject(folder.read("MLproject") or "")
    if project:
        return "MLproject", project
    train = by_role.get("train")
    rules = of_makefile(folder.read("Makefile") or "")
    trains = [rule for rule in rules
              if train is None or train.path in scripts_in(folder, rule.command)]  # fmt: skip
    if trains and not (train and train.options):
        made = {out for rule in rules for out in rule.outs}
        used = [rule for rule in rules if any(True for _ in scripts_in(folder, rule.command))
                or made & set(rule.deps)]  # fmt: skip
        serve = by_role.get("serve")
        return "Makefile", tuple(
            rule for rule in used
            if (rule.outs or rule.name.lower() not in _NO_STEPS)
            and (serve is None or serve.path not in scripts_in(folder, rule.command))
        )  # fmt: skip
    return "", ()


def _by_make(folder: Folder, stages: Sequence[Stage], model: str | None) -> DraftServer | None:
    """The server that a Makefile rule like `serve` starts, in any language."""
    for rule in of_makefile(folder.read("Makefile") or ""):
        if rule.name.lower() in _SERVES and not rule.outs and model is not None:
            return server_of(folder, rule, stages, model)
    return None


def _of_stages(
    folder: Folder, stages: Iterable[Stage], scripts: Sequence[Script]
) -> dict[Role, Script]:
    """The scripts that stages run, by role, which the name of the stage tells."""
    by_path = {script.path: script for script in scripts}
    found: dict[Role, Script] = {}
    for role in ("train", "evaluate"):
        for stage in stages:
            names = (*_ROLES[role], *(("main",) if role == "train" else ()))
            if any(name in re.split(r"[_\W]+", stage.name.lower()) for name in names):
                for path in scripts_in(folder, stage.command):
                    if path in by_path:
                        found.setdefault(role, by_path[path])
    return found


def _of_scripts(
    folder: Folder, by_role: dict[Role, Script], sample: Callable[[Data], Sample]
) -> tuple[dict[str, DraftStep], dict[str, Data], dict[str, Scalar]]:
    train = by_role.setdefault("train", Script("train.py"))
    data = data_of(folder)
    known = folder.beside.datasets if folder.beside is not None else {}
    called = next(iter(known), "data")
    said = [label for script in by_role.values() for label in script.labels]
    around = Around(f"datasets.{called}", data, label_of(sample(data), said))
    steps: dict[str, DraftStep] = {}
    params: dict[str, Scalar] = {}
    if "prepare" in by_role:
        step, own = of_script(folder, by_role["prepare"], "prepare", around)
        if step.inputs and step.outputs:  # otherwise it is not between the data and the model
            steps["prepare"], params = step, params | own
            around = replace(around, data=f"steps.prepare.{next(iter(step.outputs))}")
    step, own = of_script(folder, train, "train", around)
    steps["train"] = step
    params |= own
    if "evaluate" in by_role:
        model = next((name for name in step.outputs if name == "model"), next(iter(step.outputs)))
        around = replace(around, model=f"steps.train.{model}")
        steps["evaluate"], own = of_script(folder, by_role["evaluate"], "evaluate", around)
        params |= own
    return steps, {called: data}, params


def _output(steps: Mapping[str, DraftStep], kind: str, likely: Sequence[str]) -> str | None:
    """The output whose name or file contains `kind`, preferably of a step with a likely name."""
    order = sorted(
        steps, key=lambda n: not any(name in re.split(r"[_\W]+", n.lower()) for name in likely)
    )
    for step in order:
        for name, file in steps[step].outputs.items():
            if kind in name.lower() or kind in file.lower():
                return f"steps.{step}.{name}"
    if kind != "model" or not order:
        return None
    outputs = [name for name in steps[order[0]].outputs if name not in ("metrics", "notebook")]
    return f"steps.{order[0]}.{outputs[0]}" if outputs else None


def _own_numbers(steps: Mapping[str, DraftStep], said: Sequence[str]) -> str | None:
    """The JSON file of metrics that a step after training writes. `said` are the outputs that
    stages declare as metrics."""
    for step, made in reversed(list(steps.items())):
        for name, file in made.outputs.items():
            is_one = f"{step}.{name}" in said or ("metric" in name and file.endswith(".json"))
            if is_one and step != "train":
                return f"steps.{step}.{name}"
    return None


def _numbers(folder: Folder, stages: Sequence[Stage], evaluate: Script | None) -> tuple[str, ...]:
    """The names of the team's own metrics: from an existing metrics file, else from its script."""
    for path in (path for stage in stages for path in stage.metrics):
        try:
            there = _named_numbers(json.loads(folder.read(path) or ""))
        except (ValueError, RecursionError):
            continue
        if there:
            return tuple(there)
    return evaluate.numbers if evaluate is not None else ()


def _named_numbers(value: object, before: str = "") -> list[str]:
    """The paths of the numbers in a JSON value: `{"a": {"b": 1}}` has `a.b`."""
    found: list[str] = []
    for key, each in value.items() if isinstance(value, dict) else ():
        if isinstance(each, dict):
            found += _named_numbers(each, f"{before}{key}.")
        elif isinstance(each, (int, float)) and not isinstance(each, bool):
            found.append(f"{before}{key}")
    return found


def _constants(folder: Folder, script: Script | None) -> dict[str, str]:
    """The string constants in a script and its modules, by name: `KEY = "flight_id"`."""
    if script is None:
        return {}
    found: dict[str, str] = {}
    reads, _ = reads_of(folder, script.path)
    for path in reads or ():
        tree = parsed(folder.read(path) or "") if path.endswith(".py") else None
        for node in tree.body if tree else ():
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                value = node.value
                if isinstance(value, ast.Constant) and isinstance(value.value, str):
                    found[node.targets[0].id] = value.value
    return found
