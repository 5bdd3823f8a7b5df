"""The two services that one image holds, separable by their routes."""

from enum import StrEnum


class Part(StrEnum):
    """What a server is to answer alone: features, or predictions."""

    FEATURES = "features"
    PREDICT = "predict"
