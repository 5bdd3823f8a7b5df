"""Transfers of money: how unusual each is, learned without labels; some are known to be frauds."""

from typing import Any, Literal

import numpy as np
import pandas as pd
from sklearn.compose import make_column_transformer
from sklearn.ensemble import IsolationForest
from sklearn.neighbors import LocalOutlierFactor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from windlass import AnomalyScore, Candidate, Gate, NotWorse, Project, Row, column


class Transfer(Row):
    """A transfer."""

    amount: float = column("Amount", unit="EUR", ge=0)
    hour: int = column("Hour of the day", ge=0, le=23)
    channel: Literal["web", "app", "branch"] = column("Where it was ordered")


class Forest(Candidate, name="forest"):
    """An isolation forest."""

    def build(self, seed: int) -> Any:
        """Trees need no scaling."""
        return make_pipeline(
            make_column_transformer((OneHotEncoder(), ["channel"]), remainder="passthrough"),
            IsolationForest(n_estimators=25, max_features=0.8, random_state=seed),
        )


class Neighbours(Candidate, name="neighbours"):
    """The local outlier factor, which has no converter to ONNX."""

    def build(self, seed: int) -> Any:
        """Novelty, for it predicts rows that it was not fitted to."""
        encoder = make_column_transformer((OneHotEncoder(), ["channel"]), remainder="passthrough")
        return make_pipeline(encoder, LocalOutlierFactor(novelty=True))


def transfers(rows: int = 400) -> pd.DataFrame:
    """Made-up transfers; every fortieth is a fraud, and of every other one it is not known."""
    random = np.random.default_rng(3)
    fraud = np.arange(rows) % 40 == 7
    amounts = random.lognormal(4, 0.5, rows) * np.where(fraud, 30, 1)
    labels: list[Any] = fraud.tolist()
    labels[::2] = [None] * len(labels[::2])
    return pd.DataFrame(
        {
            "amount": amounts.round(2),
            "hour": np.where(fraud, 3, random.integers(8, 20, rows)),
            "channel": random.choice(["web", "app", "branch"], rows),
            "fraud": pd.Series(labels, dtype=object),
        }
    )


project = Project(
    name="transfers",
    row=Transfer,
    target=AnomalyScore("fraud", contamination=0.025),
    data=transfers,
    candidates=[Forest, Neighbours],
    gates=[
        Gate("roc_auc", at_least=0.9),
        Gate("flagged_share", at_most=0.1),
        NotWorse("average_precision"),
    ],
)
