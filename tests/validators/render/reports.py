"""Reports for the renderers' tests: realistic ones, and any that the types allow."""

from typing import get_args

from hypothesis import strategies as st

from validators.report import (
    LONGEST_EXAMPLE,
    MOST_EXAMPLES,
    MOST_OBJECTS,
    Check,
    Examples,
    FailingObject,
    FailingObjects,
    Histogram,
    Interval,
    Location,
    MemberCount,
    MemberCounts,
    MetricComparison,
    ReferenceVersion,
    Report,
)
from validators.verdict import Verdict

TITLE = "flight-delay at 3fa9c1d"

DATA = Report(
    gate="data",
    subject="flights",
    checks=(
        Check(
            name="flight_id: unique values",
            verdict=Verdict.PASS,
            message="`flight_id`: unique values, in all 27,004 values",
            observed="0 (0 %)",
            limit="unique values",
            n=27004,
            engine="Headgate",
        ),
        Check(
            name="scheduled: format %H:%M",
            verdict=Verdict.PASS,
            message="`scheduled`: format %H:%M, in all 27,004 values",
            observed="0 (0 %)",
            limit="format %H:%M",
            n=27004,
            engine="Great Expectations",
        ),
        Check(
            name="dep_delay: values -60 to 1,440",
            verdict=Verdict.WARN,
            message="`dep_delay`: 3 of 27,004 values are outside -60 to 1,440 (0.01 %)",
            observed="3 (0.01 %)",
            limit="values -60 to 1,440",
            subject="dep_delay",
            n=27004,
            blocks=False,
            histogram=Histogram(
                edges=(-210, -60, 90, 240, 390, 540, 690, 840, 990, 1140, 1290, 1440, 1590),
                counts=(1, 25000, 1500, 400, 60, 20, 11, 5, 3, 2, 0, 1),
                above=1,
                low=-60,
                high=1440,
            ),
            reference=Histogram(
                edges=(-210, -60, 90, 240, 390, 540, 690, 840, 990, 1140, 1290, 1440, 1590),
                counts=(0, 24000, 1400, 380, 50, 20, 8, 4, 2, 0, 1, 0),
                estimated=True,
                low=-60,
                high=1440,
            ),
        ),
        Check(
            name="origin: only EWR, JFK, LGA",
            verdict=Verdict.FAIL,
            message="`origin`: 50 of 27,004 values are not in EWR, JFK, LGA (0.19 %), none allowed",
            observed="50 (0.19 %)",
            limit="only EWR, JFK, LGA",
            n=27004,
            members=MemberCounts(
                members=(
                    MemberCount(member="EWR", count=9893),
                    MemberCount(member="JFK", count=9161),
                    MemberCount(member="LGA", count=7900),
                ),
                others=50,
            ),
            reference=MemberCounts(
                members=(
                    MemberCount(member="EWR", count=9500),
                    MemberCount(member="JFK", count=9400),
                    MemberCount(member="LGA", count=6965),
                ),
            ),
        ),
        Check(
            name="carrier: no nulls",
            verdict=Verdict.FAIL,
            message="`carrier`: 412 of 27,004 values are null (1.53 %), none allowed",
            subject="carrier",
            observed="412 (1.53 %)",
            limit="no nulls",
            n=27004,
            where=Location(file="expectations/flights.yaml", line=7, column=5),
        ),
        Check(
            name="origin: matches ^[A-Z]{3}$",
            verdict=Verdict.FAIL,
            message="`origin`: 50 of 27,004 values do not match ^[A-Z]{3}$ (0.19 %), none allowed",
            subject="origin",
            observed="50 (0.19 %)",
            limit="matches ^[A-Z]{3}$",
            n=27004,
            engine="Great Expectations",
            objects=FailingObjects.of(
                FailingObject(key=f"2013-{month:02}.parquet", failing=failing, rows=2250)
                for month, failing in enumerate((1, 1, 1, 1, 30, 1, 1, 10, 1, 1, 1, 1), 1)
            ),
            examples=Examples.of(["jfk", "", "L.A", "EWR ", "N/A", "n/a", "a" * 41]),
        ),
    ),
    reference=ReferenceVersion(
        version="sha256:" + "3f" * 32,
        day="2026-05-12",
        how="passed its gates",
        run="flight-delay-11",
    ),
    provenance={"dataset version": "sha256:" + "0f" * 32},
    notes=("27,004 rows in 1 object.",),
)

