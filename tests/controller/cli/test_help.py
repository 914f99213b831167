"""Help: complete, documented, and quick because it imports nothing."""

import os
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from controller.cli import SECTIONS, main

ROOT = Path(__file__).parents[3]
GOLDEN = Path(__file__).parent / "golden"
SHORT = {name: text for commands in SECTIONS.values() for name, text in commands.items()}
HEAVY = {
    "pydantic",
    "rich",
    "sqlalchemy",
    "ruamel",
    "httpx",
    "pandas",
    "numpy",
    "jinja2",
    "asyncio",
}


def command(name: str) -> click.Command:
    with click.Context(main) as context:
        found = main.get_command(context, name)
    assert found is not None
    return found


def help_of(*arguments: str) -> str:
    result = CliRunner(env={"COLUMNS": "100"}).invoke(main, [*arguments, "--help"])
    assert result.exit_code == 0, result.output
    return result.output


@pytest.mark.parametrize("name", sorted(SHORT))
def test_help_of_a_command_looks_as_it_did(name: str) -> None:
    """After a wanted change: `HEADGATE_GOLDEN=write pytest tests/controller/cli/test_help.py`."""
    text = help_of(name)
    if os.environ.get("HEADGATE_GOLDEN") == "write":
        GOLDEN.mkdir(exist_ok=True)
        (GOLDEN / f"{name}.txt").write_text(text, encoding="utf-8")
    assert text == (GOLDEN / f"{name}.txt").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", sorted(SHORT))
def test_every_command_has_an_example_and_the_short_help_of_the_list(name: str) -> None:
    assert "Example:\n" in help_of(name)
    assert f"headgate {name}" in help_of(name).partition("Example:")[2]
    assert command(name).short_help == SHORT[name]


@pytest.mark.parametrize("name", sorted(SHORT))
def test_every_command_and_option_is_documented(name: str) -> None:
    text = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
    entry = re.search(rf"`headgate {name}[ `]", text)
    assert entry, f"docs/commands.md does not tell of `headgate {name}`"
    said_everywhere = {"--json", "--no-wait", "--help", "--reason", "--name"}
    for parameter in command(name).params:
        for option in parameter.opts:
            if option.startswith("--") and option not in said_everywhere:
                assert option in text, f"docs/commands.md does not tell of {name} {option}"


def test_everything_that_reads_prints_json() -> None:
    for name in ("status", "runs", "show", "models", "releases", "explain", "plan", "doctor"):
        assert "--json" in help_of(name), name


def test_the_list_of_commands_imports_nothing_heavy() -> None:
    code = (
        "import sys\n"
        "from controller.cli import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        "print(*sys.modules, file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True
    )
    assert "rollback" in done.stdout
    loaded = {module.partition(".")[0] for module in done.stderr.split()}
    assert not loaded & HEAVY
    ours = {m for m in done.stderr.split() if m.startswith(("specs.", "controller.machine"))}
    assert ours == {"specs.failures"}, "what a failure is called, and nothing of what commands do"


def test_completing_a_command_imports_none() -> None:
    code = "import sys; from controller.cli import main\nmain(prog_name='headgate')"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
        env=os.environ
        | {"_HEADGATE_COMPLETE": "bash_complete", "COMP_WORDS": "headgate ro", "COMP_CWORD": "1"},
    )
    assert done.stdout.strip() == "plain,rollback"


def test_a_misspelt_command_is_answered_with_the_nearest() -> None:
    result = CliRunner().invoke(main, ["rolback"])
    assert result.exit_code == 2
    assert "Did you mean rollback?" in result.stderr


def test_the_version_is_told() -> None:
    assert CliRunner().invoke(main, ["--version"]).output.startswith("headgate, version ")
