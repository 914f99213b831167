"""Verdicts combine on a lattice that never improves (PAINS 3 and 19)."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from validators.report import Check, Report
from validators.verdict import Verdict, worst

verdicts = st.sampled_from(Verdict)
many = st.lists(verdicts, max_size=8)
some = st.lists(verdicts, min_size=1, max_size=8)


@given(some)
def test_a_combination_is_never_better_than_any_of_its_members(members: list[Verdict]) -> None:
    assert all(worst(members).rank >= member.rank for member in members)


@given(some)
def test_a_combination_is_one_of_its_members(members: list[Verdict]) -> None:
    assert worst(members) in members


@given(some, verdicts)
def test_one_more_verdict_never_improves_what_was_found(
    members: list[Verdict], added: Verdict
) -> None:
    assert worst([*members, added]).rank >= worst(members).rank


@pytest.mark.parametrize(("a", "b", "c"), list(itertools.product(Verdict, repeat=3)))
def test_combining_is_associative_commutative_and_idempotent(
    a: Verdict, b: Verdict, c: Verdict
) -> None:
    assert worst([worst([a, b]), c]) is worst([a, worst([b, c])])
    assert worst([a, b]) is worst([b, a])
    assert worst([a, a]) is a


def test_nothing_evaluated_is_an_error() -> None:
    assert worst([]) is Verdict.ERROR
    assert Report(gate="data", subject="flights").verdict is Verdict.ERROR


@pytest.mark.parametrize(
    ("verdict", "passes"),
    [
        (Verdict.PASS, True),
        (Verdict.WARN, True),
        (Verdict.SKIPPED, False),
        (Verdict.INCONCLUSIVE, False),
        (Verdict.ERROR, False),
        (Verdict.FAIL, False),
    ],
)
def test_only_pass_and_warn_let_a_candidate_go_on(verdict: Verdict, passes: bool) -> None:
    assert verdict.passes is passes


@given(many)
def test_a_combination_passes_only_if_something_passed_and_nothing_spoke_against_it(
    members: list[Verdict],
) -> None:
    against = {Verdict.FAIL, Verdict.ERROR, Verdict.INCONCLUSIVE}
    evaluated = [member for member in members if member is not Verdict.SKIPPED]
    assert worst(members).passes is (bool(evaluated) and not against & set(evaluated))


@given(many)
def test_a_check_skipped_on_purpose_changes_nothing_beside_one_that_was_evaluated(
    members: list[Verdict],
) -> None:
    # Skipping is a decision that was written down, so it neither stops what passed nor hides what
    # failed; alone it does not pass.
    beside = [*members, Verdict.PASS]
    assert worst([*beside, Verdict.SKIPPED]) is worst(beside)
    assert not worst([Verdict.SKIPPED]).passes


@given(many)
def test_a_report_cannot_disagree_with_its_checks(members: list[Verdict]) -> None:
    checks = tuple(
        Check(name=f"check {at}", verdict=verdict, message="found")
        for at, verdict in enumerate(members)
    )
    report = Report(gate="model", subject="flight-delay", checks=checks)
    assert report.verdict is worst(members)
    assert sum(report.count(verdict) for verdict in Verdict) == len(members)
    again = Report.model_validate_json(report.model_dump_json())
    assert again == report
    assert again.verdict is report.verdict
