"""References between parts of a spec, and placeholders in `run` lines and variables."""

import re
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Final

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

from specs.names import LONGEST, is_part_name


@dataclass(frozen=True, slots=True, order=True)
class DatasetReference:
    """`datasets.flights`: a dataset of the same spec."""

    dataset: str

    def __str__(self) -> str:
        return f"datasets.{self.dataset}"


@dataclass(frozen=True, slots=True, order=True)
class StepReference:
    """`steps.train.model`: the output `model` of the step `train`."""

    step: str
    output: str

    def __str__(self) -> str:
        return f"steps.{self.step}.{self.output}"


def parse_reference(value: object) -> DatasetReference | StepReference:
    """Read `datasets.NAME` or `steps.STEP.OUTPUT`. Raises ValueError."""
    if isinstance(value, (DatasetReference, StepReference)):
        return value
    if isinstance(value, str):
        match value.split("."):
            case ["datasets", name] if is_part_name(name):
                return DatasetReference(name)
            case ["steps", step, output] if is_part_name(step) and is_part_name(output):
                return StepReference(step, output)
    raise ValueError("expected a reference such as datasets.NAME or steps.STEP.OUTPUT")


def parse_step_reference(value: object) -> StepReference:
    """Read `steps.STEP.OUTPUT`. Raises ValueError, including for a dataset."""
    try:
        found = parse_reference(value)
    except ValueError:
        found = None
    if isinstance(found, StepReference):
        return found
    raise ValueError("expected an output of a step, such as steps.STEP.OUTPUT")


_PART = r"[A-Za-z_][A-Za-z0-9_-]*"

Reference = Annotated[
    DatasetReference | StepReference,
    BeforeValidator(parse_reference),
    PlainSerializer(str, return_type=str),
    WithJsonSchema(
        {
            "type": "string",
            "pattern": rf"^(datasets\.{_PART}|steps\.{_PART}\.{_PART})$",
            "examples": ["datasets.flights", "steps.train.model"],
        }
    ),
]
"""A dataset or an output of a step, written `datasets.flights` or `steps.train.model`."""

OutputReference = Annotated[
    StepReference,
    BeforeValidator(parse_step_reference),
    PlainSerializer(str, return_type=str),
    WithJsonSchema(
        {
            "type": "string",
            "pattern": rf"^steps\.{_PART}\.{_PART}$",
            "examples": ["steps.train.model"],
        }
    ),
]
"""An output of a step, written `steps.train.model`."""


@dataclass(frozen=True, slots=True, order=True)
class Placeholder:
    """`{inputs.flights}`, `{outputs.model}`, `{params.max_depth}`, `{output}`, `{model}`,
    `{port}`, `{host}` or `{root}`."""

    kind: str
    name: str = ""

    @property
    def key(self) -> str:
        """The key that `render` looks up: `inputs.flights`, `model`."""
        return f"{self.kind}.{self.name}" if self.name else self.kind

    def __str__(self) -> str:
        return "{" + self.key + "}"


class TemplateError(ValueError):
    """A `run` line or a variable cannot be split or filled in; the message says where."""


_BRACES: Final = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")
_MEANT: Final = re.compile(r"(?<![${])\{\s*[A-Za-z_][\w-]*(\.[\w.-]*)?\s*\}")
"""Text that looks like a placeholder; `${NAME}` is left to the shell."""
_NAMED: Final = ("inputs", "outputs", "params")
_PLAIN: Final = ("model", "port", "host", "environment", "output", "root")
_FORMS: Final = (
    "{inputs.NAME}, {outputs.NAME}, {params.NAME}, {output}, {model}, {port}, {host}, "
    "{environment} or {root}"
)

Word = tuple[str | Placeholder, ...]
"""One argument: text and placeholders to be joined."""


@lru_cache(maxsize=1024)
def parse_run(template: str) -> tuple[Word, ...]:
    """Split a `run` line into words as a shell would, and find the placeholders in each.

    `{{` and `}}` stand for braces. Raises TemplateError for an unclosed quote or brace, an unknown
    placeholder, or a line without a command.
    """
    try:
        words = shlex.split(template)
    except ValueError as error:
        raise TemplateError(f"cannot split the command: {error}".lower()) from None
    if not words or not words[0]:
        raise TemplateError("the command is empty")
    return tuple(_parse_word(word) for word in words)


