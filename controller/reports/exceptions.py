"""PURE. Reports of data gates that say who overruled them, or that older data was read."""

from collections.abc import Iterable, Mapping

from controller.machine.runs.data_exceptions import AcceptedVersion, Fallback
from controller.machine.runs.node_names import data_gate, gate_name
from validators.report import Report


def with_exceptions(
    reports: Mapping[str, Report],
    accepted: Iterable[AcceptedVersion],
    fallbacks: Iterable[Fallback],
) -> dict[str, Report]:
    """The reports, by gate, of a run or a model version to which these exceptions apply."""
    overruled = {gate_name(one.gate): str(one) for one in accepted}
    older = {gate_name(data_gate(one.dataset)): f"{one}." for one in fallbacks}
    found = {}
    for name, report in reports.items():
        gate = gate_name(name)
        notes = (*report.notes, *([older[gate]] if gate in older else []))
        update = {"accepted": overruled.get(gate, ""), "notes": notes}
        found[name] = report.model_copy(update=update)
    return found
