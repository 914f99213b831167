"""Gauges of the stored state: from facts to series, with a bound on their number."""

from typing import Any

import pytest

from controller.machine.core import Key
from controller.machine.environments.environment import EnvironmentState
from controller.machine.environments.rollout import Rollout
from controller.machine.pipelines.version import Ref
from controller.store.protocol import Delivered, OutboxEntry
from controller.telemetry.catalogue import OTHER, PipelineLabels
from controller.telemetry.gauges import (
    CanaryFacts,
    EnvironmentFacts,
    FirstSeen,
    StoredFacts,
    environment_facts,
    gauges,
)

NOW = 1_800_000_000.0


def values(facts: StoredFacts, seen: FirstSeen | None = None, most: int = 9) -> dict[Any, float]:
    seen = (seen or FirstSeen()).after(facts)
    return {(one.name, *one.labels): one.value for one in gauges(facts, seen, PipelineLabels(most))}


def canary(pipeline: str, **facts: Any) -> EnvironmentFacts:
    whole = EnvironmentFacts(
        pipeline=pipeline,
        name="production",
        serves=1,
        alerts=1,
        phase="canary",
        waits=None,
        asked=NOW - 100,
        canary=CanaryFacts(0.2, 0.5, (20, 80), (2, 1)),
    )
    return whole._replace(**facts)


def entry(number: int, error: str | None = None) -> OutboxEntry:
    owner = Key("run", "flights-1")
    return OutboxEntry(
        number=number, id=str(number), owner=owner, lane="", action={"type": "notify"}, error=error
    )


def test_a_canary_is_a_few_series() -> None:
    found = values(StoredFacts(NOW, [canary("flights")]))
    place = ("flights", "production")
    assert found["headgate_canary_weight_ratio", *place] == 0.2
    assert found["headgate_canary_evidence_ratio", *place] == 0.5
    assert found["headgate_canary_requests", *place, "stable"] == 80
    assert found["headgate_canary_errors", *place, "canary"] == 2
    assert found["headgate_rollouts_in_progress", *place, "canary"] == 1
    assert found["headgate_serving_version", *place] == 1
    assert found["headgate_open_alerts", *place] == 1


def test_pipelines_past_the_limit_share_series_and_what_has_no_sum_is_left_out() -> None:
    found = values(StoredFacts(NOW, [canary(f"p{n}") for n in range(5)]), most=2)
    assert {labels[0] for _, *labels in found if len(labels) > 1} == {"p0", "p1", OTHER}
    assert found["headgate_rollouts_in_progress", OTHER, "production", "canary"] == 3
    assert found["headgate_canary_requests", OTHER, "production", "canary"] == 60
    assert ("headgate_canary_weight_ratio", OTHER, "production") not in found
    assert ("headgate_serving_version", OTHER, "production") not in found


def test_a_pipeline_keeps_its_label() -> None:
    labels = PipelineLabels(1)
    assert [labels.label(name) for name in ("a", "b", "a")] == ["a", OTHER, "a"]


def test_the_age_of_the_outbox_is_since_it_was_first_seen_and_ends_with_the_entry() -> None:
    first = StoredFacts(NOW, outbox=[entry(1)])
    seen = FirstSeen().after(first)
    later = StoredFacts(NOW + 60, outbox=[entry(1, "away"), entry(2)])
    found = values(later, seen)
    assert found["headgate_outbox_entries", "notify"] == 2
    assert found["headgate_outbox_failing", "notify"] == 1
    assert found[("headgate_outbox_oldest_seconds",)] == 60
    assert found[("headgate_outbox_oldest_failing_seconds",)] == 0
    seen = seen.after(later)
    last = StoredFacts(NOW + 1000, outbox=[entry(1, "away")])
    assert values(last, seen)[("headgate_outbox_oldest_failing_seconds",)] == 940
    over = seen.after(StoredFacts(NOW + 1001, outbox=[]))
    assert over == FirstSeen()


def test_the_wait_for_an_approval_is_as_old_as_the_request_and_a_held_canary_as_it_was_seen() -> (
    None
):
    held = canary("flights", waits="decision")
    asked = canary("churn", waits="approval", phase="approval", canary=None)
    found = values(StoredFacts(NOW, [held, asked]))
    assert found[("headgate_waiting_for_human_oldest_seconds",)] == 100
    assert found["headgate_waiting_for_human", "flights", "production", "decision"] == 1
    seen = FirstSeen().after(StoredFacts(NOW, [held]))
    later = values(StoredFacts(NOW + 30, [held]), seen)
    assert later[("headgate_waiting_for_human_oldest_seconds",)] == 30


def test_messages_and_stalls_are_counted_by_kind_with_their_age() -> None:
    message = Delivered(
        number=1, to=Key("pipeline", "flights"), id="m", type="x", text="{}", at=NOW - 5
    )
    found = values(StoredFacts(NOW, inbox=[message], set_aside=2, stalls=[("run", NOW - 70)]))
    assert found["headgate_inbox_messages", "pipeline"] == 1
    assert found[("headgate_inbox_oldest_seconds",)] == 5
    assert found[("headgate_messages_set_aside",)] == 2
    assert found["headgate_stalls", "run"] == 1
    assert found[("headgate_stalls_oldest_seconds",)] == 70


def test_a_quiet_controller_has_ages_of_0() -> None:
    found = values(StoredFacts(NOW))
    assert found
    assert set(found.values()) == {0}


@pytest.mark.parametrize(
    ("rollout", "waits"),
    [
        ({"approval": True}, "approval"),
        ({"approval": True, "approved": NOW}, None),
        ({"held": "not decided by the deadline"}, "decision"),
    ],
)
def test_what_a_person_has_to_decide(rollout: dict[str, Any], waits: str | None) -> None:
    env = EnvironmentState(
        pipeline="flights",
        name="production",
        repository="team",
        rollout=Rollout(
            id="r", version=Ref(version=2, digest="d"), kind="release", why="", by="", asked=NOW,
            **rollout,
        ),
    )  # fmt: skip
    assert environment_facts(env, None).waits == waits
