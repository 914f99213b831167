"""PURE. Reads stages from existing build files: dvc.yaml, MLproject and Makefile."""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Final

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from controller.cli.write.drafts.values import Stage
from specs.base import Scalar

_VARIABLE: Final = re.compile(r"\$[({]([A-Za-z_][\w.-]*)[)}]")
_ASSIGNED: Final = re.compile(r"^([A-Za-z_]\w*)\s*[:?]?=\s*(.*)$")
_RULE: Final = re.compile(r"^([\w./%-]+(?:\s+[\w./%-]+)*)\s*::?\s*(?!=)([^=]*)$")
_PROGRAM: Final = re.compile(r"\b(python[\d.]*|Rscript|julia|node|deno|papermill)\s")
_COMPILER: Final = re.compile(
    r"(?<![\w./-])(cc|c\+\+|gcc|g\+\+|clang(\+\+)?|rustc|go build|javac)\s"
)


def _yaml(text: str) -> Mapping[str, Any]:
    try:
        found = YAML(typ="safe").load(text)
    except (YAMLError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _sequence(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


# -- DVC -------------------------------------------------------------------------------------


def of_dvc(text: str, params: str | None = None) -> tuple[Stage, ...]:
    """The stages of a dvc.yaml, in order; `params` is the text of params.yaml."""
    values = _flat(_yaml(params or ""))
    found = _yaml(text)
    for each in _sequence(found.get("vars")):
        values |= _flat(_mapping(each))
    return tuple(
        stage
        for name, body in _mapping(found.get("stages")).items()
        for stage in _dvc_stage(str(name), _mapping(body), values, _paths(found.get("metrics")))
    )


def _dvc_stage(
    name: str, body: Mapping[str, Any], values: Mapping[str, Scalar], shared: Sequence[str]
) -> Iterator[Stage]:
    """`shared` are the metrics that the file declares for all its stages."""
    unknown = None
    if "foreach" in body or "matrix" in body:
        unknown = "it stands for several stages (foreach or matrix): write one step for each"
        body = _mapping(body.get("do")) or body
    cmd = body.get("cmd")
    lines = [str(line) for line in cmd] if isinstance(cmd, list) else [str(cmd or "TODO")]
    command = " && ".join(lines)
    where = body.get("wdir")
    if where not in (None, "."):
        unknown = f"it runs in {where} (wdir): a step runs in the spec's folder"
    outs = [path for key in ("outs", "metrics", "plots") for path in _paths(body.get(key))]
    metrics = [*_paths(body.get("metrics")), *(path for path in outs if path in shared)]
    command = _filled(command, values)
    left = _VARIABLE.search(command)
    if left and unknown is None:
        unknown = f"the value of {left[0]} was not found in any file"
    deps = [*_paths(body.get("deps")), *_param_files(body.get("params"))]
    yield Stage(
        name,
        command,
        deps=tuple(_filled(path, values) for path in deps),
        outs=tuple(dict.fromkeys(_filled(path, values) for path in outs)),
        metrics=tuple(dict.fromkeys(_filled(path, values) for path in metrics)),
        unknown=unknown,
    )


def _paths(value: object) -> list[str]:
    """The paths `[a, b]` in `[a, {b: {cache: false}}]`."""
    found: list[str] = []
    for each in _sequence(value):
        found += [each] if isinstance(each, str) else [str(key) for key in _mapping(each)]
    return [path.removeprefix("./").rstrip("/") for path in found]


def _param_files(value: object) -> list[str]:
    """The files with a stage's parameters, which the script reads itself."""
    found = []
    for each in _sequence(value):
        found += ["params.yaml"] if isinstance(each, str) else [str(key) for key in _mapping(each)]
    return list(dict.fromkeys(found))


def _flat(value: Mapping[str, Any], prefix: str = "") -> dict[str, Scalar]:
    found: dict[str, Scalar] = {}
    for key, each in value.items():
        if isinstance(each, dict):
            found |= _flat(each, f"{prefix}{key}.")
        elif isinstance(each, (str, int, float, bool)):
            found[f"{prefix}{key}"] = each
    return found


def _filled(text: str, values: Mapping[str, Scalar]) -> str:
    return _VARIABLE.sub(lambda found: str(values.get(found[1], found[0])), text)


# -- MLflow ----------------------------------------------------------------------------------


def of_mlproject(text: str) -> tuple[Stage, ...]:
    """The entry points of an MLproject file. A parameter stays `{name}` in the command."""
    found = _yaml(text)
    return tuple(
        _entry_point(str(name), _mapping(body))
        for name, body in _mapping(found.get("entry_points")).items()
    )


def _entry_point(name: str, body: Mapping[str, Any]) -> Stage:
    params: dict[str, Scalar] = {}
    deps: list[str] = []
    command = str(body.get("command") or "TODO")
    for key, said in _mapping(body.get("parameters")).items():
        about = _mapping(said)
        default = about.get("default")
        name_in_spec = re.sub(r"\W", "_", str(key))
        if name_in_spec != key:
            command = command.replace(f"{{{key}}}", f"{{{name_in_spec}}}")
            key = name_in_spec  # noqa: PLW2901
        if about.get("type") in ("path", "uri"):
            path = str(default) if isinstance(default, str) else str(key)
            deps.append(path)
            command = command.replace(f"{{{key}}}", path)
        elif isinstance(default, (bool, int, float, str)):
            params[str(key)] = default
        else:
            params[str(key)] = "TODO"
    return Stage(name, " ".join(command.split()), deps=tuple(deps), params=params)


# -- make ------------------------------------------------------------------------------------


def of_makefile(text: str) -> tuple[Stage, ...]:
    """The rules whose recipe runs a program or a compiler, in order."""
    variables: dict[str, Scalar] = {}
    phony: set[str] = set()
    rules: dict[str, tuple[list[str], list[str]]] = {}
    recipe: list[str] | None = None
    for line in text.replace("\\\n", " ").splitlines():
        if line.startswith("\t"):
            if recipe is not None:
                recipe.append(line.strip().lstrip("@-+").strip())
            continue
        bare = line.partition("#")[0].rstrip()
        if assigned := _ASSIGNED.match(bare):
            variables[assigned[1]] = assigned[2].strip()
        elif rule := _RULE.match(_expanded(bare, variables)):
            needs, recipe = rule[2].partition(";")[0].partition("|")[0].split(), []
            if rule[1] == ".PHONY":
                phony |= set(needs)
            else:
                rules[rule[1].split()[0]] = (needs, recipe)
    recipes = {target: [_expanded(one, variables) for one in lines]
               for target, (_, lines) in rules.items()}  # fmt: skip
    files = {target for target, lines in recipes.items() if _is_file(target, lines, phony)}
    return tuple(
        stage
        for target, (needs, _) in rules.items()
        for stage in _rule(target, needs, recipes[target], files)
    )


def _expanded(text: str, variables: Mapping[str, Scalar]) -> str:
    for _ in range(5):  # variables of variables
        text = _filled(text, variables)
    return text


def _is_file(target: str, lines: Sequence[str], phony: Collection[str]) -> bool:
    """Whether a rule makes a file of its name. A compiled program has no suffix."""
    compiled = any(_COMPILER.search(line) and f"-o {target}" in line.replace("$@", target)
                   for line in lines)  # fmt: skip
    return target not in phony and ("/" in target or "." in target or compiled)


def _rule(
    target: str, needs: list[str], lines: list[str], files: Collection[str]
) -> Iterator[Stage]:
    """The stage of a rule. `files` are the targets that are files."""
    own = [f"./{file}" for file in files]
    commands = [line for line in lines if _PROGRAM.search(f"{line} ") or _COMPILER.search(line)
                or line.startswith(tuple(own))]  # fmt: skip
    if not commands or "%" in target:
        return
    is_file = target in files
    deps = [need for need in needs if "/" in need or "." in need or need in files]
    command = " && ".join(commands).replace("$@", target)
    command = command.replace("$<", deps[0] if deps else "").replace("$^", " ".join(deps))
    name = target.rpartition("/")[2].partition(".")[0] if is_file else target
    yield Stage(
        name,
        command,
        deps=tuple(deps),
        outs=(target,) if is_file else (),
        unknown="it still contains a make variable" if "$(" in command else None,
    )
