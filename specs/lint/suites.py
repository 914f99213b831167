"""Lint of suites in the spec, and of the parameters that suites name."""

from collections.abc import Collection, Iterator
from dataclasses import replace

from specs.loading.load import LoadedSpec
from specs.loading.problems import Problem
from specs.loading.tree import YamlPath
from specs.model import Pipeline
from specs.suite_parameters import fault_of, words_in


def lint_suites(loaded: LoadedSpec, pipeline: Pipeline) -> Iterator[Problem]:
    """Modules that are none, and parameters of suites in the spec that cannot be filled."""
    names = loaded.names("params")
    for name, dataset in pipeline.datasets.items():
        module = dataset.custom_expectations
        if module is not None and not module.endswith(".py"):
            message = f"`{module}` is no Python module: name a file that ends in .py"
            yield loaded.problem("no-module", ("datasets", name, "custom_expectations"), message)
        suite = dataset.inline_suite
        if suite is None:
            continue
        known = {*names, *suite.get("suite_parameters", {})}
        path: YamlPath = ("datasets", name, "expectations")
        if not isinstance(dataset.expectations, tuple):
            path = (*path, "expectations")
        for place, each in enumerate(suite["expectations"]):
            for key, value in each.get("kwargs", {}).items():
                if fault := fault_of(value, known):
                    where = (*path, place, "kwargs", key)
                    yield loaded.problem(
                        "suite-parameter", where, fault.message, nearest=fault.nearest
                    )


def params_in_suites(pipeline: Pipeline) -> set[str]:
    """The parameters that suites in the spec may use."""
    suites = (dataset.inline_suite for dataset in pipeline.datasets.values())
    return {word for suite in suites if suite is not None for word in words_in(suite)}


def with_params_used(loaded: LoadedSpec, used: Collection[str]) -> LoadedSpec:
    """The spec without the warnings that nothing uses these parameters: files of suites do."""
    unused = {f"params.{name}" for name in used}
    kept = (one for one in loaded.problems if one.code != "unused" or one.path not in unused)
    return replace(loaded, problems=tuple(kept))
