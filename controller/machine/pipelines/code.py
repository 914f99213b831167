"""PURE. A commit as the machines see it: its files, and one of its specs."""

from controller.machine.core import Value
from controller.machine.runs.graph import SourceTree
from specs.loading.problems import Problem
from specs.model import Pipeline as Spec


class Code(Value):
    """A commit as one pipeline sees it: its spec, or what is wrong with that."""

    source: SourceTree
    name: str | None = None
    """The pipeline's name: from its spec or, if that cannot be read, from its path."""
    branches: tuple[str, ...] = ()
    """Globs of the branches that it watches besides the default branch."""
    spec: Spec | None = None
    problems: str = ""
    """All problems, as text."""
    problem_count: int = 0
    found: tuple[Problem, ...] = ()
    """The first problems, each with its line."""