ALIKE = tuple(
    Check(
        name="roc_auc by carrier",
        verdict=Verdict.WARN,
        message=f"carrier={carrier} got worse: roc_auc {old} → {new} on 406 rows.",
        subject=f"carrier={carrier}",
        observed=new,
        baseline=old,
        limit="not worse by more than 0.005",
        n=406,
        blocks=False,
        next_step="Add a check with `slice: carrier`.",
    )
    for carrier, old, new in (("UA", 0.81, 0.62), ("DL", 0.8, 0.63))
)
"""One question, asked of two values of a slice."""

MODEL = Report(
    gate="model",
    subject="flight-delay 7",
    enforces=False,
    checks=(
        Check(
            name="roc_auc not worse than baseline by 0.005",
            verdict=Verdict.FAIL,
            message="ROC AUC is 0.712, of version 6 it is 0.731.",
            observed=0.7123456,
            limit="not worse by more than 0.005",
            baseline=0.731,
            difference=-0.0186544,
            interval=Interval(low=-0.0231, high=-0.0147, confidence=0.95),
            n=27004,
            next_step="Look at `headgate explain R-17`.",
            where=Location(file="ml-pipeline.yaml", line=48),
        ),
        Check(
            name="roc_auc: carrier=OO",
            verdict=Verdict.INCONCLUSIVE,
            message="29 rows with 3 late flights are too few to say.",
            n=29,
        ),
        Check(name="latency", verdict=Verdict.ERROR, message="No predictions.", window=5400),
        *ALIKE,
        Check(name="fairness", verdict=Verdict.SKIPPED, message="No sensitive column."),
    ),
    baseline="v6",
    metrics=(
        MetricComparison(
            metric="roc_auc",
            candidate=0.7123456,
            baseline=0.731,
            difference=-0.0186544,
            interval=Interval(low=-0.0231, high=-0.0147, confidence=0.95),
            greater_is_better=True,
            n=27004,
        ),
        MetricComparison(
            metric="log_loss",
            candidate=0.48,
            baseline=0.47,
            difference=0.01,
            greater_is_better=False,
            n=27004,
            checked=False,
        ),
        MetricComparison(
            metric="r2",
            candidate=None,
            greater_is_better=True,
            n=27004,
            note="one | class <b>only",
            checked=False,
        ),
    ),
)

text = st.text(
    st.characters(codec="utf-8") | st.sampled_from("|`<>&*_[]()@#\\\n\x1b\x00\u202e"), max_size=40
)
hostile = text | st.sampled_from(
    [
        "<script>alert(1)</script>",
        "</details><img src=x onerror=alert(1)>",
        "x | y\n| --- |\n\n# heading",
        "@everyone see #1 and GH-2, https://evil.example/ www.evil.example",
        "[click](javascript:alert(1)) ![x](http://evil.example/x.png)",
        "```\nend of fence",
        "\x1b[2J\x1b]8;;http://evil.example\x07click\x1b]8;;\x07",
        "{{ 7 * 7 }}{% raw %}",
        "[bold red]rich[/bold red][/]",
        "]]>&amp;&#64;all",
    ]
)
numbers = st.floats(allow_nan=True, allow_infinity=True) | hostile | st.none()
histograms = st.lists(st.floats(-1e12, 1e12), min_size=2, max_size=5, unique=True).flatmap(
    lambda edges: st.builds(
        Histogram,
        edges=st.just(tuple(sorted(edges))),
        counts=st.tuples(*[st.integers(0, 10**9)] * (len(edges) - 1)),
        below=st.integers(0, 10**9),
        above=st.integers(0, 10**9),
        low=st.floats(-1e12, 1e12) | st.none(),
        high=st.floats(-1e12, 1e12) | st.none(),
        is_whole=st.booleans(),
        unit=st.sampled_from(("number", "day", "second", "character")),
        estimated=st.booleans(),
    )
)
member_counts = st.builds(
    MemberCounts,
    members=st.lists(
        st.builds(MemberCount, member=hostile, count=st.integers(0, 10**9)), max_size=3
    ).map(tuple),
    more=st.integers(0, 10**9),
    others=st.integers(0, 10**9),
    forbidden=st.booleans(),
    estimated=st.booleans(),
)


