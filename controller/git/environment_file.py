"""The text of the files on the environments branch, which people read and edit.

One file per environment and pipeline: its YAML, and the message of a commit that changes it.
`machine/environments/file.py` has its model; `environments.py` reads and writes the branch.
"""

import io
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import JsonValue, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.tokens import (
    AliasToken,
    BlockEndToken,
    BlockMappingStartToken,
    BlockSequenceStartToken,
    FlowMappingEndToken,
    FlowMappingStartToken,
    FlowSequenceEndToken,
    FlowSequenceStartToken,
)

from controller.machine.environments.file import EnvironmentFile
from specs.digests import short
from specs.figures import rounded
from specs.loading.problems import Problem

ACTION, PIPELINE, ENVIRONMENT, RUN = (
    "Headgate-Action",
    "Headgate-Pipeline",
    "Headgate-Environment",
    "Headgate-Run",
)
"""The trailers of Headgate's own commits."""
PROPOSAL = "Headgate-Proposal"
"""The trailer, instead of `ACTION`, of a commit that Headgate proposes. Once merged, the commit
counts as a person's."""

MAX_FILE = 2**18
"""Size in bytes up to which a file is parsed, as anybody with access to the branch may push one."""

_DEEPEST = 20
_OPENING = (
    BlockMappingStartToken, BlockSequenceStartToken, FlowMappingStartToken, FlowSequenceStartToken,
)  # fmt: skip
_CLOSING = (BlockEndToken, FlowMappingEndToken, FlowSequenceEndToken)
_EVIDENCE = ("signal", "verdict", "value", "limit", "baseline", "n")
_HEADER = """\
# What {environment} runs for {pipeline}. Headgate writes this file, and so may you: commit and
# push to this branch, and Headgate brings the environment there.
#   - To go back, `git revert` the commit that brought the present version.
#   - To choose a version, write the `model` of an earlier commit here (see git log -p).
#   - To keep what runs, whatever passes its gates, set `pinned: true`.
#   - To release nothing any more, set `model: null`.
#   - To let a quarantined version be released again, take it off the list.
# A version that is unknown, quarantined or did not pass its gates is refused with the reason.
"""


