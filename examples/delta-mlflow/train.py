"""Train, and write the model as a folder in MLflow's format."""

import argparse

import mlflow.sklearn
import trips
from mlflow.models import infer_signature
from sklearn.ensemble import HistGradientBoostingClassifier

if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", required=True)
    parser.add_argument("--out", required=True)
    asked = parser.parse_args()
    known, _ = trips.split(trips.read(asked.data))
    model = HistGradientBoostingClassifier(max_iter=60, learning_rate=0.1, random_state=0)
    model.fit(known[trips.FEATURES], known[trips.LABEL])
    probabilities = model.predict_proba(known[trips.FEATURES])
    mlflow.sklearn.save_model(
        model,
        asked.out,
        signature=infer_signature(known[trips.FEATURES], probabilities),
        pyfunc_predict_fn="predict_proba",  # or `mlflow models serve` answers true or false
        pip_requirements="requirements.txt",  # or MLflow imports everything again to guess them
        serialization_format="cloudpickle",
    )
