"""PURE. A commit as the machines see it: its files, and a spec of it."""

from controller.machine.core import Value
from controller.machine.runs.graph import SourceTree
from specs.loading.problems import Problem
from specs.model import SPEC_FILE, is_spec_file
from specs.model import Pipeline as Spec


def spec_at(place: str) -> str:
    """The path of the spec that a state names. One of a controller that knew one spec of a folder
    has the folder."""
    if is_spec_file(place.rpartition("/")[2]):
        return place
    return f"{place}/{SPEC_FILE}" if place else SPEC_FILE


class Code(Value):
    """A commit as a pipeline sees it: its spec, or what is wrong with it."""

    source: SourceTree
    name: str | None = None
    """What the pipeline is called: by its spec, or after its place while that says nothing."""
    branches: tuple[str, ...] = ()
    """Globs of the branches that it watches beside the default one."""
    spec: Spec | None = None
    problems: str = ""
    """All problems, rendered as a compiler does."""
    problem_count: int = 0
    found: tuple[Problem, ...] = ()
    """The first of them, each with its line."""
