"""Prediction and feature protocols of other systems: KServe, Open Inference, MLflow, SageMaker, Feast."""
