"""Which changes of the rules loosen them."""

import pytest

from controller.machine.pipelines.policy import rule_changes
from controller.machine.runs.graph import Rules
from specs.lint.check import check
from tests.controller.cli.seeds import SPEC
from tests.controller.machine.kit import source

FULL = SPEC.replace(
    "release:\n",
    "release:\n  staging: {smoke: [{get: /healthz}, {post: /predict}]}\n",
).replace(
    "production: {canary: {steps: [5%, 50%], minimum_bake: 1m}}",
    "production: {approval: pull-request, canary: {steps: [5%, 50%], minimum_bake: 1m, "
    "on_inconclusive: rollback, "
    "signals: {errors: {not_worse_by: 1%, at_most: 5%}, latency_p99: {not_worse_by: 20%}}}}",
)


def spec(text: str, **files: str) -> Rules:
    """The rules of a spec; `files` has new contents, with `__` for a dot in the name."""
    loaded = check(text, "ml-pipeline.yaml")
    assert loaded.pipeline is not None, loaded.problems
    return Rules(spec=loaded.pipeline, source=source(**files))


def between(was: str, now: str) -> list[tuple[str, bool]]:
    assert FULL.count(was) == 1
    found = rule_changes(spec(FULL), spec(FULL.replace(was, now)))
    return [(change.rule, change.loosens) for change in found]


ROLLOUT = "release.production.canary"
COMMITS = "triggers.commits"
SWITCH = "triggers.pull_requests.enabled"
LOOSER = [
    ("      - {metric: roc_auc, at_least: 0.6}\n", "", "gates.model: limit of roc_auc"),
    ("at_least: 0.6", "at_least: 0.5", "gates.model: limit of roc_auc"),
    ("at_least: 0.6", "at_least: 0.6, severity: warn", "gates.model: limit of roc_auc"),
    ("baseline_by: 0.01", "baseline_by: 0.02", "gates.model: roc_auc against the baseline"),
    ("by: 0.01}", "by: 0.01, confidence: 0.6}", "gates.model: roc_auc against the baseline"),
    (", expectations: suite.yaml", "", "datasets.rows.expectations"),
    ("expectations: suite.yaml", "expectations: other.yaml", "datasets.rows.expectations"),
    (
        "expectations: suite.yaml",
        "expectations: suite.yaml, nulls: ['', n/a]",
        "datasets.rows.nulls",
    ),
    (
        "expectations: suite.yaml",
        "expectations: suite.yaml, types: {zip: string}",
        "datasets.rows.types",
    ),
    (
        "expectations: suite.yaml",
        "expectations: suite.yaml, csv: {delimiter: ';'}",
        "datasets.rows.csv",
    ),
    ("pull-request", "automatic", "release.production.approval"),
    ("{get: /healthz}, ", "", "release.staging.smoke"),
    ("not_worse_by: 1%", "not_worse_by: 2%", f"{ROLLOUT}.signals.errors"),
    (", at_most: 5%", "", f"{ROLLOUT}.signals.errors"),
    (", latency_p99: {not_worse_by: 20%}", "", f"{ROLLOUT}.signals.latency_p99"),
    ("5%}, latency", "5%, counts: [no_answer]}, latency", f"{ROLLOUT}.signals.errors.counts"),
    ("signals: {", "signals: {refusals: {enabled: false}, ", f"{ROLLOUT}.signals.refusals"),
    (
        "signals: {",
        "signals: {other_statuses: {not_worse_by: 9%}, ",
        f"{ROLLOUT}.signals.other_statuses",
    ),
    ("signals: {", "signals: {content: {differs_by: 9%}, ", f"{ROLLOUT}.signals.content"),
    ("signals: {", "signals: {size: {differs_by: 300%}, ", f"{ROLLOUT}.signals.size"),
    ("steps: [5%", "steps: [20%", f"{ROLLOUT}.steps"),
    ("minimum_bake: 1m", "minimum_bake: 10s", f"{ROLLOUT}.minimum_bake"),
    ("on_inconclusive: rollback", "on_inconclusive: hold", f"{ROLLOUT}.on_inconclusive"),
    ("minimum_bake: 1m", "minimum_bake: 1m, false_promotion: 20%", f"{ROLLOUT}.false_promotion"),
    ("minimum_bake: 1m", "minimum_bake: 1m, false_rollback: 0.1%", f"{ROLLOUT}.false_rollback"),
    ("[5%, 50%]", "[5%]", f"{ROLLOUT}.steps"),
    ("python serve.py", "python -O serve.py", "release.serve.run"),
    ("reads: [serve.py]", "reads: [serve.py, bad.json]", "release.serve.reads"),
    (
        "depth: 3}",
        "depth: 3}\ntriggers: {commits: {branches: [mine]}}",
        "triggers.commits.branches",
    ),
    ("[5%, 50%]", "[5%, 90%]", f"{ROLLOUT}.steps"),
    ("score: score}\n", "score: score}\n    threshold: 0.4\n", "gates.model.threshold"),
    ("score: score}\n", "score: score}\n    small_slices: ignore\n", "gates.model.small_slices"),
    (
        "score: score}\n",
        "score: score}\n    minimum_slice_rows: 200\n",
        "gates.model.minimum_slice_rows",
    ),
    ("score: score}\n", "score: score}\n    task: binary\n", "gates.model.task"),
    ("score: score}\n", "score: score}\n    positive: 0\n", "gates.model.positive"),
    ("score: score}\n", "score: other}\n", "gates.model.columns"),
    ("data/*.csv", "easy/*.csv", "datasets.rows.uri"),
    ("[evaluate.py]", "[evaluate.py, train.py]", "exam: train.py"),
    (
        "{outputs.predictions}\n",
        "{outputs.predictions}\n    env: {EASY: yes}\n".replace("yes", "'1'"),
        "exam: steps.evaluate.env.EASY",
    ),
    ("depth: 3}", "depth: 3}\ntriggers: {pull_requests: {enabled: false}}", SWITCH),
    ("depth: 3}", "depth: 3}\npolicy: {approvers: ['@me']}", "policy.approvers"),
]