def parse_value(template: str) -> Word:
    """The text and the placeholders of a variable, which is a single word even if it has spaces.
    Raises TemplateError like `parse_run`."""
    return _parse_word(template)


def is_literal(template: str) -> bool:
    """Whether the value of a variable is not meant as a template, such as JSON, and so is passed on
    unchanged."""
    try:
        parse_value(template)
    except TemplateError:
        return _MEANT.search(template) is None
    return False


def placeholders(template: str) -> tuple[Placeholder, ...]:
    """The distinct placeholders of a `run` line, in order. Raises TemplateError."""
    return _each_once(part for word in parse_run(template) for part in word)


def placeholders_of(env: Mapping[str, str]) -> tuple[Placeholder, ...]:
    """The distinct placeholders of variables; a value that is not a template has none."""
    return _each_once(part for value in env.values() for part in _word_or_text(value))


def _each_once(parts: Iterable[str | Placeholder]) -> tuple[Placeholder, ...]:
    return tuple(dict.fromkeys(part for part in parts if isinstance(part, Placeholder)))


def render(template: str, values: Mapping[str, str]) -> tuple[str, ...]:
    """The arguments of a `run` line, with each placeholder replaced by the value of its key.

    The line is split before values are put in, so a value is never split or expanded and never
    becomes a second argument. Raises TemplateError, including for a missing value and one with a
    NUL byte.
    """
    return tuple(
        "".join(part if isinstance(part, str) else _value(part, values) for part in word)
        for word in parse_run(template)
    )


def render_env(env: Mapping[str, str], values: Mapping[str, str]) -> dict[str, str]:
    """Variables with each placeholder replaced by the value of its key.

    A value that is not a template, or has an unknown placeholder, is left unchanged: specs stored
    by older controllers may have braces that stand for themselves.
    """
    return {name: _filled_in(value, values) for name, value in env.items()}


def _filled_in(template: str, values: Mapping[str, str]) -> str:
    word = _word_or_text(template)
    if any(isinstance(part, Placeholder) and part.key not in values for part in word):
        return template
    return "".join(part if isinstance(part, str) else _value(part, values) for part in word)


def _word_or_text(template: str) -> Word:
    try:
        return parse_value(template)
    except TemplateError:
        return (template,)


def as_argument(value: bool | float | str) -> str:
    """A parameter as text on a command line: `true`, `6`, `0.1`, `text`."""
    return str(value).lower() if isinstance(value, bool) else str(value)


SECRET: Final = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
"""`${NAME}`: a secret inside a text."""


def _value(placeholder: Placeholder, values: Mapping[str, str]) -> str:
    value = values.get(placeholder.key)
    if value is None:
        raise TemplateError(f"there is no value for {placeholder}")
    if "\0" in value:
        raise TemplateError(f"the value for {placeholder} holds a NUL byte")
    return value


def _parse_word(word: str) -> Word:
    parts: list[str | Placeholder] = []
    text = ""
    end = 0
    for match in _BRACES.finditer(word):
        text += word[end : match.start()]
        end = match.end()
        if match[1] is None:
            if match[0] in "{}":
                raise TemplateError(f"unpaired {match[0]} in {word!r}; write {match[0] * 2} for it")
            text += match[0][0]
            continue
        if text:
            parts.append(text)
            text = ""
        parts.append(_parse_placeholder(match[1]))
    text += word[end:]
    return (*parts, text) if text else tuple(parts)


def _parse_placeholder(inside: str) -> Placeholder:
    kind, dot, name = inside.partition(".")
    if (kind in _PLAIN and not dot) or (kind in _NAMED and is_part_name(name)):
        return Placeholder(kind, name)
    raise TemplateError(
        f"{{{inside[:LONGEST]}}} is not a placeholder; expected {_FORMS} (write {{{{ for a brace)"
    )
