"""Describes the inference routes in OpenAPI."""
