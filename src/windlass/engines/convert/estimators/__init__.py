"""Converters of estimators, one module for each family."""