STRATEGY = "release.production.strategy"


@pytest.mark.parametrize(
    ("was", "now", "rule", "loosens"),
    [
        ("", "strategy: direct", STRATEGY, True),
        ("", "strategy: blue-green", STRATEGY, True),
        ("strategy: direct", "strategy: blue-green", STRATEGY, False),
        ("strategy: direct", "", STRATEGY, False),
        (
            "canary: {on_inconclusive: promote}",
            "canary: {on_inconclusive: promote, deadline: 10m}",
            f"{ROLLOUT}.deadline",
            True,
        ),
        (
            "canary: {on_inconclusive: promote}",
            "canary: {on_inconclusive: promote, deadline: 3h}",
            f"{ROLLOUT}.deadline",
            False,
        ),
        (
            "canary: {on_inconclusive: hold}",
            "canary: {on_inconclusive: promote}",
            f"{ROLLOUT}.on_inconclusive",
            True,
        ),
        (
            "canary: {on_inconclusive: promote}",
            "canary: {on_inconclusive: rollback}",
            f"{ROLLOUT}.on_inconclusive",
            False,
        ),
        *(
            (
                f"strategy: blue-green, blue_green: {{{was}}}",
                f"strategy: blue-green, blue_green: {{{now}}}",
                f"release.production.blue_green.{key}",
                looser,
            )
            for was, now, key, looser in [
                ("keep_for: 1h", "keep_for: 1m", "keep_for", True),
                ("keep_for: 1h", "keep_for: 2h", "keep_for", False),
                ("errors: {not_worse_by: 1%}", "errors: null", "errors", True),
                ("errors: null", "errors: {not_worse_by: 1%}", "errors", False),
                ("errors: {not_worse_by: 1%}", "errors: {not_worse_by: 2%}", "errors", True),
                ("errors: {counts: [5xx]}", "errors: {counts: [500]}", "errors", True),
                ("false_rollback: 2%", "false_rollback: 1%", "false_rollback", True),
            ]
        ),
    ],
)
def test_how_production_gets_the_traffic_is_a_rule(
    was: str, now: str, rule: str, loosens: bool
) -> None:
    base = "production: {canary: {steps: [5%, 50%], minimum_bake: 1m}}"
    old, new = (SPEC.replace(base, f"production: {{{one}}}") for one in (was, now))
    (found,) = rule_changes(spec(old), spec(new))
    assert (found.rule, found.loosens) == (rule, loosens)


