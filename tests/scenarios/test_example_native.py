"""A team without a line of Python: C and Node, as a new user meets them."""

import shutil
from pathlib import Path

import pytest

from tests.scenarios.shapes import new_user

PENGUIN = {"bill_length_mm": 46.1, "bill_depth_mm": 13.2, "flipper_length_mm": 211}
LACKING = [name for name in ("cc", "node") if shutil.which(name) is None]


@pytest.mark.skipif(bool(LACKING), reason=f"the example needs {' and '.join(LACKING)}")
def test_c_and_node_come_from_a_clone_into_production(tmp_path: Path) -> None:
    with new_user("native-steps", tmp_path) as shape:
        assert len(shape.commands) == 7
        assert 4000 < shape.ask(PENGUIN)["body_mass_g"] < 5500
