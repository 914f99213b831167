"""The canary judge: may be looked at after every request, and errs no more often for it.

    state = begin(policy, history, now)          # when the canary gets its first traffic
    state = update(state, exchanges)             # for each batch of the router's records
    judgement = judge(state, now)                # whenever one likes
    report(judgement, "flight-delay 7")          # for people

`policy`, `state`, `bets` (the formulas), `latency` (their use on bins), `families` (per signal),
`record` (counting), `judgement` (deciding), `evidence` (words), `forecasting` (before a rollout).
"""

from validators.canary.evidence import headline, report
from validators.canary.forecasting import Forecast, forecast
from validators.canary.judgement import Decision, Evidence, Judgement, Served, judge
from validators.canary.policy import Latency, Policy
from validators.canary.record import begin, update
from validators.canary.state import State

__all__ = [
    "Decision",
    "Evidence",
    "Forecast",
    "Judgement",
    "Latency",
    "Policy",
    "Served",
    "State",
    "begin",
    "forecast",
    "headline",
    "judge",
    "report",
    "update",
]
