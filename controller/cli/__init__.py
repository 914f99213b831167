"""The command line. A command's module is imported when it is called, so that help is quick."""

import os
from collections.abc import Mapping
from typing import Any

import click

from controller.cli.failures import as_click_error
from controller.cli.importing import imported

SECTIONS: Mapping[str, Mapping[str, str]] = {
    "Write": {
        "init": "Draft a spec for a folder.",
        "profile": "Propose a suite from data.",
        "validate": "Check specs, settings and suites.",
        "plan": "Say what a commit would run, and why.",
        "suite": "Upgrade a suite of Great Expectations before 1.0.",
    },
    "Run": {
        "run": "Run a commit's pipeline and its gates here.",
        "up": "Run the controller.",
        "down": "Stop the model servers that `up` left running.",
        "doctor": "Check the setup and say how to fix it.",
    },
    "Look": {
        "status": "Show what runs where.",
        "runs": "List runs.",
        "show": "Show a run, a model version or a rollout.",
        "logs": "Print the log of a step or a model server.",
        "explain": "Explain why a run happened and why each step ran.",
        "models": "List the model versions of a pipeline.",
        "export": "Write the model in an environment to a file.",
        "releases": "Show past releases and their evidence.",
    },
    "Act": {
        "trigger": "Request a run.",
        "retry": "Retry a run or a rollout.",
        "abort": "Stop a run or a rollout.",
        "accept": "Accept a dataset version that its gate stopped.",
        "approve": "Approve a rollout.",
        "promote": "Promote the version in progress now.",
        "rollback": "Roll back the canary, or to an earlier version.",
        "pause": "Stop rollouts from progressing by themselves.",
        "resume": "Resume paused rollouts.",
    },
    "State": {
        "store": "Copy the state to another store.",
        "backup": "Write the state to a file.",
        "restore": "Restore the state from a file.",
    },
}
"""Every command with its short help, so that listing them imports nothing. The commands of a
section are in the folder with its name in lower case."""

_MODULES = {
    "abort": "retry",
    "approve": "steer",
    "promote": "steer",
    "rollback": "steer",
    "pause": "steer",
    "resume": "steer",
}
"""The module of each command that is not in the module of its own name."""


class CommandGroup(click.Group):
    """Finds commands by name, and reports a failure as one clear message."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """All commands, in the order of the help."""
        return [name for commands in SECTIONS.values() for name in commands]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name, imported when it is needed."""
        if cmd_name not in self.list_commands(ctx):
            return None
        folder = next(s.lower() for s, commands in SECTIONS.items() if cmd_name in commands)
        module = imported(f"controller.cli.{folder}.{_MODULES.get(cmd_name, cmd_name)}")
        command: click.Command = getattr(module, cmd_name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Write the commands by section, from the table."""
        for section, commands in SECTIONS.items():
            with formatter.section(section):
                formatter.write_dl(list(commands.items()))

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[Any]:
        """Complete names from the table, without importing a command."""
        from click.shell_completion import CompletionItem

        options = click.Command.shell_complete(self, ctx, incomplete)
        named = [
            CompletionItem(name, help=text)
            for commands in SECTIONS.values()
            for name, text in commands.items()
            if name.startswith(incomplete)
        ]
        return named + options

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does, but suggest the nearest name for an unknown command."""
        if args and args[0] not in self.list_commands(ctx) and not args[0].startswith("-"):
            from difflib import get_close_matches

            near = get_close_matches(args[0], self.list_commands(ctx), n=1)
            meant = f" Did you mean {near[0]}?" if near else ""
            ctx.fail(f"there is no command {args[0]!r}.{meant}")
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command. A failure becomes one message; HEADGATE_DEBUG=1 shows the traceback."""
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except Exception as error:
            if os.environ.get("HEADGATE_DEBUG"):
                raise
            raise as_click_error(error) from None


@click.group(
    cls=CommandGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: 0 success, 1 failure, 2 wrong usage, 3 the store or git cannot be reached. "
    "Shell completion: see docs/commands.md.",
)
@click.option(
    "--settings",
    metavar="FILE",
    envvar="HEADGATE_SETTINGS",
    show_envvar=True,
    help="The settings file; by default the nearest headgate.yaml, from this folder upwards.",
)
@click.version_option(package_name="headgate", prog_name="headgate")
@click.pass_context
def main(ctx: click.Context, settings: str | None) -> None:
    """Headgate takes models from a commit to production, and rolls bad ones back.

    Commands read the state of the controller that the settings describe, running or not.
    """
    ctx.obj = settings
