"""What is shown of a phase, an outcome or a verdict covers all that there are."""

from collections.abc import Iterable, Mapping
from typing import Any, get_args

import pytest

from controller.cli.run import doctor
from controller.cli.run import progress as running
from controller.cli.terminal import styles
from controller.doctor.findings import FindingState
from controller.machine.environments.rollout import Kind, Phase, RolloutOutcome
from controller.machine.runs.run import NodePhase, Outcome
from validators.verdict import Verdict


@pytest.mark.parametrize(
    ("shown", "known"),
    [
        pytest.param(styles.NODE_MARKS, get_args(NodePhase), id="nodes"),
        pytest.param(styles.OUTCOME_MARKS, get_args(Outcome), id="runs"),
        pytest.param(styles.VERDICT_STYLES, Verdict, id="verdicts"),
        pytest.param(styles.PHASES, get_args(Phase), id="rollouts"),
        pytest.param(styles.KINDS, get_args(Kind), id="kinds of rollouts"),
        pytest.param(styles.ROLLOUT_STYLES, get_args(RolloutOutcome), id="ended rollouts"),
        pytest.param({**running.CODES, "running": None}, get_args(Outcome), id="exit codes"),
        pytest.param(doctor.MARKS, get_args(FindingState), id="findings"),
    ],
)
def test_each_table_covers_its_type(shown: Mapping[Any, Any], known: Iterable[Any]) -> None:
    assert set(shown) == set(known)
    assert known
