"""PURE. A commit as the machines see it: its files, and the spec in a folder."""

from controller.machine.core import Value
from controller.machine.runs.graph import Source
from specs.model import Pipeline as Spec
from specs.problems import Problem


class Code(Value):
    """A commit as a pipeline sees it: its spec, or what is wrong with it."""

    source: Source
    name: str | None = None
    """What the pipeline is called: by its spec, or by its folder while that says nothing."""
    branches: tuple[str, ...] = ()
    """Globs of the branches that it watches beside the default one."""
    spec: Spec | None = None
    problems: str = ""
    """All problems, rendered as a compiler does."""
    problem_count: int = 0
    found: tuple[Problem, ...] = ()
    """The first of them, each with its line."""
