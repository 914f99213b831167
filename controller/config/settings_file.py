"""Loads settings and secrets from `headgate.yaml` and the environment, with all problems."""

import re
import stat
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from controller.config.github_names import names_of
from controller.config.secrets import Secrets
from controller.config.settings import Settings
from controller.config.settings_lint import suspicious_settings
from specs.failures import NeedsHuman
from specs.loading.explain import explain, locate, nearest
from specs.loading.load import MOST_PROBLEMS, mapping
from specs.loading.problems import Problem, has_errors, in_order
from specs.loading.tree import Tree
from specs.names import VARIABLE_PATTERN
from specs.values import format_duration

PREFIX = "HEADGATE_"
SECRET = "HEADGATE_SECRET_"  # noqa: S105 - the beginning of a variable's name
OWN_VARIABLES = ("HEADGATE_SETTINGS", "HEADGATE_DEBUG")
"""Variables that are not settings: the path of the file, and whether errors show tracebacks."""


class LoadedSettings(NamedTuple):
    """The settings of the file and the environment; `settings` is None if there is an error."""

    file: str
    text: str
    settings: Settings | None
    problems: tuple[Problem, ...]


@cache
def variables() -> dict[str, tuple[str, ...]]:
    """The environment variables, each with the path of the setting that it overrides.

    The name is HEADGATE_ and the setting in capitals, with `_` for the dot. Lists and mappings can
    only be set in the file.
    """
    return {PREFIX + "_".join(path).upper(): path for path in _single(Settings, ())}


@cache
def settings_schema() -> dict[str, Any]:
    """The JSON Schema of headgate.yaml."""
    return Settings.model_json_schema(by_alias=True)


def load_settings(
    content: str | bytes, file: str, environ: Mapping[str, str] | None = None
) -> LoadedSettings:
    """Load settings; `environ` overrides the file. Problems are returned, not raised."""
    tree, problems = mapping(content, file, "a mapping with `repositories`")
    plain = tree.root.plain if tree.root is not None else None
    if not isinstance(plain, dict):
        return LoadedSettings(file, tree.text, None, in_order(problems))
    over = {
        variables()[name]: text for name, text in (environ or {}).items() if name in variables()
    }
    settings = None
    try:
        settings = Settings.model_validate(_merged(plain, over))
    except ValidationError as error:
        errors = error.errors(include_url=False)[:MOST_PROBLEMS]
        problems += [_of_variable(one) for one in errors if one["loc"] in over]
        theirs = [one for one in errors if one["loc"] not in over]
        problems += explain(theirs, tree, file, settings_schema())
    else:
        problems += _doubles(settings, tree, file)
        problems += _warnings(settings, tree, file)
    if has_errors(problems):
        settings = None
    return LoadedSettings(file, tree.text, settings, in_order(problems))


def unknown_variables(environ: Mapping[str, str]) -> Iterator[tuple[str, str | None]]:
    """Variables that look like settings but are not, each with the most similar one that is."""
    known = (*variables(), *OWN_VARIABLES)
    for name in sorted(environ):
        if name.startswith(PREFIX) and not name.startswith(SECRET) and name not in known:
            yield name, nearest(name, known)


def load_secrets(settings: Settings, base: Path, environ: Mapping[str, str]) -> Secrets:
    """The secrets of the secrets' file, overridden by HEADGATE_SECRET_NAME variables.

    Raises `NeedsHuman` for an unreadable file or a line that is not NAME=value.
    """
    values = _read_secrets(base / settings.secrets) if settings.secrets else {}
    return Secrets(values | given_secrets(environ))


def given_secrets(environ: Mapping[str, str]) -> dict[str, str]:
    """The values of HEADGATE_SECRET_NAME variables, by name."""
    return {
        name.removeprefix(SECRET): value
        for name, value in environ.items()
        if name.startswith(SECRET) and name != SECRET
    }


def exposed(path: Path) -> bool:
    """Whether users other than the owner have access to a file or folder."""
    return bool(path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO))


def _read_secrets(path: Path) -> dict[str, str]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise NeedsHuman(
            f"the file of secrets {path} cannot be read ({why}); fix it, or correct `secrets` in "
            "the settings"
        ) from None
    values = {}
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        name, equals, value = line.partition("=")
        name = name.strip()
        if not equals or not re.match(VARIABLE_PATTERN, name):
            # The line is not quoted, as it may contain a secret.
            raise NeedsHuman(f"{path}:{number}: expected NAME=value")
        values[name] = value.strip()
    return values


def _single(model: type[BaseModel], path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """The paths of all settings with a single value."""
    for name, field in model.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from _single(kind, (*path, name))
        elif not any(map(_is_many, (kind, *get_args(kind)))):
            yield (*path, name)


def _kind(path: tuple[str, ...]) -> object:
    model: Any = Settings
    for name in path:
        model = model.model_fields[name].annotation
    return model


def _is_many(kind: object) -> bool:
    is_model = isinstance(kind, type) and issubclass(kind, BaseModel)
    return is_model or getattr(kind, "__origin__", None) in (tuple, list, dict, Mapping)


def _merged(plain: Mapping[str, Any], over: Mapping[tuple[str, ...], str]) -> dict[str, Any]:
    """The document, overridden with the values of variables."""
    merged = dict(plain)
    for path, text in over.items():
        holder = merged
        for key in path[:-1]:
            inner = holder.get(key)
            holder[key] = dict(inner) if isinstance(inner, Mapping) else {}
            holder = holder[key]
        holder[path[-1]] = _value(text, frozenset(_types(_kind(path))))
    return merged


def _types(kind: object) -> Iterator[object]:
    """The types in unions and annotated types."""
    yield kind
    for part in get_args(kind):
        yield from _types(part)


def _value(text: str, kinds: Collection[object]) -> object:
    """The text as a number or a truth value, if it is one and the setting may be one."""
    if int in kinds and text.isascii() and text.isdigit():
        return int(text)
    if bool in kinds and text in ("true", "false"):
        return text == "true"
    return text


def _of_variable(error: ErrorDetails) -> Problem:
    name = PREFIX + "_".join(str(part) for part in error["loc"]).upper()
    expected = error["msg"].removeprefix("Value error, ").removeprefix("expected ")
    return Problem(
        "error",
        "wrong-value",
        f"wrong value for the environment variable {name}",
        "environment",
        path=".".join(str(part) for part in error["loc"]),
        found=_shown(error["input"]),
        expected=expected.removeprefix("Input should be "),
    )


def _shown(value: object) -> str:
    return f"'{format_duration(value)}'" if isinstance(value, timedelta) else repr(value)[:60]


def _doubles(settings: Settings, tree: Tree, file: str) -> Iterable[Problem]:
    names = Counter(repository.name for repository in settings.repositories)
    for place, repository in enumerate(settings.repositories):
        if names[repository.name] > 1:
            path = ("repositories", place, "name")
            message = f"two repositories are named `{repository.name}`"
            yield Problem("error", "duplicate", message, file, *locate(tree, path))


def _warnings(settings: Settings, tree: Tree, file: str) -> Iterable[Problem]:
    for warning in suspicious_settings(settings, names_of(settings)):
        place = locate(tree, warning.path)
        path = ".".join(map(str, warning.path))
        yield Problem(
            "warning", warning.code, warning.message, file, *place, path=path, expected=warning.fix
        )
