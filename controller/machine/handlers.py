"""PURE. The table of all message handlers."""

from collections.abc import Callable, Mapping
from typing import Any

from controller.machine import stall
from controller.machine.core import Message
from controller.machine.environments import handlers as environment
from controller.machine.pipelines import triggering
from controller.machine.repositories import noticing
from controller.machine.runs import execution

Handler = Callable[..., Any]

HANDLERS: Mapping[str, Mapping[type[Message], Handler]] = {
    "repository": noticing.HANDLERS,
    "pipeline": triggering.HANDLERS,
    "run": execution.HANDLERS,
    "environment": environment.HANDLERS,
    "stall": stall.HANDLERS,
}
"""By kind of object and class of message. Any other message is set aside."""
