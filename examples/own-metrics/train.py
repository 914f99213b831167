"""Learn from pairs of items which one people like more."""

import argparse
import json
import math
from itertools import combinations
from pathlib import Path

import ranking

parser = argparse.ArgumentParser()
parser.add_argument("--data", type=Path, required=True)
parser.add_argument("--rounds", type=int, default=30)
parser.add_argument("--out", type=Path, required=True)
given = parser.parse_args()

pairs = []
for search, shown in ranking.read(given.data).items():
    if ranking.is_held_out(search):
        continue
    for one, other in combinations(shown, 2):
        if one["relevance"] != other["relevance"]:
            liked = one["relevance"] > other["relevance"]
            more, less = (one, other) if liked else (other, one)
            pairs.append([float(more[name]) - float(less[name]) for name in ranking.FEATURES])
weights = [0.0] * len(ranking.FEATURES)
for _ in range(given.rounds):
    slopes = [0.0] * len(weights)
    for apart in pairs:
        wrong = 1 / (1 + math.exp(sum(w * x for w, x in zip(weights, apart, strict=True))))
        for place, value in enumerate(apart):
            slopes[place] += wrong * value
    weights = [w + 4 * slope / len(pairs) for w, slope in zip(weights, slopes, strict=True)]
given.out.write_text(json.dumps({"weights": weights}))
print(f"trained on {len(pairs)} pairs")
