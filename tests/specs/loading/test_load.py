"""Loading: hostile text results in a problem, and all mistakes are reported at once."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from specs.lint.check import check
from specs.loading.load import LoadedSpec, load
from specs.loading.problems import Problem, render_text
from specs.loading.tree import MOST_BYTES, parse
from tests.specs.samples import FILES, FLIGHT_DELAY, SMALLEST, TEN_MISTAKES
from tests.specs.steady import steady

FILE = "ml-pipeline.yaml"
AFTER = len(SMALLEST.splitlines()) + 1
"""The line of text that is added to the smallest spec."""

GOLDEN = Path(__file__).parents[1] / "samples" / "ten-mistakes.txt"


def only(content: str | bytes) -> Problem:
    """The only problem of a text."""
    loaded = load(content, FILE)
    assert loaded.pipeline is None
    assert len(loaded.problems) == 1, loaded.problems
    return loaded.problems[0]


def test_ten_mistakes_are_reported_at_once_with_line_and_column() -> None:
    loaded = check(TEN_MISTAKES, FILE, FILES)
    assert loaded.pipeline is None
    assert len(loaded.problems) == 10
    assert render_text(loaded.problems, {FILE: loaded.text}) == GOLDEN.read_text()


def test_a_misspelt_key_is_not_also_reported_as_missing() -> None:
    problem = only(SMALLEST.replace("    run: python train.py", "    rum: python train.py"))
    assert (problem.code, problem.line, problem.column) == ("unknown-key", 8, 5)
    assert problem.nearest == "run"
    assert problem.path == "steps.train.rum"


def test_a_check_with_a_misspelt_margin_is_one_problem() -> None:
    problem = only(SMALLEST.replace("not_worse_than_baseline_by", "not_worse_than_baseline"))
    assert problem.code == "unknown-key"
    assert problem.nearest == "not_worse_than_baseline_by"


def test_a_missing_key_is_reported_where_it_belongs() -> None:
    problem = only(SMALLEST.replace("    run: python train.py", "    env: {A: b}\n    # python"))
    assert problem.code == "missing-key"
    assert problem.message == "`steps.train` lacks `run`"
    assert (problem.line, problem.column) == (7, 3)


def test_a_number_in_place_of_text_is_shown_in_quotes() -> None:
    problem = only(SMALLEST + "environment: {python: 3.10}\n")
    assert problem.expected == 'text: write "3.10" in quotes'
    assert (problem.line, problem.column) == (AFTER, 23)


@pytest.mark.parametrize(
    ("old", "new", "path", "advice"),
    [
        ("name: flight-delay", "name: Flight Delay", "metadata.name", "flight-delay"),
        ("[{metric: roc_auc", "[{metric: roc_au", "gates.model.checks[0].metric", "roc_auc"),
    ],
)
def test_the_nearest_valid_value_is_suggested(old: str, new: str, path: str, advice: str) -> None:
    problem = only(SMALLEST.replace(old, new))
    assert (problem.path, problem.nearest) == (path, advice)


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("strng", "string"),
        ("text", "string"),
        ("VARCHAR", "string"),
        ("integer", "int64"),
        ("float", "double"),
        ("datetime", "timestamp"),
    ],
)
def test_a_foreign_name_of_a_column_type_gets_the_right_name(said: str, meant: str) -> None:
    expectations = "expectations: expectations.yaml"
    problem = only(SMALLEST.replace(expectations, f"{expectations}, types: {{zip: {said}}}"))
    assert (problem.code, problem.path) == ("wrong-value", "datasets.flights.types.zip")
    assert problem.nearest == meant
    assert problem.expected == "one of string, int64, double, decimal, bool, date, timestamp"


def test_a_number_among_nulls_is_shown_in_quotes() -> None:
    expectations = "expectations: expectations.yaml"
    problem = only(SMALLEST.replace(expectations, f"{expectations}, nulls: ['', -999]"))
    assert problem.path == "datasets.flights.nulls[1]"
    assert problem.expected == 'text: write "-999" in quotes'


@pytest.mark.parametrize(
    ("more", "path", "expected"),
    [
        ("triggers: {data: {datasets: flights}}", "triggers.data.datasets", "a list"),
        ("triggers: {data: {datasets: []}}", "triggers.data.datasets", "at least one"),
        (
            "triggers: {pull_requests: {enabled: yes}}",
            "triggers.pull_requests.enabled",
            "true or false",
        ),
        ("triggers:", "triggers", "a mapping"),
        ("params: {a: [1]}", "params.a", "text, a number, true or false"),
        ("params: {a: null}", "params.a", "text, a number, true or false"),
        ("params: {a: 99999999999999999999}", "params.a", "a whole number of at most 64 bits"),
        (
            "params: {'a b': 1}",
            "params.a b",
            "letters, digits, _ and -, not beginning with a digit",
        ),
        ("environment: {requirements: ../r.txt}", "environment.requirements", "a path below"),
        ("environment: {requirements: /etc/passwd}", "environment.requirements", "a path below"),
        ("environment: {resources: {memory: lots}}", "environment.resources.memory", "a size"),
        ("notify: [{to: 'json://x', on: [rolback]}]", "notify[0].on[0]", "one of rollback"),
    ],
)
def test_one_mistake_is_one_problem(more: str, path: str, expected: str) -> None:
    problem = only(f"{SMALLEST}{more}\n")
    assert problem.path == path
    assert problem.expected is not None
    assert problem.expected.startswith(expected)


@pytest.mark.parametrize(
    ("limit", "expected"),
    [
        ("largest_request: 129Mi", "a size above 0 and at most 128Mi"),
        ("largest_request: 0", "a size above 0 and at most 128Mi"),
        ("answer_within: 2h", "at most 1 hour"),
        ("answer_within: 0s", "more than 0 seconds"),
        ("idle: 0s", "more than 0 seconds"),
        ("idle: 61m", "at most 1 hour"),
    ],
)
def test_the_limits_of_requests_are_bounded(limit: str, expected: str) -> None:
    problem = only(SMALLEST.replace("serve: {", f"serve: {{{limit}, "))
    assert problem.path == f"release.serve.{limit.partition(':')[0]}"
    assert problem.expected == expected


@pytest.mark.parametrize(
    ("content", "code", "place"),
    [
        ("", "empty", (1, 1)),
        ("# only a comment\n", "empty", (1, 1)),
        ("---\n...\n", "empty", (1, 1)),
        ("just text", "wrong-type", (1, 1)),
        ("- a\n- b\n", "wrong-type", (1, 1)),
        ("a: 1\n\tb: 2\n", "tab", (2, 1)),
        ("a: [1, 2\n", "syntax", (2, 1)),
        ("a: 'b\n", "syntax", (2, 1)),
        ("a: b: c\n", "syntax", (1, 5)),
        (b"a: \xff\n", "encoding", (1, 1)),
        ("a: \x07\n", "character", (1, 4)),
        ("a: *b\n", "alias", (1, 4)),
        ("a: &a [*a]\n", "alias", (1, 8)),
        ("[" * 200, "too-deep", (1, 33)),
        ("a: " + "b" * MOST_BYTES, "too-large", (1, 1)),
        ("[" + "1," * 11_000 + "]", "too-many-values", (1, 20000)),
    ],
)
def test_text_that_is_not_a_spec_is_one_clear_problem(
    content: str | bytes, code: str, place: tuple[int, int]
) -> None:
    problem = only(content)
    assert (problem.code, (problem.line, problem.column)) == (code, place)


@pytest.mark.parametrize(
    ("more", "code", "line"),
    [
        ("metadata: {name: other}", "duplicate-key", AFTER),
        ("params: {a: 1, b: 2, a: 3}", "duplicate-key", AFTER),
        ("params: {a: !!python/object/apply:os.system [id]}", "tag", AFTER),
        ("params: {a: !own x}", "tag", AFTER),
        ("params: {a: .nan}", "not-finite", AFTER),
        ('params: {a: "\\0"}', "character", AFTER),
        ('params: {a: "\\ud800"}', "character", AFTER),
        ('params: {"\\ud800": 1}', "character", AFTER),
        ("params: {? [a] : 1}", "key", AFTER),
        ("---\napiVersion: headgate.dev/v1", "several-documents", AFTER),
    ],
)
def test_yaml_beyond_the_plain_subset_is_rejected(more: str, code: str, line: int) -> None:
    loaded = load(f"{SMALLEST}{more}\n", FILE)
    assert loaded.pipeline is None
    assert (code, line) in [(problem.code, problem.line) for problem in loaded.problems]


def test_a_billion_laughs_are_not_laughed() -> None:
    laughs = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 12)
    )
    assert only(laughs).code == "too-many-values"


def test_a_small_alias_is_fine() -> None:
    text = SMALLEST.replace("env", "env") + "environment: {resources: &r {cpu: 1}}\n"
    text = text.replace("  evaluate:\n", "  evaluate:\n    resources: &s {cpu: 2}\n")
    text = text.replace("  train:\n", "  train:\n    env: {A: &one '1', B: *one}\n")
    pipeline = load(text, FILE).pipeline
    assert pipeline is not None
    assert pipeline.steps["train"].env == {"A": "1", "B": "1"}


def test_yaml_is_read_as_version_1_2() -> None:
    text = (
        "{a: no, b: on, c: 1:30, d: 0o17, e: 0x1F, f: 1e3, g: ~, h: 2013-01-01, i: 1_000, j: yes}"
    )
    root = parse(text).root
    assert root is not None
    assert root.plain == {
        "a": "no", "b": "on", "c": "1:30", "d": 15, "e": 31, "f": 1000.0, "g": None,
        "h": "2013-01-01", "i": "1_000", "j": "yes",
    }  # fmt: skip


def test_a_byte_order_mark_and_windows_line_ends_are_accepted() -> None:
    content = b"\xef\xbb\xbf" + SMALLEST.replace("\n", "\r\n").encode()
    assert load(content, FILE).pipeline is not None
    broken = content.replace(b"steps:\r\n", b"stepz:\r\n")
    assert [(p.line, p.column, p.nearest) for p in load(broken, FILE).problems] == [(6, 1, "steps")]


def test_a_flood_of_mistakes_is_truncated() -> None:
    loaded = load(SMALLEST + "params:\n" + "".join(f"  p{i}: []\n" for i in range(1000)), FILE)
    assert loaded.pipeline is None
    assert len(loaded.problems) == 100


def test_positions_are_line_and_column() -> None:
    loaded = load(FLIGHT_DELAY, FILE)
    lines = FLIGHT_DELAY.splitlines()
    line, column = loaded.position(("steps", "train", "timeout"))
    assert lines[line - 1][column - 1 :] == "30m"
    line, column = loaded.position(("gates", "model", "checks", 1, "confidence"))
    assert lines[line - 1][column - 1 :].startswith("0.95")
    line, column = loaded.position(("steps", "train", "image"))
    assert lines[line - 1].strip() == "train:"


@steady
@given(st.text())
def test_any_text_is_loaded_without_an_exception(text: str) -> None:
    assert isinstance(check(text, FILE, ()), LoadedSpec)


@steady
@given(st.binary())
def test_any_bytes_are_loaded_without_an_exception(content: bytes) -> None:
    assert isinstance(check(content, FILE, ()), LoadedSpec)


YAML_PIECES = st.sampled_from([
    "a", ": ", "\n", "  ", "- ", "[", "]", "{", "}", ",", "'", '"', "&a ", "*a", "!!str ", "!", "|",
    ">", "\n---\n", "\n...\n", "%YAML 1.1\n", "%TAG ! x\n", "#", "? ", "\t", "1", "~", "<<: ",
    "\x85", "\u2028", "\\x", "@", "`",
])  # fmt: skip


@steady
@given(st.lists(YAML_PIECES, max_size=40).map("".join))
def test_anything_like_yaml_is_loaded_without_an_exception(text: str) -> None:
    loaded = check(text, FILE, ())
    assert loaded.pipeline is None
    assert loaded.problems


@settings(steady, max_examples=60)
@given(st.data())
def test_a_spec_with_random_damage_is_loaded_without_an_exception(data: st.DataObject) -> None:
    lines = FLIGHT_DELAY.splitlines()
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(lines) - 1))
        damage = data.draw(st.sampled_from(["drop", "double", "indent", "junk", "null"]))
        line = lines[place]
        lines[place : place + 1] = {
            "drop": [],
            "double": [line, line],
            "indent": ["  " + line],
            "junk": [line.replace(":", ": [x, {y: 1}] #", 1)],
            "null": [line.split(":")[0] + ":"],
        }[damage] or [""]
    loaded = check("\n".join(lines), FILE, FILES)
    height = len(lines) + 1
    assert all(1 <= p.line <= height and p.column >= 1 for p in loaded.problems)
    assert (loaded.pipeline is None) == any(p.severity == "error" for p in loaded.problems)


def test_too_many_problems_are_truncated_errors_first() -> None:
    params = "params: {" + ", ".join(f"p{i}: {i}" for i in range(200)) + "}\n"
    loaded = check(SMALLEST.replace(" --port {port}", "") + params, FILE)
    assert loaded.pipeline is None
    assert len(loaded.problems) == 100
    assert loaded.problems[0].severity == "error"


def test_too_many_globs_are_rejected() -> None:
    globs = ", ".join(f"'**/{i}'" for i in range(101))
    problem = only(
        SMALLEST.replace("    run: python t", f"    reads: [{globs}]\n    run: python t")
    )
    assert (problem.path, problem.expected) == ("steps.train.reads", "at most 100")
