"""Converts model.joblib of the current folder into an MLflow model in ./saved. Run by MLflow's own environment."""
# mypy: disable-error-code="attr-defined"

import joblib
import mlflow.sklearn

mlflow.sklearn.save_model(joblib.load("model.joblib"), "saved")
