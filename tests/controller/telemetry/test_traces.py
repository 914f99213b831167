"""Traces of what has ended, received by a collector that decodes them."""

import sys
from collections.abc import Iterator

import pytest

from controller.machine.core import Fact, Key
from controller.machine.environments.rollout import EndedRollout, Rollout
from controller.machine.pipelines.version import Ref
from controller.machine.runs.attempt import AttemptState, Status
from controller.machine.runs.run import AttemptRecord, Progress, Run, Trigger
from controller.reconcile.outbox import RuntimePolicy
from controller.store.protocol import Put, Transaction
from controller.store.sqlite import SqliteStore
from controller.telemetry import traces
from controller.telemetry.traces import Otlp, TraceExport
from specs.failures import NeedsHuman, TryAgain
from tests.servers.collector import Receiver, receiver
from validators.verdict import Verdict

NOW = 1_800_000_000.0


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def collector() -> Iterator[Receiver]:
    with receiver() as made:
        yield made


def attempt(number: int, state: AttemptState, since: float, message: str = "") -> AttemptRecord:
    status = Status(state=state, exit_code=1, started=since + 1, ended=since + 5, message=message)
    return AttemptRecord(id=f"a{number}", asked=since, status=status)


def run(number: int = 1, *, finished: float | None = NOW + 20) -> Run:
    """A run whose step succeeded at its second attempt, and whose gate failed."""
    train = Progress(
        attempts=(
            attempt(1, AttemptState.LOST, NOW),
            attempt(2, AttemptState.SUCCEEDED, NOW + 6),
        ),
        outputs={"model": "d"},
        ended=NOW + 11,
    )
    gate = Progress(
        attempts=(attempt(3, AttemptState.SUCCEEDED, NOW + 12),),
        outputs={"report": "d"},
        verdict=Verdict.FAIL,
        ended=NOW + 17,
    )
    cached = Progress(outputs={"data": "d"}, cached_from="flights-0", ended=NOW)
    return Run(
        id=f"flights-{number}",
        number=number,
        pipeline="flights",
        repository="team",
        commit="c0ffee",
        branch="main",
        folder="",
        trigger=Trigger(kind="commit", why="a commit"),
        datasets={},
        fingerprint="f",
        created=NOW,
        nodes={"data.flights": cached, "train": train, "gate.model": gate},
        finished=finished,
    )


def rollout(run_id: str = "flights-1", reason: str = "worse in errors") -> EndedRollout:
    return EndedRollout(
        rollout=Rollout(
            id="flights-production-1",
            version=Ref(version=3, digest="d"),
            kind="release",
            why="passed",
            by="headgate",
            asked=NOW + 21,
            run=run_id,
            deployed=NOW + 22,
            ready=NOW + 25,
        ),
        environment="production",
        pipeline="flights",
        outcome="rolled_back",
        reason=reason,
        at=NOW + 60,
    )


async def put(store: SqliteStore, state: Run, at: float, revision: int = 0) -> None:
    change = Put(
        key=Key("run", state.id),
        revision=revision,
        text=state.model_dump_json(),
        live=state.finished is None,
    )
    await store.commit(Transaction(put=change), at)


async def end(store: SqliteStore, ended: EndedRollout, at: float) -> None:
    body = ended.model_dump(mode="json")
    fact = Fact(key=Key("rollout", ended.rollout.id), body=body)
    await store.commit(Transaction(facts=(fact,)), at)


def export(store: SqliteStore, collector: Receiver, clock: Clock) -> TraceExport:
    """An export of a controller that has just started."""
    otlp = Otlp(collector.url, {"x-key": "of a team"})

    def redact(text: str) -> str:
        return text.replace("hunter2", "***")

    return TraceExport(store, otlp, redact, RuntimePolicy(clock=clock))


async def test_a_run_is_one_trace_with_its_attempts_and_its_rollout(
    store: SqliteStore, collector: Receiver
) -> None:
    clock = Clock()
    tracing = export(store, collector, clock)
    assert await tracing.export() == 0
    await put(store, run(), NOW + 20)
    await end(store, rollout(reason="hunter2 is worse"), NOW + 60)
    clock.now = NOW + 61
    assert await tracing.export() == 6
    assert collector.services == {"headgate"}
    assert collector.headers[0]["x-key"] == "of a team"
    spans = collector.spans.values()
    assert len({one.trace for one in spans}) == 1
    [whole] = [one for one in spans if not one.parent]
    assert (whole.name, whole.start, whole.end) == ("run flights", NOW, NOW + 20)
    assert whole.attributes["cicd.pipeline.result"] == "failure"
    assert whole.attributes["vcs.ref.head.revision"] == "c0ffee"
    assert whole.failed
    assert whole.said == "gate.model (FAIL)"
    assert whole.events == ["cached"]
    children = {
        (one.name, one.attributes.get("headgate.attempt")): one
        for one in spans
        if one.parent == whole.id
    }
    assert children.keys() == {
        ("train", 1),
        ("train", 2),
        ("gate.model", 1),
        ("rollout production", None),
    }
    assert children["train", 1].said == "lost"
    assert not children["train", 2].failed
    assert (children["train", 2].start, children["train", 2].end) == (NOW + 7, NOW + 11)
    assert children["gate.model", 1].attributes["headgate.verdict"] == "FAIL"
    assert children["gate.model", 1].failed
    released = children["rollout production", None]
    assert released.said == "*** is worse"
    [phase] = [one for one in spans if one.parent == released.id]
    assert (phase.name, phase.start, phase.end) == ("starting", NOW + 21, NOW + 60)


