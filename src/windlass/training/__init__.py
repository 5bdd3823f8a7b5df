"""Training: from a project and its data to a fitted, evaluated model."""
