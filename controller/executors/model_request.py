"""The request of a model gate, from its attempt and the files of its evidence."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from controller.machine.runs.attempt import Attempt
from specs.globs import from_root
from specs.loading.load import load
from validators.model.request import ModelGateRequest


def model_request(attempt: Attempt, files: Mapping[str, str], checkout: Path) -> ModelGateRequest:
    """The request; `files` has the paths of the evidence by input."""
    asked = attempt.request
    baseline: object
    if "baseline" in files:
        subject = asked["baseline_called"]
        baseline = {"kind": "predictions", "path": files["baseline"], "subject": subject}
    else:
        kind = "could_not_run" if asked["baseline_lost"] else "first_model"
        baseline = {"kind": kind, "reason": asked["no_baseline"]}
    candidate: object = files.get("candidate")
    if candidate is None and asked["gate"].get("predictions"):
        kind = "could_not_run" if asked["exam"] else "missing"
        candidate = {"kind": kind, "reason": asked["no_candidate"]}
    file = from_root(attempt.file, attempt.folder)
    loaded = load((checkout / file).read_bytes(), file)
    where = []
    for place in asked["places"]:  # None: a check of the base branch
        path = ("gates", "model", "checks", place) if place is not None else ("gates",)
        line, column = loaded.position(path)
        where.append({"file": loaded.file, "line": line, "column": column})
    return ModelGateRequest.model_validate_json(
        json.dumps(
            {
                "subject": attempt.run,
                "candidate": candidate,
                "exam": asked["exam"],
                "baseline": baseline,
                **_numbers_request(asked, files),
                "same_model": "model" in attempt.inputs
                and asked["baseline_model"] == attempt.inputs["model"].digest,
                "gate": asked["gate"],
                "file": loaded.file,
                "where": where,
                "provenance": {n: given.digest for n, given in attempt.inputs.items()},
            }
        )
    )


def _numbers_request(asked: Mapping[str, Any], files: Mapping[str, str]) -> dict[str, Any]:
    """The part of the request about the team's own numbers; empty if the gate checks none."""
    if not asked["gate"].get("metrics"):
        return {}
    numbers: object = files.get("numbers")
    if numbers is None:
        kind = "could_not_run" if asked["exam"] else "missing"
        numbers = {"kind": kind, "reason": asked["no_numbers"]}
    if "baseline_numbers" in files:
        baseline = {
            "kind": "numbers",
            "path": files["baseline_numbers"],
            "subject": asked["baseline_called"],
        }
    else:
        kind = "could_not_run" if asked["baseline_numbers_lost"] else "first_model"
        baseline = {"kind": kind, "reason": asked["no_baseline_numbers"]}
    return {"numbers": numbers, "baseline_numbers": baseline}
