"""What a candidate has to show before it may be released."""

from typing import Annotated, Any, Final, Literal, Self

from pydantic import ConfigDict, Discriminator, Field, Tag, model_validator

from specs.base import Many, Scalar, Spec, Text
from specs.references import OutputReference

Metric = Literal[
    "roc_auc",
    "average_precision",
    "log_loss",
    "brier_score",
    "accuracy",
    "balanced_accuracy",
    "precision",
    "recall",
    "f1",
    "mean_absolute_error",
    "root_mean_squared_error",
    "r2",
]
"""What a check can measure. Errors and losses are better when lower, all others when higher."""

LOWER_IS_BETTER: Final = frozenset(
    {"log_loss", "brier_score", "mean_absolute_error", "root_mean_squared_error"}
)
NEEDS_SCORE: Final = frozenset({"roc_auc", "average_precision", "log_loss", "brier_score"})
NEEDS_PREDICTION: Final = frozenset({"mean_absolute_error", "root_mean_squared_error", "r2"})

Task = Literal["binary", "multiclass", "regression"]
"""What a model does: tells two classes apart, or several, or says a number."""


def tasks_of(metric: Metric) -> tuple[Task, ...]:
    """What a metric can measure."""
    if metric in NEEDS_PREDICTION:
        return ("regression",)
    if metric in ("accuracy", "balanced_accuracy"):
        return ("binary", "multiclass")
    return ("binary",)


Severity = Literal["block", "warn"]
SmallSlices = Literal["ignore", "warn", "block"]
"""What a value with too few rows does to a check with `slice`, from the loosest on."""


class AbsoluteCheck(Spec):
    """A limit that the candidate has to meet by itself."""

    model_config = ConfigDict(
        json_schema_extra={"anyOf": [{"required": ["at_least"]}, {"required": ["at_most"]}]}
    )

    metric: Metric = Field(description="What is measured on the candidate's predictions.")
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

    metric: Metric = Field(description="What is measured on the predictions of both models.")
    not_worse_than_baseline_by: float = Field(
        ge=0,
        allow_inf_nan=False,
        description="The margin, in the metric's own unit, that the candidate may lose.",
    )
    confidence: float = Field(
        default=0.95, gt=0.5, lt=1, description="How sure the comparison has to be to pass."
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
            "paired" if {"not_worse_than_baseline_by", "confidence"} & value.keys() else "absolute"
        )
    return "paired" if isinstance(value, PairedCheck) else "absolute"


Check = Annotated[
    Annotated[AbsoluteCheck, Tag("absolute")] | Annotated[PairedCheck, Tag("paired")],
    Discriminator(_kind_of_check),
]


class Columns(Spec):
    """The columns of the predictions."""

    model_config = ConfigDict(
        json_schema_extra={"anyOf": [{"required": ["score"]}, {"required": ["prediction"]}]}
    )

    key: Text = Field(description="Identifies a row; pairs the candidate's with the baseline's.")
    label: Text = Field(description="What was true.")
    score: Text | None = Field(
        default=None, description="The model's probability of the positive class, from 0 to 1."
    )
    prediction: Text | None = Field(
        default=None,
        description="What the model said. Without it, `score` is compared with `threshold`.",
    )

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if self.score is None and self.prediction is None:
            raise ValueError("expected score or prediction: one of them has to be named")
        return self


class ModelGate(Spec):
    """The checks between a trained candidate and its release."""

    predictions: OutputReference = Field(
        description="The table of predictions: key, label and score, one row per example."
    )
    columns: Columns = Field(description="What the columns are called.")
    task: Task | None = Field(
        default=None,
        description=(
            "What the model does. Without it, the metrics decide; where they leave it open, the "
            "labels and predictions do, and the report says what was guessed."
        ),
    )
    positive: Scalar | None = Field(
        default=None,
        description=(
            "The label of the positive class, for binary classification. Without it, 1 (or true) "
            "against 0 or -1, and `yes`, `positive` and their like; other classes need it."
        ),
    )
    checks: Many[Check] = Field(min_length=1, description="What has to hold, in order.")
    slices: Many[Text] = Field(
        default=(), description="Columns whose values are also reported one by one."
    )
    threshold: float = Field(
        default=0.5, ge=0, le=1, description="The score from which a row counts as positive."
    )
    minimum_slice_rows: int = Field(
        default=100, ge=1, description="A slice with fewer rows is reported and not judged."
    )
    small_slices: SmallSlices = Field(
        default="warn",
        description=(
            "What a value with too few rows does to a check with `slice`: `block` stops the "
            "candidate where the check would, `warn` only warns, `ignore` leaves it to a note."
        ),
    )
    """Almost every column has rare values, and no change of the model gives them rows: to block by
    default would stop good candidates until somebody turns the check off. Silence would let a
    value that nobody judged pass for one that passed, so it warns."""


class Gates(Spec):
    """Gates of the model. Datasets carry theirs as `expectations`."""

    model: ModelGate | None = Field(default=None, description="Judges the candidate.")
