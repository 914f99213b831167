"""Predict the held-out flights, for the candidate as well as the baseline.

Which flights are held out depends only on the data, so two models are compared on the same rows of
the same data. A baseline was trained before the newest month arrived and has not seen it either.
"""

import argparse
from pathlib import Path

import flights
import joblib
import pandas as pd
from sklearn.metrics import roc_auc_score
from threadpoolctl import threadpool_limits


def main() -> None:
    arguments = _arguments()
    model = joblib.load(arguments.model)
    _, held_out = flights.split(flights.read(arguments.data))
    rows = flights.features(flights.columns_of(held_out), model["ranks"])
    with threadpool_limits(limits=1, user_api="openmp"):  # the machine may be shared
        p_late = model["classifier"].predict_proba(rows)[:, 1]
    predictions = pd.DataFrame(
        {
            flights.KEY: held_out[flights.KEY].to_numpy(),
            "late": flights.late(held_out),
            "p_late": p_late,
            "carrier": held_out["carrier"].to_numpy(),
            "origin": held_out["origin"].to_numpy(),
        }
    )
    predictions.to_parquet(arguments.out, index=False)
    found = f"{len(predictions):,} held-out flights, {predictions['late'].mean():.1%} late"
    if predictions["late"].nunique() == 2:
        found += f", ROC AUC {roc_auc_score(predictions['late'], predictions['p_late']):.4f}"
    print(found)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, required=True, help="a model that train.py wrote")
    parser.add_argument("--data", type=Path, required=True, help="Parquet file or directory")
    parser.add_argument("--out", type=Path, required=True, help="where the predictions go")
    return parser.parse_args()


if __name__ == "__main__":
    main()
