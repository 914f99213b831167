"""PURE. Every metric of the controller: its name, kind, labels and meaning.

Metrics are made from this table, and the table in docs/operations.md is, too: `python -m
controller.telemetry.catalogue PAGE` rewrites it.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Literal, NamedTuple

PIPELINES: Final = 1000
"""How many pipelines have series of their own; those of all others are named `OTHER`."""
OTHER: Final = "other"

SECONDS: Final = (0.005, 0.02, 0.1, 0.5, 2.0, 10.0, 60.0)
"""Upper bounds of a turn's histogram, which is no longer than a minute for each action."""
LONG: Final = (1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 4 * 3600.0, 24 * 3600.0)
"""Upper bounds for steps, runs and rollouts."""

Kind = Literal["gauge", "counter", "histogram"]


class MetricEntry(NamedTuple):
    """A metric. Names and units as Prometheus has them: seconds, ratios, `_total`."""

    name: str
    kind: Kind
    meaning: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()


_PLACE = ("pipeline", "environment")

CATALOGUE: Final = (
    # From the stored state.
    MetricEntry(
        "headgate_rollouts_in_progress",
        "gauge",
        "Rollouts by phase: `approval`, `starting`, `smoke`, `canary`, `promoting`.",
        (*_PLACE, "phase"),
    ),
    MetricEntry(
        "headgate_serving_version",
        "gauge",
        "The number of the stable model version.",
        _PLACE,
    ),
    MetricEntry(
        "headgate_canary_weight_ratio",
        "gauge",
        "The canary's share of the traffic, as decided; the router may have taken it away.",
        _PLACE,
    ),
    MetricEntry(
        "headgate_canary_evidence_ratio",
        "gauge",
        "How near the judge is to a rollback: the log of the evidence over its limit. 1 rolls "
        "back, 0 is no evidence; cut off at -1.",
        _PLACE,
    ),
    MetricEntry(
        "headgate_canary_requests",
        "gauge",
        "Requests that the judge of the canary in progress has counted; `arm` is `canary` or "
        "`stable`.",
        (*_PLACE, "arm"),
    ),
    MetricEntry(
        "headgate_canary_errors",
        "gauge",
        "How many of these failed.",
        (*_PLACE, "arm"),
    ),
    MetricEntry(
        "headgate_waiting_for_human",
        "gauge",
        "Rollouts that a person must decide; `reason` is `approval`, or `decision` for a canary"
        " that is held.",
        (*_PLACE, "reason"),
    ),
    MetricEntry(
        "headgate_waiting_for_human_oldest_seconds",
        "gauge",
        "For how long the oldest of these has been waiting.",
    ),
    MetricEntry(
        "headgate_open_alerts",
        "gauge",
        "Alerts of environments that people were notified of and that have not ended.",
        _PLACE,
    ),
    MetricEntry(
        "headgate_runs_in_progress",
        "gauge",
        "Runs that have not ended.",
        ("pipeline",),
    ),
    MetricEntry(
        "headgate_outbox_entries",
        "gauge",
        "Actions that are still to be applied, by type.",
        ("action",),
    ),
    MetricEntry(
        "headgate_outbox_failing",
        "gauge",
        "Those of them whose last attempt failed.",
        ("action",),
    ),
    MetricEntry(
        "headgate_outbox_oldest_seconds",
        "gauge",
        "For how long the oldest entry has been seen in the outbox, since this process started.",
    ),
    MetricEntry(
        "headgate_outbox_oldest_failing_seconds",
        "gauge",
        "For how long the oldest failing entry has been seen to fail, since this process started.",
    ),
    MetricEntry(
        "headgate_inbox_messages",
        "gauge",
        "Messages that have not been handled yet, by the kind of object that they are for.",
        ("kind",),
    ),
    MetricEntry(
        "headgate_inbox_oldest_seconds",
        "gauge",
        "The age of the oldest of these.",
    ),
    MetricEntry(
        "headgate_messages_set_aside",
        "gauge",
        "Messages that could not be handled and are kept for `keep`.",
    ),
    MetricEntry(
        "headgate_stalls",
        "gauge",
        "Objects that make no progress, by kind.",
        ("kind",),
    ),
    MetricEntry(
        "headgate_stalls_oldest_seconds",
        "gauge",
        "For how long the oldest of these has made no progress.",
    ),
    MetricEntry(
        "headgate_state_age_seconds",
        "gauge",
        "How old the values above are. It grows while the state cannot be read.",
    ),
    MetricEntry(
        "headgate_state_read_seconds",
        "gauge",
        "How long it took to read them.",
    ),
    # From the process.
    MetricEntry(
        "headgate_info",
        "gauge",
        "Always 1; the version of the controller.",
        ("version",),
    ),
    MetricEntry(
        "headgate_can_save",
        "gauge",
        "1 if the controller can save its state, 0 if it has stopped because it cannot.",
    ),
    MetricEntry(
        "headgate_repository_reachable",
        "gauge",
        "1 if the last poll of a git repository worked.",
        ("repository",),
    ),
    MetricEntry(
        "headgate_sources_failing",
        "gauge",
        "Sources (repositories, buckets, schedules, queues) that cannot watch as they should.",
    ),
    MetricEntry(
        "headgate_unreadable_objects",
        "gauge",
        "Objects that stand still because this version cannot read their state.",
    ),
    MetricEntry(
        "headgate_queue_depth",
        "gauge",
        "Keys of the work queue: `ready` for a worker, `in_progress`, `delayed` until their time.",
        ("queue",),
    ),
    MetricEntry(
        "headgate_api_budget_remaining",
        "gauge",
        "Requests left of a forge's rate limit; of several accounts the least.",
        ("api",),
    ),
    # What happened since the process started.
    MetricEntry(
        "headgate_rollouts_total",
        "counter",
        "Ended rollouts: `promoted`, `rolled_back`, `aborted`, `superseded`, `failed`.",
        (*_PLACE, "outcome"),
    ),
    MetricEntry(
        "headgate_rollout_duration_seconds",
        "histogram",
        "From the request for a rollout to its end.",
        (
            "environment",
            "outcome",
        ),
        LONG,
    ),
    MetricEntry(
        "headgate_gate_verdicts_total",
        "counter",
        "Verdicts by kind of gate: `data`, `model`, `smoke`.",
        (
            "pipeline",
            "gate",
            "verdict",
        ),
    ),
    MetricEntry(
        "headgate_runs_total",
        "counter",
        "Ended runs: `passed`, `failed`, `stopped` by a gate, `cancelled`.",
        (
            "pipeline",
            "outcome",
        ),
    ),
    MetricEntry(
        "headgate_run_duration_seconds",
        "histogram",
        "From the creation of a run to its end.",
        ("outcome",),
        LONG,
    ),
    MetricEntry(
        "headgate_steps_total",
        "counter",
        "Steps, gates and fetches of data that are done: `succeeded`, `cached`, `failed`, "
        "`skipped`.",
        (
            "pipeline",
            "result",
        ),
    ),
    MetricEntry(
        "headgate_step_duration_seconds",
        "histogram",
        "From the start of an attempt to its end, by `kind` (`step`, `gate`, `data`) and final "
        "state.",
        (
            "kind",
            "result",
        ),
        LONG,
    ),
    MetricEntry(
        "headgate_turn_duration_seconds",
        "histogram",
        "Turns of the loop: reconciling one key, with its actions; by kind of object and result"
        " (`done`, `conflict`, `ignored`, `retried`, `human`, `error`).",
        (
            "kind",
            "result",
        ),
        SECONDS,
    ),
    MetricEntry(
        "headgate_saves_total",
        "counter",
        "Decisions that were saved.",
    ),
    MetricEntry(
        "headgate_conflicts_total",
        "counter",
        "Decisions that were made again because somebody else had changed the object.",
    ),
    MetricEntry(
        "headgate_actions_total",
        "counter",
        "Actions: `acknowledged`, `postponed` (they failed and are tried again), `failed` for "
        "good.",
        ("result",),
    ),
    MetricEntry(
        "headgate_internal_errors_total",
        "counter",
        "Errors of Headgate itself. Please report them.",
    ),
    MetricEntry(
        "headgate_git_errors_total",
        "counter",
        "Calls of git that failed: `unreachable`, `timeout`, `refused`, `declined`, `raced`, "
        "`not_a_repository`, `missing_object`, `damaged`, `disk_full`.",
        ("kind",),
    ),
    MetricEntry(
        "headgate_api_requests_total",
        "counter",
        "Requests to a forge's API.",
        ("api",),
    ),
    MetricEntry(
        "headgate_api_errors_total",
        "counter",
        "Those that failed: `unreachable`, `server`, `refused`, `not_found`, `rate_limit`.",
        (
            "api",
            "kind",
        ),
    ),
    MetricEntry(
        "headgate_notifications_total",
        "counter",
        "Notifications by event: `sent`, `postponed` (they are tried again), `failed` for good.",
        (
            "event",
            "result",
        ),
    ),
)
BY_NAME: Final = {entry.name: entry for entry in CATALOGUE}

