"""A suite of Great Expectations inside the spec, as Great Expectations 1.x writes it."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Discriminator, Field, Tag

from specs.base import Many, RepositoryPath, Spec, Text


def _has_a_flag(meta: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    if not isinstance((meta or {}).get("may_be_empty", False), bool):
        raise ValueError("expected true or false for `may_be_empty`")  # noqa: TRY004 - pydantic's
    return meta


class InlineExpectation(Spec):
    """One expectation of a suite that is in the spec itself."""

    type: Text = Field(
        description="The type of the expectation, such as expect_column_values_to_be_unique."
    )
    kwargs: Mapping[str, Any] = Field(
        default={},
        description="Its arguments; `{$PARAMETER: NAME}` stands for one of the spec's `params`.",
    )
    severity: Literal["critical", "warning", "info"] | None = Field(
        default=None, description="`critical`, as by default, blocks; the others only tell."
    )
    meta: Annotated[Mapping[str, Any] | None, AfterValidator(_has_a_flag)] = Field(
        default=None, description="Notes; `may_be_empty: true` lets it pass with nothing to check."
    )
    notes: Any = Field(default=None, description="Text for people.")
    id: str | None = Field(default=None, description="What GX Cloud calls it.")
    description: str | None = Field(default=None, description="Text for people.")
    rendered_content: Any = Field(default=None, description="What Data Docs show of it; ignored.")


class InlineSuite(Spec):
    """A suite that is in the spec itself. A list of its expectations will do."""

    name: str | None = Field(default=None, description="Its name in Great Expectations.")
    expectations: Many[InlineExpectation] = Field(
        min_length=1, description="What the data has to meet."
    )
    suite_parameters: Mapping[str, Any] = Field(
        default={}, description="Values for `$PARAMETER`; those of the spec's `params` go first."
    )
    meta: Mapping[str, Any] | None = Field(default=None, description="Notes; ignored.")
    notes: Any = Field(default=None, description="Text for people.")
    id: str | None = Field(default=None, description="What GX Cloud calls it.")


InlineExpectations = Annotated[Many[InlineExpectation], Field(min_length=1)]


def _form(value: object) -> str:
    if isinstance(value, dict | InlineSuite):
        return "a suite"
    return "a list" if isinstance(value, list | tuple) else "a file"


Suite = Annotated[
    Annotated[RepositoryPath, Tag("a file")]
    | Annotated[InlineSuite, Tag("a suite")]
    | Annotated[InlineExpectations, Tag("a list")],
    Discriminator(_form),
]
"""The path of a suite's file, or the suite itself."""


def plain_suite(suite: InlineSuite | tuple[InlineExpectation, ...]) -> dict[str, Any]:
    """An inline suite as plain JSON, in one form and with all that affects a verdict."""
    whole = suite if isinstance(suite, InlineSuite) else InlineSuite(expectations=suite)
    judging = {"type", "kwargs", "severity", "meta"}
    return whole.model_dump(
        mode="json",
        include={"suite_parameters": True, "expectations": {"__all__": judging}},
        exclude_defaults=True,
    )
