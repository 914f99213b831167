"""Write metrics of how the model ranks the held-out searches, as nested numbers."""

import argparse
import json
import math
from pathlib import Path
from statistics import mean

import ranking

parser = argparse.ArgumentParser()
parser.add_argument("--model", type=Path, required=True)
parser.add_argument("--data", type=Path, required=True)
parser.add_argument("--out", type=Path, required=True)
given = parser.parse_args()


def gain(relevances: list[int]) -> float:
    """The discounted cumulative gain of the first five items."""
    return sum((2**r - 1) / math.log2(at + 2) for at, r in enumerate(relevances[:5]))


def reciprocal_rank(relevances: list[int]) -> float:
    """The reciprocal rank of the first item that people liked."""
    return next((1 / at for at, r in enumerate(relevances, 1) if r >= 2), 0.0)


weights = ranking.load(given.model)
found: dict[str, list[list[int]]] = {}
for search, shown in ranking.read(given.data).items():
    if ranking.is_held_out(search):
        ranked = sorted(shown, key=lambda row: -ranking.score(weights, row))
        found.setdefault(shown[0]["language"], []).append([int(r["relevance"]) for r in ranked])


def measured(searches: list[list[int]]) -> dict[str, float]:
    """The metrics of some searches, without those that have no relevant item."""
    kept = [each for each in searches if max(each) > 0]
    return {
        "ndcg_at_5": mean(gain(each) / gain(sorted(each, reverse=True)) for each in kept),
        "mrr": mean(map(reciprocal_rank, kept)),
        "searches": len(kept),
    }


every = [each for searches in found.values() for each in searches]
by_language = {language: measured(searches) for language, searches in sorted(found.items())}
given.out.write_text(json.dumps({**measured(every), "by_language": by_language}, indent=2))
