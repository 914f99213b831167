"""`headgate doctor`."""

import asyncio
import sys
from collections.abc import Mapping
from typing import Final

import click

from controller.cli.context import json_option, load_context, print_json
from controller.cli.terminal.formatting import one_line
from controller.doctor.examine import examine
from controller.doctor.findings import Finding, FindingState

MARKS: Final[Mapping[FindingState, tuple[str, str]]] = {
    "ok": ("✓", "green"),
    "warning": ("!", "yellow"),
    "error": ("✗", "red"),
}


@click.command(short_help="Check the setup and say how to fix it.")
@json_option
@click.pass_context
def doctor(ctx: click.Context, as_json: bool) -> None:
    """Check the settings, git, the remotes, GitHub, the home folder, the state, the packages, the
    confinement of steps, the object stores of artifacts and datasets, their queues, the databases
    of queries, and the Docker Engine and the Kubernetes cluster if one is used.

    Each finding says how to fix it. The exit code is 1 if there is an error. Write access is tested
    by a push that changes nothing, and by an object that is deleted again.

    \b
    Example:
      headgate doctor
    """
    here = load_context(ctx)

    async def run() -> list[Finding]:
        findings = []
        async for finding in examine(here.settings, here.base):
            findings.append(finding)
            if not as_json:
                _print(finding)
        return findings

    findings = asyncio.run(run())
    if as_json:
        print_json(findings)
    if any(finding.state == "error" for finding in findings):
        sys.exit(1)


def _print(finding: Finding) -> None:
    mark, colour = MARKS[finding.state]
    click.echo(f"{click.style(mark, fg=colour)} {finding.what}: {one_line(finding.message, 300)}")
    if finding.fix:
        click.echo(f"  → {finding.fix}")
