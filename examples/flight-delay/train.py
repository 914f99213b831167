"""Train the model that predicts whether a flight arrives more than 15 minutes late."""

import argparse
import sys
import time
from pathlib import Path

import flights
import joblib
import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier
from threadpoolctl import threadpool_limits


def main() -> None:
    arguments = _arguments()
    started = time.perf_counter()
    known, held_out = flights.split(flights.read(arguments.data))
    label = flights.late(known)
    if np.unique(label).size != 2:
        sys.exit(
            f"{arguments.data}: {len(known)} flights to train on, all of one class; "
            "expected at least one late and one punctual flight before the held-out days"
        )
    columns = flights.columns_of(known)
    ranks = flights.rank(columns, label)
    classifier = HistGradientBoostingClassifier(
        max_depth=arguments.depth,
        learning_rate=arguments.learning_rate,
        max_iter=arguments.rounds,
        min_samples_leaf=100,
        early_stopping=False,
        random_state=2013,
    )
    # One thread: the number is stored in the model, so only a fixed number gives the same bytes on
    # any machine; and on busy cores, OpenMP's threads wait for each other.
    with threadpool_limits(limits=1, user_api="openmp"):
        classifier.fit(flights.features(columns, ranks), label)
    # A plain dictionary: loading it needs scikit-learn, but none of this code.
    model = {"classifier": classifier, "ranks": ranks, "features": flights.FEATURES}
    joblib.dump(model, arguments.out)
    print(
        f"trained on {len(known):,} flights ({label.mean():.1%} late), held out {len(held_out):,}, "
        f"in {time.perf_counter() - started:.1f} s"
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="Parquet file or directory")
    parser.add_argument("--depth", type=int, default=6, help="depth of each tree")
    parser.add_argument("--learning-rate", type=float, default=0.1)
    parser.add_argument("--rounds", type=int, default=60, help="number of trees")
    parser.add_argument("--out", type=Path, required=True, help="where the model goes (joblib)")
    return parser.parse_args()


if __name__ == "__main__":
    main()
