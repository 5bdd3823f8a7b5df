"""Searches in a shop: the order of the products that a query finds."""

from typing import Any

import numpy as np
import pandas as pd
from lightgbm import LGBMRanker
from sklearn.linear_model import Ridge

from windlass import Candidate, Gate, NotWorse, Project, Ranking, Row, column


class Match(Row):
    """A product that a query found."""

    words: int = column("Words of the query in the title", ge=0, le=20)
    price: float = column("Price", unit="EUR", ge=0)
    sold: float = column("Sold in the last month", ge=0)


class Points(Candidate, name="points"):
    """Predicts the relevance itself."""

    def build(self, seed: int) -> Any:
        """Groups play no part in the fit."""
        return Ridge()


class Pairs(Candidate, name="pairs"):
    """Compares the products of a query with each other."""

    def build(self, seed: int) -> Any:
        """A ranker, which is given the groups."""
        return LGBMRanker(n_estimators=10, min_child_samples=5, random_state=seed)


def matches(queries: int = 60) -> pd.DataFrame:
    """Made-up searches: six products for each query."""
    random = np.random.default_rng(5)
    rows = queries * 6
    words, sold = random.integers(0, 5, rows), random.exponential(20, rows).round()
    relevance = (words + sold / 20 + random.normal(0, 0.5, rows)).clip(0, 4).round()
    table = pd.DataFrame(
        {
            "words": words,
            "price": random.lognormal(3, 1, rows).round(2),
            "sold": sold,
            "relevance": relevance,
            "query": [f"query {number % queries}" for number in range(rows)],
        }
    )
    return table.sample(frac=1, random_state=0, ignore_index=True)


project = Project(
    name="searches",
    row=Match,
    target=Ranking("relevance", group="query"),
    data=matches,
    candidates=[Points, Pairs],
    gates=[Gate("ndcg_at_5", at_least=0.7), NotWorse("ndcg")],
)
