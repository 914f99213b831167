"""The canary judge: it may be asked after every request without erring more often.

    state = begin(policy, history, now)          # when the canary gets its first traffic
    state = update(state, exchanges)             # for each batch of the router's records
    state = count(state, windows)                # or of windows of counts, after `begin_counting`
    judgement = judge(state, now, waiting)       # at any time; `waiting`: requests in flight
    report(judgement, "flight-delay 7")          # for people

`policy`, `state`, `bets` (the formulas), `latency` and `answers` (the formulas on latency bins,
media types and sizes), `families` (per signal), `record` and `windows` (counting), `splits` (how
requests were assigned), `judgement` (deciding),
`figures` and `evidence` (wording), `outlook` (the forecast when a canary begins, and before).
"""

from validators.canary.evidence import headline, report
from validators.canary.judgement import CanaryDecision, Judgement, Served, SignalJudgement, judge
from validators.canary.policy import CanaryPolicy, Latency
from validators.canary.record import begin, is_current, update
from validators.canary.state import CanaryState
from validators.canary.windows import begin_counting, count

__all__ = [
    "CanaryDecision",
    "CanaryPolicy",
    "CanaryState",
    "Judgement",
    "Latency",
    "Served",
    "SignalJudgement",
    "begin",
    "begin_counting",
    "count",
    "headline",
    "is_current",
    "judge",
    "report",
    "update",
]