@pytest.mark.parametrize(("was", "loosens"), [("blue-green", True), ("direct", False)])
def test_a_canary_that_nothing_stops_is_told_where_there_was_none(was: str, loosens: bool) -> None:
    base = "production: {canary: {steps: [5%, 50%], minimum_bake: 1m}}"
    now = "production: {canary: {on_inconclusive: promote}}"
    before = spec(SPEC.replace(base, f"production: {{strategy: {was}}}"))
    found = rule_changes(before, spec(SPEC.replace(base, now)))
    assert {(one.rule, one.loosens) for one in found} == {
        (STRATEGY, False),
        (f"{ROLLOUT}.on_inconclusive", loosens),
    }


FETCHED = SPEC.replace('uri: "data/*.csv"', 'fetch: {run: "python pull.py {output}", cache: OLD}')
EXAMINED = SPEC.replace("reads: [evaluate.py]", "reads: [evaluate.py]\n    cache: OLD")


@pytest.mark.parametrize(
    ("text", "rule"),
    [(FETCHED, "datasets.rows.fetch.cache"), (EXAMINED, "steps.evaluate.cache")],
)
@pytest.mark.parametrize(
    ("was", "now", "loosens"),
    [
        ("never", "{for: 90d}", True),
        ("{for: 1h}", "{for: 2h}", True),
        ("{for: 1h}", "always", True),
        ("{for: 2h}", "{for: 1h}", False),
        ("always", "never", False),
    ],
)
def test_an_exam_whose_parts_may_be_older_is_looser(
    text: str, rule: str, was: str, now: str, loosens: bool
) -> None:
    before, after = (spec(text.replace("OLD", one)) for one in (was, now))
    found = rule_changes(before, after)
    assert [(one.rule, one.loosens) for one in found] == [(rule, loosens)]


@pytest.mark.parametrize(("was", "now", "rule"), LOOSER)
def test_a_rule_that_is_loosened_is_called_so(was: str, now: str, rule: str) -> None:
    found = between(was, now)
    assert (rule, True) in found
    # Other data is another exam as well.
    assert all(loosens for _, loosens in found)


