"""What turns rows into predictions: ONNX Runtime, or the native estimator."""
