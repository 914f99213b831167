"""Imports a command, or the half of it that only some calls need, when it is called for."""

import gc
import sys
from importlib import import_module
from types import ModuleType


def imported(name: str) -> ModuleType:
    """Import a module with the garbage collector off. What an import makes stays alive, and
    scanning it again and again takes a sixth of a command's time."""
    if name in sys.modules:
        return sys.modules[name]
    gc.disable()
    try:
        return import_module(name)
    finally:
        gc.freeze()
        gc.enable()