@pytest.mark.parametrize(
    ("was", "now", "rule"),
    [
        ("at_least: 0.6", "at_least: 0.7", "gates.model: limit of roc_auc"),
        ("score: score}\n", "score: score}\n    small_slices: block\n", "gates.model.small_slices"),
        (
            "score: score}\n",
            "score: score}\n    minimum_slice_rows: 50\n",
            "gates.model.minimum_slice_rows",
        ),
        ("baseline_by: 0.01", "baseline_by: 0.001", "gates.model: roc_auc against the baseline"),
        ("not_worse_by: 20%", "not_worse_by: 10%", f"{ROLLOUT}.signals.latency_p99"),
        (
            "5%}, latency",
            "5%, counts: [no_answer, 5xx, 422]}, latency",
            f"{ROLLOUT}.signals.errors.counts",
        ),
        ("signals: {", "signals: {size: {differs_by: 50%}, ", f"{ROLLOUT}.signals.size"),
        ("minimum_bake: 1m", "minimum_bake: 2m", f"{ROLLOUT}.minimum_bake"),
        ("{get: /healthz},", "{get: /healthz}, {get: /},", "release.staging.smoke"),
        ("minimum_bake: 1m", "minimum_bake: 1m, deadline: 9h", f"{ROLLOUT}.deadline"),
        ("[5%, 50%]", "[1%, 5%, 50%]", f"{ROLLOUT}.steps"),
        ("reads: [serve.py]}", "reads: [serve.py], ready: /up}", "release.serve.ready"),
        (
            "reads: [serve.py]}",
            "reads: [serve.py], answer_within: 1m}",
            "release.serve.answer_within",
        ),
        ("reads: [serve.py]}", "reads: [serve.py], idle: 1m30s}", "release.serve.idle"),
        (
            "reads: [serve.py]}",
            "reads: [serve.py], largest_request: 1Mi}",
            "release.serve.largest_request",
        ),
        ("{name: toy}", "{name: toy, owners: ['@me']}", "metadata.owners"),
        ("depth: 3}", "depth: 3}\nnotify: [{to: 'json://me'}]", "notify"),
        (
            "depth: 3}",
            "depth: 3}\ntriggers: {commits: {enabled: false}}",
            "triggers.commits.enabled",
        ),
        ("depth: 3}", "depth: 3}\ntriggers: {commits: {paths: ['**']}}", "triggers.commits.paths"),
        ("depth: 3}", "depth: 3}\ntriggers: {schedule: {cron: '0 4 * * *'}}", "triggers.schedule"),
        ("depth: 3}", "depth: 3}\ntriggers: {data: {datasets: [rows]}}", "triggers.data"),
    ],
)
def test_a_rule_that_is_tightened_or_only_another_is_told_and_not_called_loosened(
    was: str, now: str, rule: str
) -> None:
    assert between(was, now) == [(rule, False)]


@pytest.mark.parametrize(
    ("was", "now", "looser"),
    [
        ("", "[LAKE_KEY]", True),
        ("[LAKE_KEY]", "[OTHER_KEY]", True),
        ("[LAKE_KEY, OTHER_KEY]", "[LAKE_KEY]", False),
    ],
)
def test_more_secrets_for_code_that_nobody_has_merged_loosen(
    was: str, now: str, looser: bool
) -> None:
    before, after = (
        spec(FULL + (f"triggers: {{pull_requests: {{secrets: {names}}}}}\n" if names else ""))
        for names in (was, now)
    )
    (change,) = rule_changes(before, after)
    assert (change.rule, change.loosens) == ("triggers.pull_requests.secrets", looser)
    assert (change.was, change.now) == (was.strip("[]") or "none", now.strip("[]"))


def test_an_added_check_is_no_loosening() -> None:
    more = "      - {metric: f1, at_least: 0.1}\n      - {metric: roc_auc, at_least: 0.6}\n"
    found = between("      - {metric: roc_auc, at_least: 0.6}\n", more)
    assert found == [("gates.model: limit of f1", False)]


def test_a_gate_that_is_removed_loosens_once_per_check() -> None:
    start = FULL.index("gates:")
    end = FULL.index("release:")
    found = rule_changes(spec(FULL), spec(FULL[:start] + FULL[end:]))
    assert [(c.now, c.loosens) for c in found] == [("removed", True), ("removed", True)]


def test_what_loosens_comes_first() -> None:
    now = FULL.replace("at_least: 0.6", "at_least: 0.7").replace("by: 20%", "by: 30%")
    assert [change.loosens for change in rule_changes(spec(FULL), spec(now))] == [True, False]


def test_the_same_rules_are_no_change() -> None:
    assert rule_changes(spec(FULL), spec(FULL)) == ()
    assert between("depth: 3", "depth: 4") == []


RELEASE = FULL[FULL.index("release:") :]


def test_a_release_taken_out_loosens_as_what_comes_back_is_compared_with_nothing() -> None:
    without = FULL.replace(RELEASE, "")
    (gone,) = rule_changes(spec(FULL), spec(without))
    assert (gone.rule, gone.loosens) == ("release", True)
    automatic = FULL.replace("approval: pull-request", "approval: automatic")
    (back,) = rule_changes(spec(without), spec(automatic))
    assert (back.now, back.loosens) == ("releases, approval automatic", True)
    (asking,) = rule_changes(spec(without), spec(FULL))
    assert (asking.now, asking.loosens) == ("releases, approval pull-request", False)


