"""A model trained on the sample, made once per worker."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

from tests.examples import helpers


def _script(name: str) -> ModuleType:
    """A script of the example as a module; its folder is no package and not on the path."""
    specification = importlib.util.spec_from_file_location(name, helpers.FOLDER / f"{name}.py")
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    sys.modules[name] = module  # the scripts import each other by these names
    specification.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def flights() -> ModuleType:
    return _script("flights")


@pytest.fixture(scope="session")
def bucket() -> ModuleType:
    return _script("bucket")


@pytest.fixture(scope="session")
def load(flights: ModuleType) -> ModuleType:
    return _script("load")


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What train.py makes of January and February, with March held out."""
    out = tmp_path_factory.mktemp("model") / "model.joblib"
    helpers.run("train.py", "--data", helpers.MONTHS, "--out", out)
    return out
