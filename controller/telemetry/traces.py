"""Exports the traces of what has ended to an OpenTelemetry collector.

Spans are made of what is stored, at least once: a cursor in the store says until when everything
was sent, so nothing is lost while the collector or the controller is away, and what is sent again
after a crash has the same ids.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import structlog

from controller.machine.core import Fact, Key, parsed
from controller.machine.environments.rollout import EndedRollout
from controller.machine.runs.run import Run
from controller.reconcile.outbox import RuntimePolicy
from controller.store.protocol import Record, Store, Transaction
from controller.telemetry.spans import Attributes, Span, rollout_spans, run_spans
from specs.failures import Failure, NeedsHuman, TryAgain

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan

EVERY = 10.0
"""Seconds between looks."""
OVERLAP = 120.0
"""Seconds before the cursor that are looked at again: what was saved a little later may be stamped
a little earlier."""
FEW = 20
"""Objects that are read at first; as many again until one is older than what is looked for."""
PAGE = 200
"""Objects whose spans are sent in one request."""
MOST_SAID = 300
"""Characters of a text, such as a reason."""
CURSOR = Key("tracing", "cursor")
PATIENCE = 10.0
"""Seconds for the collector to answer."""

log = structlog.get_logger("headgate.tracing")


class _Ended(NamedTuple):
    record: Record
    spans: tuple[Span, ...]


class TraceExport:
    """Looks for runs and rollouts that have ended since the cursor, and sends their spans."""

    def __init__(
        self,
        store: Store,
        send: "Otlp",
        redact: Callable[[str], str],
        policy: RuntimePolicy,
    ) -> None:
        self._store = store
        self._send = send
        self._redact = redact
        self._clock = policy.clock
        self._sent: dict[Key, float] = {}
        """When the objects of the overlap were saved that were sent by this process."""
        self._problem = ""

    async def run(self, leads: Callable[[], bool] = lambda: True) -> None:
        """Export until cancelled, while this controller `leads`. What fails is tried again."""
        while True:
            try:
                if leads():
                    await self.export()
            except Failure as failure:
                self._say(str(failure))
            except Exception:
                log.exception("internal error: traces are not exported now")
            else:
                self._say("")
            await asyncio.sleep(EVERY)

    async def export(self) -> int:
        """Send what has ended since the last time; how many spans. Raises `TryAgain`, and what the
        store raises."""
        cursor = await self._cursor()
        news = await self._ended(cursor - OVERLAP)
        sent = 0
        for place in range(0, len(news), PAGE):
            page = news[place : place + PAGE]
            spans = [self._clean(span) for one in page for span in one.spans]
            await asyncio.to_thread(self._send, spans)
            sent += len(spans)
            cursor = max(cursor, page[-1].record.updated)
            await self._move(cursor)
            self._sent |= {one.record.key: one.record.updated for one in page}
        self._sent = {key: at for key, at in self._sent.items() if at >= cursor - OVERLAP}
        return sent

    async def _cursor(self) -> float:
        record = await self._store.get(CURSOR)
        if record is None:
            await self._move(now := self._clock())  # what ended before is not traced
            return now
        return float(record.body["at"])

    async def _move(self, at: float) -> None:
        fact = Fact(key=CURSOR, body={"at": at})
        await self._store.commit(Transaction(facts=(fact,)), self._clock())

    async def _ended(self, since: float) -> list[_Ended]:
        """What has ended and was saved since then and not sent yet, oldest first."""
        found = []
        for record in (*await self._since("run", since), *await self._since("rollout", since)):
            try:
                if spans := await self._spans(record):
                    found.append(_Ended(record, spans))
            except Failure:
                raise
            except Exception:
                # Another version wrote it: one that cannot be read holds up no other.
                log.exception("internal error: it is not traced", key=str(record.key))
                self._sent[record.key] = record.updated
        return sorted(found, key=lambda one: one.record.updated)

    async def _spans(self, record: Record) -> tuple[Span, ...]:
        """Of a run or a rollout; none if it has not ended."""
        if record.key.kind == "run":
            run = parsed(Run, record.body)
            return tuple(run_spans(run)) if run.finished is not None else ()
        ended = parsed(EndedRollout, record.body)
        return tuple(rollout_spans(ended, await self._run_of(ended)))

    async def _run_of(self, ended: EndedRollout) -> Run | None:
        if not ended.rollout.run:
            return None
        record = await self._store.get(Key("run", ended.rollout.run))
        return parsed(Run, record.body) if record is not None else None

    async def _since(self, kind: str, since: float) -> Sequence[Record]:
        """What was saved since then and not sent yet; little that is older is read."""
        limit = FEW
        while True:
            records = await self._store.list(kind, limit=limit)
            if len(records) < limit or records[-1].updated < since:
                break
            limit *= 2
        return [one for one in records if one.updated >= since and one.key not in self._sent]

    def _clean(self, span: Span) -> Span:
        """Without secrets in its texts."""
        return span._replace(
            attributes=self._clean_all(span.attributes),
            error=self._short(span.error) if span.error is not None else None,
            moments=[
                one._replace(attributes=self._clean_all(one.attributes)) for one in span.moments
            ],
        )

    def _clean_all(self, attributes: Attributes) -> Attributes:
        return {
            name: self._short(value) if isinstance(value, str) else value
            for name, value in attributes.items()
        }

    def _short(self, text: str) -> str:
        # Redacted before it is cut: a part of a secret would not be recognised.
        return self._redact(text)[:MOST_SAID]

    def _say(self, problem: str) -> None:
        if problem != self._problem:
            if problem:
                log.warning("traces cannot be exported; they are kept", reason=problem)
            else:
                log.info("traces are exported again")
        self._problem = problem


class Otlp:
    """Sends spans over OTLP/HTTP."""

    def __init__(self, endpoint: str, headers: Mapping[str, str]) -> None:
        """Raises `NeedsHuman` without the extra `tracing`."""
        try:
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        except ImportError:
            raise NeedsHuman(
                "`tracing.endpoint` is set, and OpenTelemetry is not installed: install "
                "headgate[tracing], or remove the setting"
            ) from None
        scheme, _, rest = endpoint.partition("://")
        has_path = "/" in rest.rstrip("/")
        url = endpoint if has_path else f"{scheme}://{rest.rstrip('/')}/v1/traces"
        self._url = url
        self._exporter = OTLPSpanExporter(url, headers=dict(headers), timeout=PATIENCE)

    def __call__(self, spans: Sequence[Span]) -> None:
        """Send, in one request; it blocks. Nothing is sent if there are none. Raises `TryAgain` if
        the collector did not take them."""
        from opentelemetry.sdk.trace.export import SpanExportResult

        if not spans:
            return
        if self._exporter.export([_readable(one) for one in spans]) != SpanExportResult.SUCCESS:
            raise TryAgain(f"the collector at {self._url} did not take {len(spans)} spans")

    def close(self) -> None:
        """Close the connection."""
        self._exporter.shutdown()  # type: ignore[no-untyped-call]  # it has no annotations


def _readable(span: Span) -> "ReadableSpan":
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import Event, ReadableSpan
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope
    from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags

    def context(id_: int) -> SpanContext:
        return SpanContext(
            span.trace, id_, is_remote=False, trace_flags=TraceFlags(TraceFlags.SAMPLED)
        )

    def nanoseconds(seconds: float) -> int:
        return round(seconds * 1e9)

    status = Status(StatusCode.OK)
    if span.error is not None:
        status = Status(StatusCode.ERROR, span.error)
    attributes: dict[str, Any] = dict(span.attributes)
    return ReadableSpan(
        name=span.name,
        context=context(span.id),
        parent=context(span.parent) if span.parent is not None else None,
        resource=Resource({"service.name": "headgate"}),
        attributes=attributes,
        events=[Event(one.name, dict(one.attributes), nanoseconds(one.at)) for one in span.moments],
        kind=SpanKind.INTERNAL,
        status=status,
        start_time=nanoseconds(span.start),
        end_time=nanoseconds(span.end),
        instrumentation_scope=InstrumentationScope("headgate"),
    )