SCRIPTS = (
    "  command: {apply: a.py, observe: o.py, traffic: t.py, remove: r.py, split: turns}\n"
    "  production: {deployer: command, "
)


def test_scripts_that_tell_the_judge_of_the_traffic_are_a_rule() -> None:
    scripted = FULL.replace("  production: {", SCRIPTS)
    found = rule_changes(spec(FULL), spec(scripted))
    assert {change.rule for change in found} == {
        "release.production.deployer",
        *(f"release.command.{name}" for name in ("apply", "observe", "traffic", "split", "reads")),
    }
    assert all(change.loosens for change in found)
    drawn = scripted.replace("split: turns", "split: draw")
    (split,) = rule_changes(spec(scripted), spec(drawn))
    assert (split.rule, split.was, split.now) == ("release.command.split", "turns", "draw")
    assert split.loosens
    assert not any(change.loosens for change in rule_changes(spec(scripted), spec(FULL)))
    assert rule_changes(spec(scripted), spec(scripted.replace("r.py", "s.py"))) == ()


def test_who_deploys_is_a_rule_and_headgates_own_router_on_a_cluster_loosens_none() -> None:
    here = f"{FULL}\nenvironment: {{image: own}}\n"
    on_cluster = here.replace("  production: {", "  production: {deployer: kubernetes, ")
    (change,) = rule_changes(spec(here), spec(on_cluster))
    assert (change.rule, change.now) == ("release.production.deployer", "kubernetes")
    assert not change.loosens


COUNTED = "  command: {apply: a.py, observe: o.py, prometheus: {preset: envoy}, remove: r.py}\n"


def test_the_counters_that_tell_the_judge_of_the_traffic_are_a_rule() -> None:
    scripted = FULL.replace("  production: {", SCRIPTS)
    counted = FULL.replace("  production: {", COUNTED + "  production: {deployer: command, ")
    found = {change.rule: change for change in rule_changes(spec(scripted), spec(counted))}
    assert {"release.command.traffic", "release.command.prometheus.requests"} <= found.keys()
    other = counted.replace("preset: envoy", "preset: envoy, stable: better")
    (change,) = rule_changes(spec(counted), spec(other))
    assert (change.rule, change.was, change.now, change.loosens) == (
        "release.command.prometheus.stable", "{server}", "better", True
    )  # fmt: skip


def test_a_smoke_request_whose_body_changes_loosens() -> None:
    posts = FULL.replace("{post: /predict}", "{post: /predict, body: body.json}")
    found = rule_changes(spec(posts, body__json="hard"), spec(posts, body__json="easy"))
    assert [(c.rule, c.loosens) for c in found] == [("release.staging.smoke: body.json", True)]


def test_a_smoke_request_that_posts_another_body_besides_is_no_change_of_the_first() -> None:
    posts = FULL.replace("{post: /predict}", "{post: /predict, body: body.json}")
    more = posts.replace("body: body.json}", "body: body.json}, {post: /more, body: more.json}")
    assert [(c.rule, c.loosens) for c in rule_changes(spec(posts), spec(more))] == [
        ("release.staging.smoke", False)
    ]


TOLD = "notify: [{to: 'json://key@on-call', on: [rollback, stuck]}]\n"


def test_telling_somebody_no_more_loosens_and_no_address_is_shown() -> None:
    (change,) = rule_changes(spec(FULL + TOLD), spec(FULL + TOLD.replace(", stuck", "")))
    assert (change.rule, change.loosens) == ("notify", True)
    assert (change.was, change.now) == ("json of rollback, stuck", "json of rollback")


def test_approvers_are_loosened_by_anyone_more_and_not_by_fewer() -> None:
    def approved_by(*names: str) -> Rules:
        return spec(FULL + f"policy: {{approvers: [{', '.join(names)}]}}\n")

    two, one = approved_by("'@ada'", "'@grace'"), approved_by("'@ada'")
    assert [change.loosens for change in rule_changes(two, one)] == [False]
    assert [change.loosens for change in rule_changes(one, two)] == [True]
    (change,) = rule_changes(one, spec(FULL))
    assert (change.now, change.loosens) == ("who administers the repository", True)


