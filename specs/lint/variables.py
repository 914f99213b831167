"""Lint of placeholders in environment variables."""

from collections.abc import Iterator, Mapping

from specs.loading.explain import shown
from specs.loading.load import LoadedSpec
from specs.loading.problems import Problem
from specs.loading.tree import YamlPath
from specs.references import (
    Placeholder,
    TemplateError,
    is_literal,
    parse_value,
    placeholders_of,
)


def lint_env(loaded: LoadedSpec, path: YamlPath, env: Mapping[str, str]) -> Iterator[Problem]:
    """Values at `path` that cannot be filled in; values that are clearly not templates, such as
    JSON, are fine."""
    for name, value in env.items():
        here = (*path, name)
        try:
            parse_value(value)
        except TemplateError as error:
            if not is_literal(value):
                yield loaded.problem("env", here, f"`{shown(here)}`: {error}")


def in_env(
    path: YamlPath, env: Mapping[str, str]
) -> Iterator[tuple[YamlPath, tuple[Placeholder, ...]]]:
    """The placeholders of each variable, with the variable's place."""
    for name, value in env.items():
        yield (*path, name), placeholders_of({name: value})