def in_the_same_bins(check: Check) -> Check:
    """The check with a reference that can be drawn over its histogram, if it has both."""
    of, other = check.histogram, check.reference
    if of is None or not isinstance(other, Histogram):
        return check
    counts = (other.counts * len(of.counts))[: len(of.counts)]
    same = other.model_copy(update={"edges": of.edges, "counts": counts})
    return check.model_copy(update={"reference": same})


checks = st.builds(
    Check,
    name=hostile,
    verdict=st.sampled_from(Verdict),
    message=hostile,
    observed=numbers,
    limit=hostile | st.none(),
    baseline=numbers,
    difference=st.floats() | st.none(),
    interval=st.builds(Interval, low=st.floats(), high=st.floats(), confidence=st.just(0.95))
    | st.none(),
    n=st.integers(0, 10**9) | st.none(),
    window=st.floats(0, 1e6) | st.none(),
    next_step=hostile | st.none(),
    engine=hostile | st.none(),
    histogram=histograms | st.none(),
    reference=histograms | member_counts | st.none(),
    members=member_counts | st.none(),
    where=st.builds(Location, file=hostile, line=st.integers(1, 999)) | st.none(),
    objects=st.builds(
        FailingObjects,
        worst=st.lists(
            st.builds(
                FailingObject,
                key=hostile,
                failing=st.integers(1, 10**9),
                rows=st.integers(0, 10**9),
            ),
            min_size=1,
            max_size=MOST_OBJECTS,
        ).map(tuple),
        more=st.integers(0, 10**6),
    )
    | st.none(),
    examples=st.builds(
        Examples,
        values=st.lists(hostile.map(lambda one: one[:LONGEST_EXAMPLE]), max_size=MOST_EXAMPLES).map(
            tuple
        ),
        hidden=st.integers(0, 10**6),
    )
    | st.none(),
).map(in_the_same_bins)
metrics = st.builds(
    MetricComparison,
    metric=hostile,
    candidate=st.floats() | st.none(),
    baseline=st.floats() | st.none(),
    difference=st.floats() | st.none(),
    interval=st.builds(Interval, low=st.floats(), high=st.floats(), confidence=st.just(0.95))
    | st.none(),
    greater_is_better=st.booleans(),
    n=st.integers(0, 10**9),
    note=hostile | st.none(),
    checked=st.booleans(),
)
reports = st.builds(
    Report,
    gate=st.sampled_from(get_args(Report.model_fields["gate"].annotation)),
    subject=hostile,
    exam=hostile,
    baseline=hostile,
    checks=st.lists(checks | st.just(ALIKE[0]), max_size=4).map(tuple),
    metrics=st.lists(metrics, max_size=3).map(tuple),
    enforces=st.booleans(),
    provenance=st.dictionaries(hostile, hostile, max_size=2),
    notes=st.lists(hostile, max_size=2).map(tuple),
    reference=st.builds(ReferenceVersion, version=hostile, day=hostile, how=hostile, run=hostile)
    | st.none(),
)
