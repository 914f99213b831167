"""The summary of a job."""

from controller.reports.github_job import job_summary


def test_a_summary_is_cut_at_a_line_and_says_so() -> None:
    text = "".join(f"line {number} ✓\n" for number in range(1000))

    cut = job_summary(text, largest=500)

    assert len(cut.encode()) <= 500
    assert cut.splitlines()[0] == "line 0 ✓"
    assert cut.endswith("_The rest is omitted: GitHub shows at most 1 MiB._\n")
    assert set(cut.splitlines()[:-3]) <= set(text.splitlines())
    assert job_summary("short") == "short"
