"""PURE. How phases, outcomes and verdicts look in a terminal: their marks, styles and words.

A test holds each table to the type of its keys, so that a new phase or outcome cannot be missing.
"""

from collections.abc import Mapping
from typing import Final

from controller.machine.environments.rollout import Kind, Phase, RolloutOutcome
from controller.machine.runs.run import NodePhase, Outcome
from validators.verdict import Verdict

NODE_MARKS: Final[Mapping[NodePhase, tuple[str, str]]] = {
    "waiting": ("·", "dim"),
    "running": ("●", "cyan"),
    "cached": ("↺", "green"),
    "succeeded": ("✓", "green"),
    "failed": ("✗", "red"),
    "skipped": ("-", "dim"),
}
OUTCOME_MARKS: Final[Mapping[Outcome, tuple[str, str]]] = {
    "running": ("●", "cyan"),
    "passed": ("✓", "green"),
    "failed": ("✗", "red"),
    "stopped": ("■", "red"),
    "cancelled": ("-", "dim"),
}
VERDICT_STYLES: Final[Mapping[Verdict, str]] = {
    Verdict.PASS: "green",
    Verdict.WARN: "yellow",
    Verdict.SKIPPED: "dim",
    Verdict.INCONCLUSIVE: "yellow",
    Verdict.ERROR: "red",
    Verdict.FAIL: "red",
}
PHASES: Final[Mapping[Phase, str]] = {
    "approval": "awaiting approval",
    "starting": "starting its server",
    "smoke": "running its smoke test",
    "canary": "canary",
    "promoting": "being promoted",
}
KINDS: Final[Mapping[Kind, str]] = {
    "release": "",
    "edit": "set on the environments branch, ",
    "revert": "rollback, ",
}
ROLLOUT_STYLES: Final[Mapping[RolloutOutcome, str]] = {
    "promoted": "green",
    "rolled_back": "red",
    "aborted": "dim",
    "superseded": "dim",
    "failed": "red",
}