async def test_a_run_that_cannot_be_read_holds_up_no_other(
    store: SqliteStore, collector: Receiver
) -> None:
    tracing = export(store, collector, Clock())
    await tracing.export()
    newer = Put(
        key=Key("run", "flights-1"), revision=0, text='{"of": "another version"}', live=False
    )
    await store.commit(Transaction(put=newer), NOW + 10)
    await put(store, run(2), NOW + 20)
    assert await tracing.export() == 4
    assert await tracing.export() == 0
    assert {one.attributes.get("cicd.pipeline.run.id") for one in collector.spans.values()} >= {
        "flights-2"
    }


async def test_a_secret_at_the_limit_of_a_text_is_not_cut_and_sent(
    store: SqliteStore, collector: Receiver
) -> None:
    tracing = export(store, collector, Clock())
    await tracing.export()
    long = "-" * (traces.MOST_SAID - 4) + "hunter2"
    skipped = run().model_copy(update={"nodes": {"train": Progress(skipped=long, ended=NOW)}})
    await put(store, skipped, NOW + 20)
    failed = run(2).model_copy(update={"nodes": {"train": Progress(failed=long[7:], ended=NOW)}})
    await put(store, failed, NOW + 20)
    await end(store, rollout(reason=long), NOW + 60)
    await tracing.export()
    assert "hunt" not in str(collector.spans)
    assert "hunt" not in str(collector.requests)
    said = {one.said for one in collector.spans.values()}
    assert long[:-7] + "***" in said
    assert f"train: {long[7:-7]}***" in said


async def test_a_controller_that_was_killed_after_it_sent_sends_the_same_spans(
    store: SqliteStore, collector: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    killed = export(store, collector, clock)
    await killed.export()
    await put(store, run(), NOW + 20)

    async def die(_self: TraceExport, _at: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(TraceExport, "_move", die)
    with pytest.raises(KeyboardInterrupt):
        await killed.export()
    monkeypatch.undo()
    first = dict(collector.spans)
    clock.now = NOW + 30
    assert await export(store, collector, clock).export() == 4
    assert len(collector.requests) == 2
    assert collector.spans == first


async def test_what_ends_while_nobody_exports_is_sent_later_and_once(
    store: SqliteStore, collector: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(traces, "PAGE", 2)
    monkeypatch.setattr(traces, "FEW", 2)
    clock = Clock()
    await export(store, collector, clock).export()
    for number in range(1, 8):
        await put(store, run(number), NOW + 1000 * number)
    await put(store, run(8, finished=None), NOW + 9000)
    clock.now = NOW + 9000
    tracing = export(store, collector, clock)
    assert await tracing.export() == 7 * 4
    assert [len(one) for one in collector.requests] == [8, 8, 8, 4]
    assert await tracing.export() == 0
    await put(store, run(8), NOW + 9001, revision=1)
    assert await tracing.export() == 4


async def test_what_ended_before_anybody_traced_is_not_sent(
    store: SqliteStore, collector: Receiver
) -> None:
    await put(store, run(), NOW - 10_000)
    tracing = export(store, collector, Clock())
    await tracing.export()
    assert await tracing.export() == 0
    assert not collector.requests


async def test_a_collector_that_refuses_loses_nothing(
    store: SqliteStore, collector: Receiver
) -> None:
    tracing = export(store, collector, Clock())
    await tracing.export()
    await put(store, run(), NOW + 20)
    collector.refuses = True
    with pytest.raises(TryAgain, match="did not take 4 spans"):
        await tracing.export()
    collector.refuses = False
    assert await tracing.export() == 4


async def test_an_older_run_of_the_same_number_is_another_trace(
    store: SqliteStore, collector: Receiver
) -> None:
    """After its state was lost, a controller counts from 1 again."""
    clock = Clock()
    tracing = export(store, collector, clock)
    await tracing.export()
    await put(store, run(), NOW + 20)
    await tracing.export()
    again = run().model_copy(update={"created": NOW + 0.5})
    await put(store, again, NOW + 500, revision=1)
    clock.now = NOW + 500
    await export(store, collector, clock).export()
    assert len({one.trace for one in collector.spans.values()}) == 2


def test_without_the_extra_the_fix_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    exporter = "opentelemetry.exporter.otlp.proto.http.trace_exporter"
    monkeypatch.setitem(sys.modules, exporter, None)
    with pytest.raises(NeedsHuman, match=r"install headgate\[tracing\]"):
        Otlp("http://localhost:4318", {})
