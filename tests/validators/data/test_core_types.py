"""Which types are Great Expectations' own is known without its import."""

import json
import subprocess
import sys

from validators.data.suites.core_types import CORE

REGISTERED = """
import json
from validators.data.suites import engine
engine.arguments_of("")
from great_expectations.expectations.registry import list_registered_expectation_implementations
print(json.dumps(list_registered_expectation_implementations()))
"""


def test_they_are_those_of_the_installed_version() -> None:
    done = subprocess.run(
        (sys.executable, "-W", "ignore", "-c", REGISTERED), capture_output=True, check=True
    )
    assert set(json.loads(done.stdout)) == CORE
