"""Write data/searches.csv: what people searched for, what was shown, and how much they liked it.

It is made up, and the same each time: `python make_data.py`. Not part of the pipeline.
"""

import csv
import random
from pathlib import Path

dice = random.Random(11)
rows = []
for search in range(1, 161):
    language = dice.choice(["de", "en", "en"])
    for item in range(1, 9):
        match, popular, fresh = (round(dice.random(), 3) for _ in range(3))
        like = 2.6 * match + 0.9 * popular + (0.8 if language == "de" else 0.2) * fresh
        relevance = max(0, min(3, round(like - 0.8 + dice.gauss(0, 0.45))))
        rows.append([search, language, item, match, popular, fresh, relevance])
path = Path("data/searches.csv")
path.parent.mkdir(exist_ok=True)
with path.open("w", newline="") as file:
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(["search", "language", "item", "match", "popular", "fresh", "relevance"])
    writer.writerows(rows)
