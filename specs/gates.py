"""The model gate: the checks that a candidate has to pass before it may be released."""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, Self

from pydantic import (
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import PydanticKnownError

from specs.base import Many, Scalar, Spec, Text
from specs.metrics import METRICS, OWN, Better, is_own
from specs.references import OutputReference, StepReference

TaskName = Literal["binary", "multiclass", "regression"]
"""What a model predicts: one of two classes, one of several classes, or a number."""


def _is_metric(value: object) -> object:
    if isinstance(value, str):
        own = is_own(value) and value.isprintable() and len(value) <= LONGEST_OWN
        if value in METRICS or (own and value != OWN):
            return value
        known = ", ".join(f"'{name}'" for name in (f"{OWN}NAME", *METRICS))
        raise PydanticKnownError("literal_error", {"expected": known})
    return value


LONGEST_OWN: Final = 200
MetricName = Annotated[
    str,
    BeforeValidator(_is_metric),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "enum": list(METRICS)},
                {"type": "string", "pattern": rf"^{re.escape(OWN)}.+$", "maxLength": LONGEST_OWN},
            ]
        }
    ),
]
"""What a check measures: a metric of the table, or `metrics.NAME`, a number that a step wrote."""


def _is_none(value: object) -> bool:
    """Whether to leave a key out of digests: those from before it existed must not change."""
    return value is None


Evidence = Literal["predictions", "metrics"]
"""The evidence about a candidate: a table of its predictions, or numbers that a step wrote."""

Severity = Literal["block", "warn"]
SmallSlices = Literal["ignore", "warn", "block"]
"""How a value with too few rows affects a check with `slice`, from lenient to strict."""


class AbsoluteCheck(Spec):
    """A limit that the candidate has to meet on its own."""

    model_config = ConfigDict(
        json_schema_extra={"anyOf": [{"required": ["at_least"]}, {"required": ["at_most"]}]}
    )

    metric: MetricName = Field(
        description="A metric of the candidate's predictions; or metrics.NAME, a number in the "
        "file that `metrics` names."
    )
    at_least: float | None = Field(
        default=None, allow_inf_nan=False, description="The lowest value that passes."
    )
    at_most: float | None = Field(
        default=None, allow_inf_nan=False, description="The highest value that passes."
    )
    slice: Text | None = Field(
        default=None,
        description="A column of `slices`: the check is made for each of its values.",
    )
    severity: Severity = Field(
        default="block", description="Whether a failure stops the candidate or only warns."
    )

    @model_validator(mode="after")
    def _has_a_limit(self) -> Self:
        if self.at_least is None and self.at_most is None:
            raise ValueError("expected a limit: at_least, at_most, or not_worse_than_baseline_by")
        if self.at_least is not None and self.at_most is not None and self.at_least > self.at_most:
            raise ValueError("expected at_least to be no more than at_most: no value can pass")
        return self


class PairedCheck(Spec):
    """A comparison of the candidate with the baseline on the same rows."""

    metric: MetricName = Field(
        description="A metric of the predictions of both models; or metrics.NAME, a number in the "
        "files of both."
    )
    not_worse_than_baseline_by: float = Field(
        ge=0,
        allow_inf_nan=False,
        description="How much worse the candidate may be, in the metric's own unit.",
    )
    confidence: float = Field(
        default=0.95, gt=0.5, lt=1, description="The confidence that the comparison needs to pass."
    )
    better: Better | None = Field(
        default=None,
        exclude_if=_is_none,
        description="Whether a higher or a lower number is better, for metrics.NAME. It is known "
        "for the gate's own metrics.",
    )
    slice: Text | None = Field(
        default=None,
        description="A column of `slices`: the check is made for each of its values.",
    )
    severity: Severity = Field(
        default="block", description="Whether a failure stops the candidate or only warns."
    )


def _kind_of_check(value: Any) -> str:
    if isinstance(value, dict):
        return (
            "paired"
            if {"not_worse_than_baseline_by", "confidence", "better"} & value.keys()
            else "absolute"
        )
    return "paired" if isinstance(value, PairedCheck) else "absolute"


Check = Annotated[
    Annotated[AbsoluteCheck, Tag("absolute")] | Annotated[PairedCheck, Tag("paired")],
    Discriminator(_kind_of_check),
]


def _is_pattern(value: object) -> object:
    if isinstance(value, str) and value.count("*") != 1:
        raise ValueError(
            "expected columns with one * for the class, such as p_*, or a mapping of each class to "
            "its column"
        )
    return value


