"""A dataset in a database: which rows, and what identifies a version of them."""

from datetime import timedelta
from typing import Annotated

from pydantic import AfterValidator, Field

from specs.base import Spec, Text
from specs.references import SECRET
from specs.values import Duration


def _is_secret(text: str) -> str:
    if SECRET.fullmatch(text) is None:
        raise ValueError(
            "expected ${NAME}, the secret that holds the address; never write the address itself"
        )
    return text


SecretText = Annotated[Text, AfterValidator(_is_secret)]
"""`${NAME}` and nothing else."""


class Query(Spec):
    """Rows of a database, read once per version and stored as Parquet."""

    url: SecretText = Field(
        description="The secret with the database's address (an SQLAlchemy URL), as ${NAME}."
    )
    sql: Text = Field(
        description="The statement that selects the rows; ORDER BY keeps their order."
    )
    version: Text | None = Field(
        default=None,
        description="A cheap statement whose result changes when the rows do, such as SELECT "
        "max(updated_at), count(*) FROM orders. Without it, every run reads the rows again.",
    )
    timeout: Duration = Field(
        default=timedelta(hours=1), description="How long reading the rows may take."
    )

    @property
    def secret(self) -> str:
        """The name of the secret."""
        return self.url[2:-1]
