"""Checks the databases that datasets query: the secret, the driver and the connection."""

import asyncio
from collections.abc import AsyncIterator, Sequence

from controller.config.secrets import Secrets
from controller.doctor.findings import Finding, bad, ok
from controller.queries.sessions import open_session
from controller.queries.versions import version_of
from specs.datasets import Query
from specs.failures import Failure
from specs.model import Pipeline

WITHIN = 10.0
"""Timeout of a statement, in seconds."""
FIX = "correct the database's URL in the secret; see docs/datasets.md"


async def examine_databases(secrets: Secrets, specs: Sequence[Pipeline]) -> AsyncIterator[Finding]:
    """A finding for each query."""
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
    return ok(what, f"the database at {query.url} answers {asked}")


def _ask(address: str, version: str | None) -> None:
    with open_session(address, WITHIN) as session:
        if version is not None:
            version_of(session, version)
        else:
            session.rows("SELECT 1", 1)