Scores = Annotated[
    Text | Mapping[Text, Text],
    BeforeValidator(_is_pattern),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "pattern": r"^[^*]*\*[^*]*$", "examples": ["p_*"]},
                {"type": "object", "additionalProperties": {"type": "string", "minLength": 1}},
            ]
        }
    ),
]
"""The columns with the scores of the classes."""


class Columns(Spec):
    """The columns of the predictions."""

    model_config = ConfigDict(
        json_schema_extra={
            "anyOf": [{"required": [name]} for name in ("score", "scores", "prediction")]
        }
    )

    key: Text = Field(
        description="Identifies a row, to pair the candidate's rows with the baseline's."
    )
    label: Text = Field(description="The true value.")
    score: Text | None = Field(
        default=None, description="The model's probability of the positive class, from 0 to 1."
    )
    scores: Scores | None = Field(
        default=None,
        exclude_if=_is_none,
        description="The model's probabilities of several classes: columns such as p_*, where * is "
        "the class, or a mapping of each class to its column.",
    )
    prediction: Text | None = Field(
        default=None,
        description="The predicted class or value. Without it, `score` is compared with "
        "`threshold`, or the class with the highest of `scores` is taken.",
    )

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if self.score is None and self.scores is None and self.prediction is None:
            raise ValueError("expected at least one of score, scores and prediction")
        if self.score is not None and self.scores is not None:
            raise ValueError("expected score (two classes) or scores (several classes), not both")
        return self

    @property
    def named(self) -> tuple[str, ...]:
        """The keys of the columns that are given."""
        return tuple(name for name, value in self if value is not None)


class ModelGate(Spec):
    """The checks between a trained candidate and its release."""

    model_config = ConfigDict(
        json_schema_extra={
            "anyOf": [{"required": ["predictions", "columns"]}, {"required": ["metrics"]}]
        }
    )

    predictions: OutputReference | None = Field(
        default=None,
        description="The table of predictions, with one row per example.",
    )
    columns: Columns | None = Field(
        default=None, description="The names of the columns of `predictions`."
    )
    metrics: OutputReference | None = Field(
        default=None,
        exclude_if=_is_none,
        description="A JSON file of numbers, flat or nested. Checks refer to them as metrics.NAME "
        "or metrics.GROUP.NAME.",
    )
    task: TaskName | None = Field(
        default=None,
        description=(
            "What the model predicts. The default follows from the metrics or, if they fit several "
            "tasks, from the labels and predictions; the report then says what was guessed."
        ),
    )
    positive: Scalar | None = Field(
        default=None,
        description=(
            "The label of the positive class, for binary classification. The default recognises 1 "
            "or true against 0 or -1, and words such as `yes` and `positive`; other labels need it."
        ),
    )
    checks: Many[Check] = Field(min_length=1, description="The checks, in order.")
    slices: Many[Text] = Field(
        default=(), description="Columns whose values are also reported separately."
    )
    threshold: float = Field(
        default=0.5, ge=0, le=1, description="The score from which a row counts as positive."
    )
    minimum_slice_rows: int = Field(
        default=100, ge=1, description="A slice with fewer rows is reported but not judged."
    )
    small_slices: SmallSlices = Field(
        default="warn",
        description=(
            "How a value with too few rows affects a check with `slice`: `block` stops the "
            "candidate if a failure of the check would, `warn` only warns, `ignore` only notes it."
        ),
    )
    """Almost every column has rare values, and no change of the model gives them more rows, so
    blocking by default would stop good candidates until somebody turned the check off. Without a
    warning, a value that was not judged would look like one that passed."""

    @model_validator(mode="after")
    def _has_evidence(self) -> Self:
        if self.predictions is None and self.metrics is None:
            raise ValueError("expected predictions, metrics, or both")
        if self.predictions is not None and self.columns is None:
            raise ValueError("expected columns, the names of the columns of `predictions`")
        return self

    @property
    def evidence(self) -> dict[Evidence, StepReference]:
        """The outputs that the gate judges by; only those that are given."""
        named: dict[Evidence, StepReference | None] = {
            "predictions": self.predictions,
            "metrics": self.metrics,
        }
        return {name: output for name, output in named.items() if output is not None}


class Gates(Spec):
    """The gate of the model. The gates of datasets are their `expectations`."""

    model: ModelGate | None = Field(default=None, description="Judges the candidate.")
