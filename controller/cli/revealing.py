"""The secrets of a command that needs no controller."""

import os
from collections.abc import Callable

import click

from controller.cli.context import find_settings, load_context
from controller.config.secrets import Secrets
from controller.config.settings_file import given_secrets, load_secrets


def revealer(ctx: click.Context) -> Callable[[str], str]:
    """Gives a secret by its name: the controller's if there are settings, else that of the
    environment. Raises what `Secrets.reveal` raises."""

    def reveal(name: str) -> str:
        if find_settings(ctx.find_root().obj) is None:
            secrets = Secrets(given_secrets(os.environ))
        else:
            here = load_context(ctx)
            secrets = load_secrets(here.settings, here.base, os.environ)
        return secrets.reveal((name,))[name]

    return reveal
