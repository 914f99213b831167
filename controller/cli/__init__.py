"""The command line. A command's module is imported when it is called, so that help is quick."""

import gc
import os
import sys
from collections.abc import Mapping
from importlib import import_module
from types import ModuleType
from typing import Any

import click

from controller.cli.failures import said

SECTIONS: Mapping[str, Mapping[str, str]] = {
    "Write": {
        "init": "Write a spec that fits the folder.",
        "validate": "Check specs, settings and suites.",
        "plan": "Say what a commit would run, and why.",
    },
    "Run": {
        "run": "Run a commit's pipeline and its gates here.",
        "up": "Run the controller.",
        "down": "Stop what `up` left serving.",
        "doctor": "Check the set-up and name what to mend.",
    },
    "Look": {
        "status": "Show what runs where.",
        "runs": "List runs.",
        "show": "Show a run, a model version or a rollout.",
        "logs": "Print what a step or a server wrote.",
        "explain": "Say why a run happened and why each step ran.",
        "models": "List the model versions of a pipeline.",
        "export": "Write the model in an environment to a file.",
        "releases": "Show what was released, and on which evidence.",
    },
    "Act": {
        "trigger": "Ask for a run.",
        "retry": "Try a run or a rollout again.",
        "abort": "Stop a run or a rollout.",
        "approve": "Agree to a rollout that waits for a person.",
        "promote": "Bring the version in progress into service now.",
        "rollback": "Leave the canary, or bring back a former version.",
        "pause": "Keep a rollout from going on by itself.",
        "resume": "Let a paused rollout go on.",
    },
}
"""Every command with its short help, so that listing them imports nothing. A section is a folder
here, by its name in lower case."""

_MODULES = {
    "retry": "again",
    "abort": "again",
    "approve": "steer",
    "promote": "steer",
    "rollback": "steer",
    "pause": "steer",
    "resume": "steer",
}
"""Where a command is, if not in the module of its own name."""


def _imported(name: str) -> ModuleType:
    """The module. An import makes much that stays, and looking through it for garbage again and
    again is a sixth of what a command takes."""
    if name in sys.modules:
        return sys.modules[name]
    gc.disable()
    try:
        return import_module(name)
    finally:
        gc.freeze()
        gc.enable()


class CommandGroup(click.Group):
    """Finds commands by name, and turns failures into one clear message."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """All of them, as help orders them."""
        return [name for commands in SECTIONS.values() for name in commands]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name, imported now."""
        if cmd_name not in self.list_commands(ctx):
            return None
        folder = next(s.lower() for s, commands in SECTIONS.items() if cmd_name in commands)
        module = _imported(f"controller.cli.{folder}.{_MODULES.get(cmd_name, cmd_name)}")
        command: click.Command = getattr(module, cmd_name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """The sections, from the table."""
        for section, commands in SECTIONS.items():
            with formatter.section(section):
                formatter.write_dl(list(commands.items()))

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[Any]:
        """Names from the table: completing one imports no command."""
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
        """As click does, with the nearest name for one that does not exist."""
        if args and args[0] not in self.list_commands(ctx) and not args[0].startswith("-"):
            from difflib import get_close_matches

            near = get_close_matches(args[0], self.list_commands(ctx), n=1)
            meant = f" Did you mean {near[0]}?" if near else ""
            ctx.fail(f"there is no command {args[0]!r}.{meant}")
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command. What fails is said in a message; HEADGATE_DEBUG=1 shows the rest."""
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except Exception as error:
            if os.environ.get("HEADGATE_DEBUG"):
                raise
            raise said(error) from None


@click.group(
    cls=CommandGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: 0 all is well, 1 what was asked about failed, 2 wrong usage, 3 the store "
    "or git cannot be reached. Completion: see docs/commands.md.",
)
@click.option(
    "--settings",
    metavar="FILE",
    envvar="HEADGATE_SETTINGS",
    show_envvar=True,
    help="The settings; without it, the nearest headgate.yaml from here upwards.",
)
@click.version_option(package_name="headgate", prog_name="headgate")
@click.pass_context
def main(ctx: click.Context, settings: str | None) -> None:
    """Headgate brings models from a commit to production, and bad ones back.

    Commands read the state of the controller that the settings describe; it need not run.
    """
    ctx.obj = settings
