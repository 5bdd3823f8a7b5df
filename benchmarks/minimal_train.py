"""A training script without Windlass: the Iris example's fit, its score, and a pickle."""

import argparse
import json
from pathlib import Path

import joblib
from sklearn.datasets import load_iris
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler


def main() -> None:
    """Fits, scores and writes `model.joblib` and `metrics.json` into the folder named by --out."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", choices=["logreg", "rf"], default="logreg")
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()

    iris = load_iris()
    labels = iris.target_names[iris.target]
    rows, rows_test, species, species_test = train_test_split(
        iris.data, labels, test_size=0.2, random_state=42, stratify=labels
    )
    if arguments.model == "logreg":
        model = LogisticRegression(max_iter=1000, random_state=42)
    else:
        model = RandomForestClassifier(100, random_state=42)
    pipeline = make_pipeline(StandardScaler(), model).fit(rows, species)

    predicted = pipeline.predict(rows_test)
    metrics = {
        "accuracy": accuracy_score(species_test, predicted),
        "macro_f1": f1_score(species_test, predicted, average="macro"),
        "confusion": confusion_matrix(species_test, predicted).tolist(),
    }
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / "metrics.json").write_text(json.dumps(metrics))
    joblib.dump(pipeline, arguments.out / "model.joblib")


if __name__ == "__main__":
    main()
