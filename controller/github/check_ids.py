"""PURE. The external id by which Headgate identifies its check runs."""

from typing import NamedTuple
from urllib.parse import quote, unquote

from controller.reports.forge import CommitReport, Kind
from specs.digests import digest, short

_KINDS: tuple[Kind, ...] = ("policy", "untouched")


class Mark(NamedTuple):
    """`COMMIT/PIPELINE/RUN`. The pipeline may be followed by `@SCOPE`, percent-encoded since branch
    names may contain slashes, and is preceded by its kind and `:` unless that is `gates`. Pipeline
    names contain neither `@` nor `:`."""

    commit: str
    pipeline: str
    """Empty if the repository has none."""
    kind: Kind = "gates"
    scope: str = ""
    run: str = ""
    """Empty before there is one. A policy report has a digest of its content here instead, which
    tells it from earlier ones."""

    def __str__(self) -> str:
        return self.prefix + self.run

    @property
    def prefix(self) -> str:
        """The common prefix of all ids of the same commit, pipeline, kind and scope."""
        name = ("" if self.kind == "gates" else f"{self.kind}:") + self.pipeline
        return f"{self.commit}/{name}{'@' + quote(self.scope, safe='') if self.scope else ''}/"


def mark_of(report: CommitReport) -> Mark:
    """The mark of the check for a report."""
    run = report.run or ""
    if report.kind == "policy":
        run = short(digest([report.state, report.title, report.text, report.asks]))
    return Mark(report.commit, report.pipeline, report.kind, report.scope, run)


def parse(text: str) -> Mark:
    """The mark in an external id; any other text gives a mark that matches no report."""
    commit, _, rest = text.partition("/")
    name, _, run = rest.partition("/")
    name, _, scope = name.partition("@")
    for kind in _KINDS:
        if name.startswith(f"{kind}:"):
            return Mark(commit, name.removeprefix(f"{kind}:"), kind, unquote(scope), run)
    return Mark(commit, name, "gates", unquote(scope), run)
