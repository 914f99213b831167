"""Predict the held-out trips."""

import argparse

import mlflow.pyfunc
import trips

if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    for name in ("--model", "--data", "--out"):
        parser.add_argument(name, required=True)
    asked = parser.parse_args()
    _, held_out = trips.split(trips.read(asked.data))
    model = mlflow.pyfunc.load_model(asked.model)
    rows = held_out[["trip", trips.LABEL]].copy()
    rows["p_late"] = model.predict(held_out[trips.FEATURES])[:, 1]
    rows.to_parquet(asked.out, index=False)
