"""A dataset that a database holds: which rows, and what tells one version from another."""

from datetime import timedelta
from typing import Annotated

from pydantic import AfterValidator, Field

from specs.base import Spec, Text
from specs.references import SECRET
from specs.values import Duration


def _is_secret(text: str) -> str:
    if SECRET.fullmatch(text) is None:
        raise ValueError(
            "expected ${NAME}, the secret that holds the address: it is never written in the spec"
        )
    return text


SecretText = Annotated[Text, AfterValidator(_is_secret)]
"""`${NAME}` and nothing else."""


class Query(Spec):
    """Rows of a database, taken once for each of their versions and kept as Parquet."""

    url: SecretText = Field(
        description="The secret with the database's address (as of SQLAlchemy), as ${NAME}."
    )
    sql: Text = Field(description="The statement that gives the rows; ORDER BY keeps their order.")
    version: Text | None = Field(
        default=None,
        description="A cheap statement whose result changes when the rows do, such as SELECT "
        "max(updated_at), count(*) FROM orders; without it, the rows are taken in every run.",
    )
    timeout: Duration = Field(
        default=timedelta(hours=1), description="The longest that taking the rows may last."
    )

    @property
    def secret(self) -> str:
        """The name of the secret."""
        return self.url[2:-1]
