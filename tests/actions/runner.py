"""Runs a composite action as a runner of GitHub does, as far as such actions go that only have
shell steps. Whatever it does not know is an error, so that it never passes what GitHub refuses.

https://docs.github.com/actions/reference/metadata-syntax-for-github-actions
https://docs.github.com/actions/reference/workflow-commands-for-github-actions
"""

import os
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from ruamel.yaml import YAML

LARGEST_SUMMARY = 1024 * 1024
SHELL = ("bash", "--noprofile", "--norc", "-e", "-o", "pipefail")
_ACTION = {"name", "description", "inputs", "outputs", "runs"}
_INPUT = {"description", "required", "default"}
_STEP = {"name", "id", "shell", "env", "run"}
_EXPRESSION = re.compile(r"\$\{\{(.*?)\}\}")
_COMMAND = re.compile(r"::([a-z-]+|[0-9a-f-]{32,})(?: ([^:]*))?::(.*)")


@dataclass
class Annotation:
    """What GitHub shows beside a line."""

    level: str
    message: str
    properties: dict[str, str]


@dataclass
class Job:
    """What a job with the action as its only step came to."""

    passed: bool = True
    ran: list[str] = field(default_factory=list)
    log: str = ""
    summary: str = ""
    annotations: list[Annotation] = field(default_factory=list)
    outputs: dict[str, str] = field(default_factory=dict)


def read(action: Path) -> dict[str, Any]:
    """An action's metadata, held to the documented keys and to no expression in a script."""
    found: dict[str, Any] = YAML(typ="safe").load(action)
    _only(found, _ACTION, "the action")
    assert {"name", "description", "runs"} <= found.keys()
    for name, given in found.get("inputs", {}).items():
        _only(given, _INPUT, name)
        assert given.get("required") or isinstance(given["default"], str)
    for name, given in found.get("outputs", {}).items():
        _only(given, {"description", "value"}, name)
    runs = found["runs"]
    _only(runs, {"using", "steps"}, "runs")
    assert runs["using"] == "composite"
    for step in runs["steps"]:
        _only(step, _STEP, "a step")
        assert {"shell", "run"} <= step.keys()
        assert step["shell"] == "bash"
        assert "${{" not in step["run"], "a value from outside would become part of a script"
    return found


def run(
    action: Path,
    workspace: Path,
    temp: Path,
    *,
    given: Mapping[str, str],
    event: Mapping[str, Any],
    environ: Mapping[str, str],
) -> Job:
    """Run the action in a checked out repository."""
    metadata = read(action)
    assert given.keys() <= metadata["inputs"].keys()
    inputs = {name: one["default"] for name, one in metadata["inputs"].items()} | dict(given)
    context: dict[str, Any] = {"inputs": inputs, "github": {"event": event}, "steps": {}}
    job = Job()
    temp.mkdir()
    for number, step in enumerate(metadata["runs"]["steps"]):
        outputs = _step(step, number, action, workspace, temp, context, environ, job)
        if "id" in step:
            context["steps"][step["id"]] = {"outputs": outputs}
        if not job.passed:
            break
    job.outputs = {
        name: evaluate(one["value"], context) for name, one in metadata["outputs"].items()
    }
    return job


def _step(
    step: Mapping[str, Any],
    number: int,
    action: Path,
    workspace: Path,
    temp: Path,
    context: Mapping[str, Any],
    environ: Mapping[str, str],
    job: Job,
) -> dict[str, str]:
    script = temp / f"{number}.sh"
    script.write_text(step["run"])
    files = {name: temp / f"{number}.{name}" for name in ("output", "step_summary", "env", "path")}
    for file in files.values():
        file.touch()
    done = subprocess.run(
        [*SHELL, str(script)],
        cwd=workspace,
        env={
            **environ,
            **{f"GITHUB_{name.upper()}": str(file) for name, file in files.items()},
            "CI": "true",
            "GITHUB_ACTIONS": "true",
            "GITHUB_ACTION_PATH": str(action.parent),
            "GITHUB_WORKSPACE": str(workspace),
            "RUNNER_TEMP": str(temp),
            **{name: evaluate(value, context) for name, value in step.get("env", {}).items()},
        },
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    summary = files["step_summary"].read_text()
    assert len(summary.encode()) <= LARGEST_SUMMARY
    assert not files["env"].read_text()
    assert not files["path"].read_text()
    job.ran.append(step["name"])
    job.log += done.stdout
    job.summary += summary
    job.annotations += annotations(done.stdout)
    job.passed = done.returncode == 0
    return dict(line.split("=", 1) for line in files["output"].read_text().splitlines())


def evaluate(text: str, context: Mapping[str, Any]) -> str:
    """A text with its expressions: names joined by `.`, and alternatives joined by `||`."""
    return _EXPRESSION.sub(lambda found: _expression(found[1], context), text)


def _expression(text: str, context: Mapping[str, Any]) -> str:
    for name in text.split("||"):
        value: Any = context
        assert re.fullmatch(r" *(inputs|steps|github\.event)(\.[a-z_][a-z_-]*)+ *", name), name
        for part in name.strip().split("."):
            value = value.get(part) if isinstance(value, Mapping) else None
        if value:
            assert isinstance(value, str)
            return value
    return ""


def annotations(log: str) -> list[Annotation]:
    """What a step's log asks to be shown, while commands are obeyed."""
    found, stopped = [], None
    for line in log.splitlines():
        command = _COMMAND.fullmatch(line.strip())
        if command is None or (stopped is not None and command[1] != stopped):
            continue
        if stopped is not None:
            stopped = None
        elif command[1] == "stop-commands":
            stopped = command[3]
        else:
            assert command[1] in ("error", "warning", "notice"), line
            pairs = (pair.split("=", 1) for pair in (command[2] or "").split(",") if pair)
            named = {name: unquote(value) for name, value in pairs}
            found.append(Annotation(command[1], unquote(command[3]), named))
    assert stopped is None, "no command after this step would be obeyed"
    for level in ("error", "warning"):
        assert sum(one.level == level for one in found) <= 10, "GitHub would leave some out"
    return found


def _only(given: Mapping[str, Any], known: set[str], what: str) -> None:
    assert given.keys() <= known, f"{what} has {given.keys() - known}"


def environment() -> dict[str, str]:
    """Of this process's variables those that a runner's job has, too."""
    kept = ("PATH", "HOME", "LANG", "PYTHONPATH", "GIT_CONFIG_GLOBAL")
    return {name: os.environ[name] for name in kept if name in os.environ}