class Invalid(Exception):  # noqa: N818 - describes the file
    """A file on the branch is invalid; `problems` says why."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__(
            "; ".join(f"{one.file}:{one.line}: {one.path}: {one.message}" for one in problems)
        )
        self.problems = tuple(problems)


def to_yaml(file: EnvironmentFile) -> str:
    """The canonical text: keys always in the same order, so that diffs show only changes."""
    writer = YAML(typ="safe", pure=True)
    writer.default_flow_style = False
    writer.sort_base_mapping_type_on_output = False  # type: ignore[assignment]  # typed as None
    writer.width = 100
    writer.indent(mapping=2, sequence=4, offset=2)
    out = io.StringIO()
    out.write(_HEADER.format(environment=file.environment, pipeline=file.pipeline))
    writer.dump(file.model_dump(mode="json", by_alias=True), out)
    return out.getvalue()


def parse(text: bytes | str, path: str) -> EnvironmentFile:
    """Parse a file that people may have edited. Raises `Invalid` with every problem found."""
    if len(text) > MAX_FILE:
        raise Invalid([_problem(path, "too-large", f"the file is larger than {MAX_FILE:,} bytes")])
    # The round-trip loader creates no arbitrary objects, and keeps line numbers.
    reader = YAML(typ="rt", pure=True)
    try:
        source = text.decode("utf-8") if isinstance(text, bytes) else text
        _refuse_hostile(source, path)
        found = reader.load(source)
    except UnicodeDecodeError:
        raise Invalid([_problem(path, "encoding", "the file is not UTF-8 text")]) from None
    except MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        said = str(error.problem or "this is not valid YAML")
        raise Invalid([_problem(path, "syntax", said, line=line)]) from None
    except (YAMLError, ValueError, RecursionError):
        raise Invalid([_problem(path, "syntax", "this is not valid YAML")]) from None
    try:
        file = EnvironmentFile.model_validate(_plain(found))
    except ValidationError as error:
        raise Invalid(
            [
                _problem(path, one["type"].replace("_", "-"), one["msg"], one["loc"], found)
                for one in error.errors(include_url=False)
            ]
        ) from None
    if file.path != path:
        message = f"the content belongs to {file.path}: correct `environment` and `pipeline`"
        raise Invalid([_problem(path, "misplaced", message)])
    return file


def message_of(
    file: EnvironmentFile,
    subject: str,
    action_id: str,
    run: str | None = None,
    *,
    mark: str = ACTION,
) -> str:
    """A commit message: the subject, what runs and on which evidence, and the trailers.

    `subject` is text such as `promote v3 to production`, without the pipeline's name, which is
    added. `mark` is the name of the trailer with `action_id`.
    """
    lines = [f"{file.pipeline}: {' '.join(subject.split())}", ""]
    if file.changed:
        lines += [file.changed.reason, ""]
    if file.model:
        lines.append(f"Runs v{file.model.version} ({short(file.model.digest)})")
        lines.append(f"  of commit {file.model.commit[:10]}, run {file.model.run}")
        lines += [f"  on {name} {short(one)}" for name, one in file.model.datasets.items()]
    else:
        lines.append("Runs nothing.")
    if file.verdicts:
        lines += ["", "Gates"]
        lines += [f"  {gate}: {verdict}" for gate, verdict in file.verdicts.items()]
    if file.evidence:
        lines += ["", "Evidence"] + [f"  {_evidence_line(entry)}" for entry in file.evidence]
    run = run or (file.model.run if file.model else None)
    trailers = {mark: action_id, PIPELINE: file.pipeline, ENVIRONMENT: file.environment}
    if run:
        trailers[RUN] = run
    lines += ["", *(f"{name}: {value}" for name, value in trailers.items())]
    return "\n".join(lines) + "\n"


def _refuse_hostile(source: str, path: str) -> None:
    """Refuse aliases and deep nesting, by which a small file could exhaust memory or time."""
    depth = 0
    for token in YAML(pure=True).scan(source):
        depth += isinstance(token, _OPENING) - isinstance(token, _CLOSING)
        if isinstance(token, AliasToken) or depth > _DEEPEST:
            what = "aliases (*name)" if isinstance(token, AliasToken) else "such deep nesting"
            line = token.start_mark.line + 1
            raise Invalid([_problem(path, "hostile", f"{what} is not allowed here", line=line)])


def _evidence_line(entry: Mapping[str, JsonValue]) -> str:
    rest = [key for key in entry if key not in _EVIDENCE]
    name = entry.get("signal", "check")
    shown = [
        f"{key} {_shown(entry[key])}"
        for key in (*_EVIDENCE[1:], *rest)
        if entry.get(key) is not None
    ]
    return f"{name}: {', '.join(shown)}"


def _shown(value: JsonValue) -> str:
    text = rounded(value, 6) if isinstance(value, float) else str(value)
    return " ".join(text.split())[:200]


def _plain(found: Any) -> Any:
    """What ruamel loaded, as plain values without positions."""
    if isinstance(found, Mapping):
        return {str(key): _plain(value) for key, value in found.items()}
    if isinstance(found, list):
        return [_plain(value) for value in found]
    return found


def _problem(
    file: str,
    code: str,
    message: str,
    loc: Sequence[int | str] = (),
    found: Any = None,
    line: int = 1,
) -> Problem:
    """A problem at `loc` in what ruamel loaded, with the line of the deepest part that exists."""
    for part in loc:
        if isinstance(found, CommentedMap) and part in found:
            line = found.lc.key(part)[0] + 1
        elif isinstance(found, CommentedSeq) and isinstance(part, int):
            line = found.lc.item(part)[0] + 1
        else:
            break
        found = found[part]
    where = ".".join(str(part) for part in loc)
    return Problem("error", code, message, file, line=line, path=where)
