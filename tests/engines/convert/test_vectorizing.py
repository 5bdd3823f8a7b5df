"""Text vectorizers: exact for a closed set of texts, native for any text."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import make_column_transformer
from sklearn.feature_extraction.text import CountVectorizer, HashingVectorizer, TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from windlass.engines.convert import ColumnDomain, EquivalenceReport, FittedEstimator, convert

NOTES = ("paid late", "paid", "Zoë SAYS: İstanbul 2nd", "never paid, twice", "x")
STEPS = [
    CountVectorizer(ngram_range=(1, 2)),
    TfidfVectorizer(),
    TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 3), sublinear_tf=True),
    HashingVectorizer(n_features=32),
]


def _report(step: Any, domain: ColumnDomain, seen: int = 4) -> EquivalenceReport:
    draw = np.random.default_rng(0)
    rows = pd.DataFrame({"note": draw.choice(NOTES[:seen], 200), "x": draw.normal(size=200)})
    rows["note"] = rows.note.astype(object)
    labels = (rows.note.str.len() + rows.x > 9).astype(int)
    encoder = make_column_transformer((step, "note"), remainder="passthrough")
    model = make_pipeline(encoder, LogisticRegression()).fit(rows, labels)
    domains = {"note": domain, "x": ColumnDomain(-5, 5, nullable=False)}
    fitted = FittedEstimator(model, ("note", "x"), frozenset({"note"}), (0, 1), domains)
    return convert(fitted, rows, seed=0, probe_rows=1000).report


@pytest.mark.parametrize("step", STEPS, ids=repr)
@pytest.mark.parametrize("nullable", [False, True])
def test_a_closed_set_is_exact(step: Any, nullable: bool) -> None:
    report = _report(step, ColumnDomain(nullable=nullable, categories=NOTES))
    assert report.engine == "onnx", report.reason


@pytest.mark.parametrize("step", STEPS, ids=repr)
def test_any_text_is_native(step: Any) -> None:
    report = _report(step, ColumnDomain(nullable=False))
    assert "closed set" in (report.reason or "")


def test_a_table_that_is_too_large_is_native() -> None:
    domain = ColumnDomain(nullable=False, categories=NOTES)
    assert "too many" in (_report(HashingVectorizer(), domain).reason or "")
