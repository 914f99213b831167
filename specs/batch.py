"""A release without a server: a pointer to the production model, and a command that uses it."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Self

from pydantic import BeforeValidator, Field, PlainSerializer, WithJsonSchema, model_validator

from specs.base import MOST_GLOBS, Many, Name, RelativePath, RepositoryPath, Spec, Text, Variable
from specs.references import DatasetReference, parse_reference
from specs.schedule import ScheduleTrigger
from specs.values import Duration


def _is_of_dataset(value: object) -> DatasetReference:
    try:
        found = parse_reference(value)
    except ValueError:
        found = None
    if isinstance(found, DatasetReference):
        return found
    raise ValueError(
        "expected a dataset, such as datasets.NAME; outputs of steps belong to one run"
    )


DatasetInput = Annotated[
    DatasetReference,
    BeforeValidator(_is_of_dataset),
    PlainSerializer(str, return_type=str),
    WithJsonSchema(
        {
            "type": "string",
            "pattern": r"^datasets\.[A-Za-z_][A-Za-z0-9_-]*$",
            "examples": ["datasets.customers"],
        }
    ),
]
"""A dataset, written `datasets.customers`."""


class Batch(Spec):
    """The command that uses the released model. `{}` runs nothing: jobs of your own read from the
    environments branch which model is released."""

    run: Text | None = Field(
        default=None,
        description="The command, with {model}, {environment}, {inputs.NAME}, {outputs.NAME} and "
        "{params.NAME}; run in staging before the release and in production after it.",
    )
    inputs: Mapping[Name, DatasetInput] = Field(
        default={},
        description="Datasets as they are when the command starts, by the name it uses for them.",
    )
    outputs: Mapping[Name, RelativePath] = Field(
        default={}, description="File names, by name; `headgate export` writes the latest."
    )
    schedule: ScheduleTrigger | None = Field(
        default=None,
        description="When to run it again in production, with the model released there.",
    )
    reads: Many[RepositoryPath] | None = Field(
        default=None,
        max_length=MOST_GLOBS,
        description="Globs of the files it reads; `//src/**` starts at the repository's root. The "
        "default is every file that `triggers.commits` admits.",
    )
    timeout: Duration = Field(default=timedelta(hours=1), description="How long it may run.")
    env: Mapping[Variable, str] = Field(default={}, description="Environment variables.")
    secrets: Many[Variable] = Field(
        default=(), description="Secrets handed to the command as environment variables."
    )
    network: bool = Field(default=False, description="Whether its container may use the network.")

    @model_validator(mode="after")
    def _says_what_runs(self) -> Self:
        fields = type(self).model_fields.items()
        says = [name for name, field in fields if getattr(self, name) != field.default]
        if self.run is None and says:
            raise ValueError("expected `run`; without a command the other keys have no effect")
        return self