# -- suites ----------------------------------------------------------------------------------------

RENAMED = FULL.replace("  rows: {uri", "  lines: {uri").replace("datasets.rows", "datasets.lines")


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        (RENAMED, []),
        (RENAMED.replace(", expectations: suite.yaml", ""), [("lines", "no suite")]),
        (
            RENAMED.replace('"data/*.csv", expectations: suite.yaml', '"data/easy/*.csv"'),
            [("lines", "no suite")],
        ),
        (
            RENAMED.replace('"data/*.csv", expectations: suite.yaml', '"elsewhere/*.csv"'),
            [("lines", "no suite")],
        ),
        (
            FULL.replace("\nparams:", '\n  twin: {uri: "data/*.csv"}\nparams:'),
            [("twin", "no suite")],
        ),
    ],
)
def test_a_suite_follows_the_data_by_its_address_and_by_the_input_that_it_is(
    now: str, expected: list[tuple[str, str]]
) -> None:
    found = [c for c in rule_changes(spec(FULL), spec(now)) if c.rule.endswith("expectations")]
    loosened = [(c.rule.split(".")[1], c.now) for c in found if c.loosens]
    assert loosened == expected


def test_data_that_has_nothing_to_do_with_a_suite_needs_none() -> None:
    more = FULL.replace("\nparams:", '\n  weather: {uri: "weather/*.csv"}\nparams:')
    (change,) = rule_changes(spec(FULL), spec(more))
    assert (change.rule, change.loosens) == ("datasets.weather.expectations", False)


def test_a_suite_that_goes_for_nothing_any_more_is_told() -> None:
    gone = FULL.replace(
        '  rows: {uri: "data/*.csv", expectations: suite.yaml}',
        '  other: {uri: "other/*.csv", expectations: other.yaml}',
    )
    gone = gone.replace("{rows: datasets.rows}", "{others: datasets.other}")
    gone = gone.replace("rows: datasets.rows}", "others: datasets.other}")
    gone = gone.replace("{inputs.rows}", "{inputs.others}")
    found = {c.rule: (c.now, c.loosens) for c in rule_changes(spec(FULL), spec(gone))}
    assert found["datasets.rows.expectations"] == ("no such dataset", True)


# -- what the model is made of ---------------------------------------------------------------------

HELD_OUT = FULL.replace("\nparams:", '\n  held-out: {uri: "held-out/*.csv"}\nparams:').replace(
    "rows: datasets.rows}\n    outputs: {pred", "rows: datasets.held-out}\n    outputs: {pred"
)
TRAINS = "    inputs: {rows: datasets.rows}\n"


@pytest.mark.parametrize(
    ("new", "inputs", "expected"),
    [
        ('  fresh: {uri: "fresh/*.csv"}\n', "{rows: datasets.fresh}", "fresh"),
        ('  fresh: {uri: "fresh/*.csv"}\n', "{more: datasets.fresh, rows: datasets.rows}", "fresh"),
        ("", "{rows: datasets.held-out}", "held-out"),
        ("", "{more: datasets.held-out, rows: datasets.rows}", "held-out"),
    ],
)
def test_training_on_data_that_no_suite_looked_at_or_on_the_exam_loosens(
    new: str, inputs: str, expected: str
) -> None:
    text = HELD_OUT.replace("\nparams:", f"\n{new}params:")
    text = text.replace(TRAINS, f"    inputs: {inputs}\n", 1)
    if "rows:" not in inputs:
        text = text.replace("{inputs.rows}", "{inputs.more}", 1)
    loosened = [c.rule for c in rule_changes(spec(HELD_OUT), spec(text)) if c.loosens]
    assert any(rule.startswith(f"datasets.{expected}") for rule in loosened), loosened


