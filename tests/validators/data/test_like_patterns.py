"""SQL's patterns mean what they mean in a database; DuckDB's LIKE is asked for comparison."""

from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.validators.data.asking import ask
from validators.data.answering.of_texts import like_regex
from validators.data.values.literals import Unfit
from validators.verdict import Verdict

LETTERS = "aAü%_!.\\*[ \n"
PATTERN = "  - {type: expect_column_values_to_%s, kwargs: {column: c, %s}}"


@given(st.text(LETTERS, max_size=5), st.text(LETTERS, max_size=5), st.sampled_from([None, "!"]))
@settings(max_examples=300, deadline=None)
def test_a_pattern_matches_what_it_matches_in_a_database(
    text: str, pattern: str, escape: str | None
) -> None:
    if escape and (len(pattern) - len(pattern.rstrip(escape))) % 2:
        with pytest.raises(Unfit, match="nothing follows"):
            like_regex(pattern, escape)
        return
    clause = "" if escape is None else f" ESCAPE '{escape}'"
    wanted = duckdb.execute(f"SELECT ? LIKE ?{clause}", [text, pattern]).fetchone()
    found = pc.match_substring_regex(pa.array([text]), like_regex(pattern, escape))
    assert wanted == (found[0].as_py(),)


@pytest.mark.parametrize("kind", [pa.string(), pa.dictionary(pa.int32(), pa.string())])
def test_all_four_types_are_judged(tmp_path: Path, kind: Any) -> None:
    texts = pa.array(["AA1", "AA2", "a%", None], kind)
    asked = [
        ("match_like_pattern", 'like_pattern: "AA_", mostly: 0.6'),
        ("not_match_like_pattern", 'like_pattern: "%!%", escape: "!"'),
        ("match_like_pattern_list", 'like_pattern_list: ["AA%", "a_"]'),
        ("match_like_pattern_list", 'like_pattern_list: ["AA%", "%1"], match_on: all'),
        ("not_match_like_pattern_list", 'like_pattern_list: ["aa%", "B%"]'),
    ]
    suite = "\n".join(["name: s", "expectations:", *(PATTERN % one for one in asked)])
    report = ask(tmp_path, {"c": texts}, suite)
    assert [one.verdict for one in report.checks] == [
        Verdict.PASS, Verdict.FAIL, Verdict.PASS, Verdict.FAIL, Verdict.PASS,
    ]  # fmt: skip
    assert [one.observed for one in report.checks] == [
        "1 (33.33 %)", "1 (33.33 %)", "0 (0 %)", "2 (66.67 %)", "0 (0 %)",
    ]  # fmt: skip


def test_numbers_have_no_pattern(tmp_path: Path) -> None:
    suite = "name: s\nexpectations:\n" + PATTERN % ("match_like_pattern", 'like_pattern: "1%"')
    (check,) = ask(tmp_path, {"c": [1, 2]}, suite).checks
    assert check.verdict is Verdict.ERROR
    assert "patterns are for texts" in check.message
    assert "`c` holds int64" in check.message
