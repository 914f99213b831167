"""Where structlog writes, while a test runs controllers in its own process."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import structlog

LOG = "controller.log"
"""The name of that file, in the folder of a test."""


@contextmanager
def log_to(path: Path) -> Iterator[None]:
    """Everything that is logged in the block is in that file, as `headgate up` writes it."""
    before = structlog.get_config()
    with path.open("a", encoding="utf-8") as log:
        structlog.configure(
            processors=[
                structlog.contextvars.merge_contextvars,
                structlog.processors.add_log_level,
                structlog.processors.TimeStamper(fmt="%H:%M:%S"),
                structlog.dev.set_exc_info,
                structlog.dev.ConsoleRenderer(
                    colors=False, exception_formatter=structlog.dev.plain_traceback
                ),
            ],
            logger_factory=structlog.WriteLoggerFactory(file=log),
        )
        try:
            yield
        finally:
            structlog.configure(**before)
