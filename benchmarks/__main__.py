"""`python -m benchmarks [NAME ...]`: run the benchmarks, and end with one table of ratios."""

import argparse
from collections.abc import Callable
from importlib import import_module

from benchmarks.common import Row, table

BENCHMARKS: dict[str, tuple[object, ...]] = {
    "cold_start": (),
    "push_to_step": (),
    "scale": (),
    "history": (),
    "postgresql": (),
    "controllers": (),
    "noticing": (),
    "commits": (),
    "planning": (),
    "peers": (),
    "step_overhead": (),
    "router": (),
    "docker": (),
    "kubernetes": (),
    "data_gate": (),
    "profile": (),
    "data_formats": (),
    "warm_gate": (),
    "suites": (),
    "dataset_checks": (),
    "model_gate": (),
    "folders": (),
    "manifests": (),
    "github": (),
    "pull_requests": (),
    "scrapes": (["--objects", "20000"],),
    "judge": (["--seconds", "60"],),
    "canaries": (),
}
"""Modules of this package, with arguments for their `main` so that each takes a minute or two."""


def main() -> None:
    """Run the named benchmarks, or all."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(BENCHMARKS))
    names = parser.parse_args().names or list(BENCHMARKS)
    unknown = [name for name in names if name not in BENCHMARKS]
    if unknown:
        parser.error(f"there is no benchmark {unknown[0]}; choose from {', '.join(BENCHMARKS)}")
    rows: list[Row] = []
    for name in names:
        print(f"-- {name}", flush=True)
        run: Callable[..., list[Row]] = import_module(f"benchmarks.{name}").main
        rows += run(*BENCHMARKS[name])
        print(flush=True)
    print(table(rows))


if __name__ == "__main__":
    main()
