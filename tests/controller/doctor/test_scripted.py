"""What the doctor says of pipelines that scripts deploy."""

from typing import Any

from controller.doctor.specs import scripted
from tests.controller.machine.kit import spec

COMMANDS = {name: f"{name}.py" for name in ("apply", "observe", "traffic", "remove")}


def deployed_by_scripts(*, strategy: str = "canary", split: str = "draw") -> Any:
    return spec(
        ("release.command", {**COMMANDS, "split": split}),
        ("release.production.deployer", "command"),
        ("release.production.strategy", strategy),
    )


def test_that_nobody_watches_a_canary_of_scripts_is_said_before_it_matters() -> None:
    (finding,) = scripted([spec(), deployed_by_scripts()])
    assert "a canary keeps its traffic while no controller runs" in str(finding)
    assert list(scripted([spec(), deployed_by_scripts(strategy="direct")])) == []
