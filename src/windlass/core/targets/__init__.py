"""Kinds of target: classes, a quantity, several outputs, quantiles, an anomaly score, a ranking."""
