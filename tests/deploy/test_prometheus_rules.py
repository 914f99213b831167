"""The alert rules: tested by promtool, each by a test that would fail without it."""

import re
import subprocess
from pathlib import Path
from typing import Any

import click
import pytest
from ruamel.yaml import YAML

from controller.cli import main as cli
from controller.telemetry.catalogue import BY_NAME
from tests.servers.prometheus import program

FOLDER = Path(__file__).parents[2] / "deploy" / "prometheus"
RULES = FOLDER / "headgate.rules.yaml"
TESTS = FOLDER / "headgate.rules.test.yaml"


def rules() -> list[dict[str, Any]]:
    found = YAML(typ="safe").load(RULES)
    return [rule for group in found["groups"] for rule in group["rules"]]


def promtool(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([program("promtool"), *arguments], capture_output=True, text=True)


@pytest.mark.prometheus
def test_the_rules_are_valid_and_fire_when_they_should() -> None:
    checked = promtool("check", "rules", RULES)
    assert checked.returncode == 0, checked.stderr
    tested = promtool("test", "rules", TESTS)
    assert tested.returncode == 0, tested.stderr + tested.stdout


@pytest.mark.prometheus
@pytest.mark.parametrize("always", [False, True], ids=["never", "always"])
def test_each_rule_that_never_or_always_fires_fails_its_tests(always: bool, tmp_path: Path) -> None:
    yaml = YAML(typ="safe")
    found = yaml.load(RULES)
    for group in found["groups"]:
        for rule in group["rules"]:
            rule["expr"] = f"vector(1) == {int(always)}"
            rule.pop("for", None)
    with (tmp_path / RULES.name).open("w") as file:
        yaml.dump(found, file)
    (tmp_path / TESTS.name).write_text(TESTS.read_text())
    tested = promtool("test", "rules", tmp_path / TESTS.name)
    assert tested.returncode != 0
    failed = set(re.findall(r"alertname: (\w+)", tested.stderr + tested.stdout))
    assert failed == {rule["alert"] for rule in rules()}


def test_each_alert_says_what_happened_what_to_do_and_which_command_tells_more() -> None:
    commands = {*cli.list_commands(click.Context(cli))}
    for rule in rules():
        told = rule["annotations"]
        assert told.keys() == {"summary", "action", "command"}, rule["alert"]
        assert rule["labels"]["severity"] in ("critical", "warning")
        assert told["command"].startswith("headgate ")
        said = f"{told['command']} {told['action']}"
        named = set(re.findall(r"headgate (\w+)", said))
        assert named <= commands, rule["alert"]
        for name in re.findall(r"headgate_\w+", rule["expr"]):
            assert name.removesuffix("_count") in BY_NAME, name
