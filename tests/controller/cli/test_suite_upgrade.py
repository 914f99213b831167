"""`headgate suite upgrade`: where the result goes, and what is said."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from controller.cli import main
from validators.data.suites.suite import read_suite

OLD = {
    "expectation_suite_name": "flights",
    "expectations": [
        {"expectation_type": "expect_column_values_to_be_unique", "kwargs": {"column": "id"}},
    ],
}
GONE = {"expectation_type": "expect_column_values_to_be_valid_iban", "kwargs": {"column": "a"}}


pytestmark = pytest.mark.filterwarnings("ignore")  # the import of Great Expectations has many


def upgrade(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["suite", "upgrade", *map(str, arguments)])


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    file = tmp_path / "suite.json"
    file.write_text(json.dumps(OLD))
    return file


def test_it_is_printed_and_the_file_stays(suite: Path) -> None:
    before = suite.read_text()
    done = upgrade(suite)
    assert done.exit_code == 0
    assert read_suite(done.stdout, "suite.json").problems == ()
    assert "1 expectation in today's form." in done.stderr
    assert suite.read_text() == before


def test_it_is_written_in_its_place(suite: Path) -> None:
    done = upgrade(suite, "--write")
    assert (done.exit_code, done.stdout) == (0, "")
    assert read_suite(suite.read_text(), "suite.json").problems == ()
    again = upgrade(suite, "--write")
    assert "nothing is changed" in again.stderr


def test_it_is_written_elsewhere_in_the_form_of_the_name(suite: Path) -> None:
    other = suite.with_name("suite.yaml")
    assert upgrade(suite, "--output", other).exit_code == 0
    (one,) = read_suite(other.read_text(), "suite.yaml").expectations
    assert one.kwargs == {"column": "id"}


def test_what_is_lost_is_said_and_is_no_success(suite: Path) -> None:
    suite.write_text(json.dumps({**OLD, "expectations": [*OLD["expectations"], GONE]}))
    done = upgrade(suite, "--write")
    assert done.exit_code == 1
    assert "lost: expectation 2 (expect_column_values_to_be_valid_iban of a)" in done.stderr
    assert len(read_suite(suite.read_text(), "suite.json").expectations) == 1


@pytest.mark.parametrize("text", ["{", '{"expectations": [NaN]}', "\udcff"])
def test_what_cannot_be_read_is_one_message(suite: Path, text: str) -> None:
    suite.write_bytes(text.encode("utf-8", "surrogateescape"))
    done = upgrade(suite, "--write")
    assert done.exit_code == 1
    assert "Error:" in done.stderr
    assert suite.read_bytes() == text.encode("utf-8", "surrogateescape")


def test_the_problems_of_an_old_suite_name_the_command() -> None:
    name, kind = read_suite(json.dumps(OLD), "expectations/flights.json").problems
    for problem in (name, kind):
        assert "`headgate suite upgrade expectations/flights.json`" in problem.message


@pytest.mark.parametrize("text", ["[1, 2]", '{"name": "flights"}', "{}", "7"])
def test_what_is_no_suite_is_said_to_be_none(suite: Path, text: str) -> None:
    suite.write_text(text)
    done = upgrade(suite)
    assert done.exit_code == 1
    assert "has no list of `expectations`" in done.stderr
