"""The format of a model, for a server of the platform's that knows it."""

from typing import Annotated

from pydantic import Field, StringConstraints

from specs.base import Spec

_ObjectName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$")]


class ModelFormat(Spec):
    """A model that a serving runtime of KServe loads by its format."""

    name: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")] = Field(
        description="The format's name, such as sklearn, xgboost or onnx."
    )
    version: Annotated[str, StringConstraints(pattern=r"^[0-9]+(\.[0-9]+){0,2}$")] | None = Field(
        default=None, description="Its version, such as 1; by default any."
    )
    runtime: _ObjectName | None = Field(
        default=None,
        description="The ServingRuntime or ClusterServingRuntime; by default KServe chooses one.",
    )
