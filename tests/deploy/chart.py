"""The chart, rendered by Helm itself, and what is made from it and for it.

`python -m tests.deploy.chart` writes the settings into values.schema.json, the table of values into
the chart's README, and deploy/manifests/headgate.yaml; a test holds the files to it.
"""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import helm_python
from ruamel.yaml import YAML

from controller.config.settings_file import settings_schema

DEPLOY: Final = Path(__file__).parents[2] / "deploy"
CHART: Final = DEPLOY / "chart"
SCHEMA: Final = CHART / "values.schema.json"
README: Final = CHART / "README.md"
MANIFESTS: Final = DEPLOY / "manifests" / "headgate.yaml"
GIVEN: Final = DEPLOY / "manifests" / "values.yaml"
"""The values that the manifests are made with."""
NAMESPACE: Final = "headgate"

OWN: Final[Mapping[str, tuple[str, ...]]] = {
    "Settings": ("home", "http", "store"),
    "KubernetesSettings": ("namespace", "image", "kubeconfig", "context"),
    "ServingSettings": ("namespace",),
    "GitHubWebhook": ("host", "port"),
}
"""Settings that the chart sets itself, by model."""
_TABLE: Final = re.compile(
    r"(<!-- The values: .*? -->\n).*?(<!-- The end of the values. -->)", re.DOTALL
)
_OPENING: Final = """\
# Headgate in the namespace `headgate`, its steps in `headgate-steps`. Made by `make manifests` from
# deploy/chart with the values in values.yaml; change those, not this file.
apiVersion: v1
kind: Namespace
metadata:
  name: headgate
  labels: {pod-security.kubernetes.io/enforce: restricted}
"""

Manifest = dict[str, Any]


def documents(text: str) -> list[Manifest]:
    """The manifests in a text of YAML."""
    return [each for each in YAML(typ="safe").load_all(text) if each]


def rendered(values: Mapping[str, Any], namespace: str = NAMESPACE) -> dict[str, str]:
    """The text of each template. Raises `HelmError` for values that the chart refuses."""
    with helm_python.Chart.load(CHART) as chart:
        chart.validate_schema(dict(values))
        return chart.render(dict(values), name="headgate", namespace=namespace)


def manifests(values: Mapping[str, Any], namespace: str = NAMESPACE) -> list[Manifest]:
    """What would be installed."""
    found = sorted(rendered(values, namespace).items())
    return [one for path, text in found if path.endswith(".yaml") for one in documents(text)]


def schema() -> str:
    """values.schema.json with the settings of this version in it."""
    whole = json.loads(SCHEMA.read_text())
    given = json.loads(json.dumps(settings_schema()))
    models = given.pop("$defs")
    for name, hidden in OWN.items():
        model = given if name == "Settings" else models[name]
        for each in hidden:
            model["properties"].pop(each, None)
    given["description"] = "headgate.yaml, without what the chart sets itself."
    whole["properties"]["settings"] = given
    whole["$defs"] = dict(sorted(models.items()))
    return json.dumps(whole, indent=1, ensure_ascii=False) + "\n"


def readme() -> str:
    """The chart's README with the table of all values."""
    whole = json.loads(SCHEMA.read_text())["properties"]
    default = YAML(typ="safe").load((CHART / "values.yaml").read_text())
    rows = [
        f"| `{name}` | {_shown(value)} | {about} |"
        for name, value, about in _values(whole, default)
    ]
    table = "\n".join(["| Value | Default | Meaning |", "|---|---|---|", *rows])
    return _TABLE.sub(lambda found: f"{found[1]}\n{table}\n\n{found[2]}", README.read_text())


def _values(
    properties: Mapping[str, Any], default: Mapping[str, Any], above: str = ""
) -> Iterator[tuple[str, Any, str]]:
    for name, about in properties.items():
        if name == "global":
            continue
        if "properties" in about and name != "settings":
            yield from _values(about["properties"], default[name], f"{above}{name}.")
        else:
            yield above + name, default[name], about["description"]


def _shown(value: Any) -> str:
    return f"`{json.dumps(value)}`"


def plain() -> str:
    """deploy/manifests/headgate.yaml: what Helm installs, without Helm's own labels."""
    values = YAML(typ="safe").load(GIVEN.read_text())
    texts = rendered(values)
    # Namespaces come before what is in them.
    parts = sorted(
        (part for path, text in sorted(texts.items()) if path.endswith(".yaml")
         for part in text.split("\n---\n") if documents(part)),
        key=lambda part: documents(part)[0]["kind"] != "Namespace",
    )  # fmt: skip
    kept = (
        re.sub(r"^ +helm\.sh/chart: .*\n", "", f"{part.strip()}\n", flags=re.MULTILINE)
        for part in parts
    )
    whole = _OPENING + "".join(f"---\n{part}" for part in kept)
    return whole.replace("managed-by: Helm", "managed-by: kubectl")


if __name__ == "__main__":
    SCHEMA.write_text(schema())
    README.write_text(readme())
    MANIFESTS.write_text(plain())