def test_an_exam_on_what_the_model_is_made_of_loosens_though_both_were_there() -> None:
    (change,) = [
        each
        for each in rule_changes(
            spec(HELD_OUT), spec(HELD_OUT.replace("rows: datasets.held-out", "rows: datasets.rows"))
        )
        if each.rule == "datasets.rows: trains the model"
    ]
    assert (change.now, change.loosens) == ("yes, and the model is examined on it", True)


def test_a_step_that_makes_the_rows_itself_in_place_of_data_with_a_suite_loosens() -> None:
    fetch = "  fetch: {run: 'fetch {outputs.rows}', outputs: {rows: rows.csv}}\n"
    text = HELD_OUT.replace("steps:\n", f"steps:\n{fetch}", 1)
    text = text.replace(TRAINS, "    inputs: {rows: steps.fetch.rows}\n", 1)
    loosened = {c.rule: c.now for c in rule_changes(spec(HELD_OUT), spec(text)) if c.loosens}
    assert loosened["datasets.rows: trains the model"] == "no"


def test_more_data_behind_a_suite_of_its_own_does_not() -> None:
    more = '  more: {uri: "more/*.csv", expectations: more.yaml}\n'
    text = HELD_OUT.replace("\nparams:", f"\n{more}params:")
    text = text.replace(TRAINS, "    inputs: {rows: datasets.rows, more: datasets.more}\n", 1)
    assert not [c for c in rule_changes(spec(HELD_OUT), spec(text)) if c.loosens]


def test_data_without_a_suite_that_stays_as_it_is_is_no_change() -> None:
    assert rule_changes(spec(HELD_OUT), spec(HELD_OUT)) == ()


def test_a_check_that_is_tightened_at_one_end_is_not_loosened_at_the_other() -> None:
    def within(low: float, high: float) -> Rules:
        limits = f"at_least: {low}, at_most: {high}"
        return spec(FULL.replace("at_least: 0.6", limits, 1))

    (change,) = rule_changes(within(0.6, 0.9), within(0.6, 0.8))
    assert (change.now, change.loosens) == ("at least 0.6, at most 0.8", False)
    (change,) = rule_changes(within(0.6, 0.9), within(0.5, 0.9))
    assert change.loosens


def test_a_switch_is_told_with_what_it_was_and_what_it_is() -> None:
    off = FULL.replace("depth: 3}", "depth: 3}\ntriggers: {pull_requests: {enabled: false}}")
    (change,) = rule_changes(spec(FULL), spec(off))
    assert (change.was, change.now, change.loosens) == ("on", "off", True)


# -- how data is read ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("was", "now", "loosens"),
    [("stop", "use_last_good", True), ("use_last_good", "stop", False)],
)
def test_going_on_without_what_a_gate_stopped_loosens(was: str, now: str, loosens: bool) -> None:
    text = 'uri: "data/*.csv", expectations: suite.yaml'
    assert text in SPEC
    before, after = (
        spec(
            SPEC.replace(text, f"uri: s3://lake/rows, expectations: suite.yaml, on_failure: {one}")
        )
        for one in (was, now)
    )
    found = [(one.rule, one.loosens) for one in rule_changes(before, after)]
    assert found == [("datasets.rows.on_failure", loosens)]


def test_how_data_without_a_suite_is_read_is_told_and_loosens_nothing() -> None:
    more = FULL.replace("\nparams:", '\n  weather: {uri: "weather/*.csv"}\nparams:')
    typed = more.replace('"weather/*.csv"}', '"weather/*.csv", types: {zip: string}}')
    (change,) = rule_changes(spec(more), spec(typed))
    assert (change.rule, change.loosens) == ("datasets.weather.types", False)
    other = more.replace('"weather/*.csv"}', '"weather/*.csv", nulls: ["", "-"]}')
    (change,) = rule_changes(spec(more), spec(other))
    assert (change.rule, change.now, change.loosens) == (
        "datasets.weather.nulls",
        '"", "-"',
        False,
    )
    (change,) = rule_changes(
        spec(FULL), spec(FULL.replace("suite.yaml}", "suite.yaml, nulls: []}"))
    )
    assert (change.rule, change.now, change.loosens) == ("datasets.rows.nulls", "none", True)
