"""The smallest example, as a new user meets it."""

from pathlib import Path

from tests.scenarios.shapes import new_user

PENGUIN = {
    "species": "Gentoo",
    "bill_length_mm": 46.1,
    "bill_depth_mm": 13.2,
    "flipper_length_mm": 211,
    "body_mass_g": 4500,
}


def test_an_empty_clone_has_a_model_in_production_after_seven_commands(tmp_path: Path) -> None:
    with new_user("minimal", tmp_path) as shape:
        assert len(shape.commands) == 7
        assert 0.9 < shape.ask(PENGUIN)["p_female"] <= 1