BEGIN: Final = (
    "<!-- The metrics: generated by `make docs` from controller/telemetry/catalogue.py. -->"
)
END: Final = "<!-- The end of the metrics. -->"


class PipelineLabels:
    """The names of pipelines as labels: the first `most` distinct ones, and `OTHER`."""

    def __init__(self, most: int = PIPELINES) -> None:
        self._most = most
        self._known: set[str] = set()

    def label(self, pipeline: str) -> str:
        """Its name, or `OTHER`. A pipeline keeps what it got for as long as the process lives."""
        if pipeline not in self._known:
            if len(self._known) >= self._most:
                return OTHER
            self._known.add(pipeline)
        return pipeline


def table(entries: Sequence[MetricEntry] = CATALOGUE) -> str:
    """The metrics as a Markdown table."""
    rows = [("metric", "kind", "labels", "meaning"), ("---",) * 4]
    for one in entries:
        labels = ", ".join(f"`{label}`" for label in one.labels)
        rows.append((f"`{one.name}`", one.kind, labels, one.meaning))
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def render(page: str) -> str:
    """The page with an up-to-date table. Raises ValueError if it lacks the markers."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the page lacks the lines {BEGIN} and {END}")
    return f"{before}{BEGIN}\n\n{table()}\n\n{END}{after}"


def main() -> None:
    """Rewrite the page that is named."""
    page = Path(sys.argv[1])
    page.write_text(render(page.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
