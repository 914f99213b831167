"""PURE. What a check run is known by: the external id that Headgate gives it."""

from typing import NamedTuple
from urllib.parse import quote, unquote

from controller.reports.protocol import CommitReport, Kind
from specs.digests import digest, short

_POLICY = "policy:"


class Mark(NamedTuple):
    """`COMMIT/PIPELINE/RUN`; the pipeline is followed by `@SCOPE`, percent-encoded as a branch may
    have slashes in its name, and preceded by `policy:` where the check is of the rules. No
    pipeline has either sign in its name."""

    commit: str
    pipeline: str
    """Empty where the repository has none."""
    kind: Kind = "gates"
    scope: str = ""
    run: str = ""
    """Empty before there is one. What is said of the rules has a digest of it here instead, so that
    it is not taken for something that was said before."""

    def __str__(self) -> str:
        return self.prefix + self.run

    @property
    def prefix(self) -> str:
        """What the ids begin with that are of the same commit, pipeline, kind and scope."""
        name = (_POLICY if self.kind == "policy" else "") + self.pipeline
        return f"{self.commit}/{name}{'@' + quote(self.scope, safe='') if self.scope else ''}/"


def mark_of(report: CommitReport) -> Mark:
    """What the check of a report is known by."""
    run = report.run or ""
    if report.kind == "policy":
        run = short(digest([report.state, report.title, report.text, report.asks]))
    return Mark(report.commit, report.pipeline, report.kind, report.scope, run)


def parse(text: str) -> Mark:
    """The mark that an external id is; of any other text something that fits nothing."""
    commit, _, rest = text.partition("/")
    name, _, run = rest.partition("/")
    name, _, scope = name.partition("@")
    pipeline = name.removeprefix(_POLICY)
    return Mark(commit, pipeline, "gates" if pipeline == name else "policy", unquote(scope), run)
