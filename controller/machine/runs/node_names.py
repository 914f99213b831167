"""PURE. The names of a run's nodes and datasets: made and read here, and nowhere else.

Names of steps and datasets have no dots, so the prefixes cannot be mistaken for them.
"""

from specs.model import DATA

MODEL_GATE = "gate.model"
BASE_MODEL_GATE = "gate.model.base"
"""The gate that judges the candidate by the base branch's own evaluation."""

_GATE = "gate."
_BASE = "base."
_BASELINE = "baseline."
_PROPOSED = ".proposed"
_CUSTOM = ".custom"
_HISTORY = ".history"


def of_base(name: str) -> str:
    """The name, in a pull request's run, of a step or dataset of the base branch."""
    return f"{_BASE}{name}"


def is_of_base(name: str) -> bool:
    """Whether a step or dataset is the base branch's."""
    return name.startswith(_BASE)


def name_in_spec(name: str) -> str:
    """What the spec that a step or dataset comes from calls it."""
    return name.removeprefix(_BASE)


def dataset_node(dataset: str) -> str:
    """The node that fetches a dataset: `data.orders`, `base.data.orders`."""
    own = f"{DATA}{name_in_spec(dataset)}"
    return of_base(own) if is_of_base(dataset) else own


def data_gate(dataset: str) -> str:
    """`gate.data.orders`, `gate.base.data.orders`."""
    return f"{_GATE}{dataset_node(dataset)}"


def own_data_gates(dataset: str) -> tuple[str, str, str]:
    """The gates of a dataset by its own rules: of all of its suite that is not custom, of what is,
    and of its `checks`."""
    gate = data_gate(dataset)
    return gate, custom_data_gate(gate), history_gate(gate)


def dataset_of_gate(name: str) -> str | None:
    """The dataset of whose own gates one has that name; None for any other node."""
    gate = name.removesuffix(_CUSTOM).removesuffix(_HISTORY)
    dataset = gate.removeprefix(f"{_GATE}{DATA}")
    return dataset if name in own_data_gates(dataset) and "." not in dataset else None


def further_data_gate(dataset: str, base_dataset: str) -> str:
    """The gate with the suite of another dataset of the base branch."""
    return f"{data_gate(dataset)}.of.{base_dataset}"


def proposed_data_gate(dataset: str) -> str:
    """The gate with a suite that only the pull request has."""
    return f"{data_gate(dataset)}{_PROPOSED}"


def custom_data_gate(gate: str) -> str:
    """The gate that judges the custom expectations which a data gate leaves out."""
    return f"{in_force(gate)}{_CUSTOM}{_PROPOSED if is_proposed(gate) else ''}"


def history_gate(gate: str) -> str:
    """The gate that judges the `checks` of the dataset which a data gate judges."""
    return f"{in_force(gate)}{_HISTORY}{_PROPOSED if is_proposed(gate) else ''}"


def is_proposed(name: str) -> bool:
    """Whether a gate's suite is one that only the pull request has."""
    return name.endswith(_PROPOSED)


def in_force(name: str) -> str:
    """The gate in whose place a proposed suite would judge; any other gate itself."""
    return name.removesuffix(_PROPOSED)


def gate_name(name: str) -> str:
    """What reports and model versions call a gate: `model`, `data.orders`."""
    return name.removeprefix(_GATE)


def baseline_step(step: str, *, of_base_exam: bool = False) -> str:
    """A step of the baseline's own spec; with `of_base_exam`, on the base branch's data."""
    name = f"{_BASELINE}{step}"
    return of_base(name) if of_base_exam else name


def is_evidence(name: str) -> bool:
    """Whether a node only makes evidence for a gate, which then judges its failure; the failure of
    any other node ends the run."""
    return name.startswith((_BASELINE, _BASE))
