"""PURE. Removes the parts of a draft that would not be valid."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from controller.cli.write.drafts.values import Data, Draft, DraftStep
from controller.cli.write.drafts.writing import spec_text
from specs.loading.problems import Problem


def valid_part(found: Draft, wrong: Callable[[str], Sequence[Problem]]) -> Draft:
    """The draft without its invalid parts, which it lists in `left_out` with the reasons. `wrong`
    returns the errors of a spec's text. An invalid part that is required stays."""
    while errors := wrong(spec_text(found)):
        lesser = next(filter(None, (_without(found, problem) for problem in errors)), None)
        if lesser is None:
            return found
        found = lesser
    return found


def _without(found: Draft, problem: Problem) -> Draft | None:
    """The draft without the part that has the problem, or None if that is required."""
    part, *names = problem.path.split(".")
    name = names[0] if names else ""
    lesser: Draft | None = None
    match part:
        case "release" if found.served is not None:
            lesser = replace(found, served=None)
        case "gates" if found.predictions or found.metrics:
            lesser = replace(found, predictions=None, judged=None, metrics=None)
        case "environment" if found.environment is not None:
            lesser = replace(found, environment=None)
        case "datasets" if name in found.data and found.data[name].expectations is not None:
            part = f"datasets.{name}.expectations"
            data = {**found.data, name: replace(found.data[name], expectations=None)}
            lesser = replace(found, data=data)
        case "steps" if name in found.steps:
            part = f"steps.{name}"
            lesser = _without_step(found, name)
    if lesser is None:
        return None
    why = " ".join(problem.message.split())
    return replace(lesser, left_out=(*found.left_out, f"{part} was left out because {why}"))


def _without_step(found: Draft, name: str) -> Draft | None:
    """The draft without a step and the steps that depend on it, or None if none would be left."""
    gone = {name}
    while more := {each for each, step in found.steps.items() if _reads(step, gone)} - gone:
        gone |= more
    steps = {each: step for each, step in found.steps.items() if each not in gone}
    if not steps:
        return None

    def kept(reference: str | None) -> str | None:
        return reference if reference and reference.split(".")[1] not in gone else None

    return replace(
        found,
        steps=steps,
        data=_used(found, steps),
        model=kept(found.model),
        predictions=kept(found.predictions),
        metrics=kept(found.metrics),
    )


def _reads(step: DraftStep, gone: set[str]) -> bool:
    return any(of.startswith("steps.") and of.split(".")[1] in gone for of in step.inputs.values())


def _used(found: Draft, steps: Mapping[str, DraftStep]) -> Mapping[str, Data]:
    used = {of for step in steps.values() for of in step.inputs.values()}
    return {name: data for name, data in found.data.items() if f"datasets.{name}" in used}
