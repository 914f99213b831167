"""Looks at the databases that datasets are queries of: the secret, the driver, and an answer."""

import asyncio
from collections.abc import AsyncIterator, Sequence

from controller.config.secrets import Secrets
from controller.doctor.findings import Finding, bad, ok
from controller.queries.database import reading
from controller.queries.versions import rows_of, version_of
from specs.datasets import Query
from specs.failures import Failure
from specs.model import Pipeline

WITHIN = 10.0
"""Seconds that a statement may take."""
FIX = "see docs/datasets.md, and let the database's address in the secret be right"


async def examine_databases(secrets: Secrets, specs: Sequence[Pipeline]) -> AsyncIterator[Finding]:
    """A finding for each query, good ones included."""
    for spec in specs:
        for name, dataset in spec.datasets.items():
            if dataset.query is not None:
                yield await _query(f"dataset {spec.metadata.name}/{name}", dataset.query, secrets)


async def _query(what: str, query: Query, secrets: Secrets) -> Finding:
    try:
        address = secrets.expand(query.url)
        await asyncio.to_thread(_ask, address, query.version)
    except Failure as failure:
        return bad(what, secrets.redact(str(failure)), FIX)
    asked = "its version" if query.version is not None else "a query"
    return ok(what, f"the database of {query.url} answers {asked}")


def _ask(address: str, version: str | None) -> None:
    with reading(address, WITHIN) as connection:
        if version is not None:
            version_of(connection, version)
        else:
            rows_of(connection, "SELECT 1").close()
