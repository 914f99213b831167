"""Structured logs without secrets: JSON lines, or lines for people.

Lines that a reconcile logs have its `key`, `turn` and `revision`. What libraries log with the
standard `logging` is handled the same way.
"""

import json
import logging
import sys
from collections.abc import Iterable, Mapping
from typing import Any, Literal, TextIO
from urllib.parse import quote

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

HIDDEN = "***"

Format = Literal["json", "console"]


class Redaction:
    """Replaces the values of secrets, also quoted or escaped ones, by `***`."""

    def __init__(self, secrets: Iterable[str]) -> None:
        forms = {
            form
            for secret in secrets
            for form in (
                secret,
                repr(secret)[1:-1],  # as a traceback shows it
                repr(secret.encode())[2:-1],
                json.dumps(secret)[1:-1],
                json.dumps(secret, ensure_ascii=False)[1:-1],
                quote(secret, safe=""),
            )
            if form
        }
        # The longest first, as one secret may be the beginning of another.
        self._forms = sorted(forms, key=len, reverse=True)

    def text(self, text: str) -> str:
        """`text` without secrets."""
        for form in self._forms:
            text = text.replace(form, HIDDEN)
        return text

    def value(self, value: Any) -> Any:
        """A value of a log line without secrets at any depth; other objects as their `repr`."""
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, (int, float)):
            text = str(value)
            return value if self.text(text) == text else HIDDEN
        if isinstance(value, Mapping):
            return {self.text(str(name)): self.value(each) for name, each in value.items()}
        if isinstance(value, (list, tuple, set, frozenset)):
            return [self.value(each) for each in value]
        return self.text(value if isinstance(value, str) else repr(value))

    def __call__(self, _: WrappedLogger, __: str, event: EventDict) -> EventDict:
        """As a processor of structlog, after tracebacks are formatted and before rendering."""
        return {
            self.text(name): value if name.startswith("_") else self.value(value)
            for name, value in event.items()
        }


def set_up(
    format_: Format = "console",
    secrets: Iterable[str] = (),
    level: str = "INFO",
    stream: TextIO | None = None,
) -> None:
    """Send all logs of the process to `stream` (standard error by default), from `level` up.

    Raises `ValueError` for an unknown level.
    """
    target = stream or sys.stderr
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    handler = logging.StreamHandler(target)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.ExtraAdder()],
            processors=[
                structlog.processors.format_exc_info,
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                Redaction(secrets),
                _renderer(format_, target),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
    )


def _renderer(format_: Format, target: TextIO) -> Processor:
    if format_ == "json":
        return structlog.processors.JSONRenderer(sort_keys=True, ensure_ascii=False)
    # Not rich's traceback, which shows the values of variables.
    plain = structlog.dev.plain_traceback
    return structlog.dev.ConsoleRenderer(colors=target.isatty(), exception_formatter=plain)
