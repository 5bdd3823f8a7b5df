"""The view that the credit risk example sells, and loans of its shape to try it on: all good, with hard amounts."""

import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import polars as pl
from tests.support.loan_view import FEATURES
from tests.support.paths import ROOT

from windlass.core.feature_view import FeatureView

CREDIT = ROOT / "examples" / "credit_risk"
SAMPLE = ROOT.parent / "shared" / "data" / "credit_risk" / "sample_400_clients.csv"
_OWN = ("contract", "features", "generate", "population")  # names that other examples have too


def _import_example() -> tuple[Any, Any]:
    before = {name: sys.modules.pop(name) for name in _OWN if name in sys.modules}
    sys.path.insert(0, str(CREDIT))
    try:
        import generate

        import features
    finally:
        sys.path.remove(str(CREDIT))
        for name in _OWN:
            sys.modules.pop(name, None)
        sys.modules.update(before)
    return features, generate


_features, _generate = _import_example()
CREDIT_VIEW: FeatureView = _features.clients
CREDIT_RECORD = CREDIT_VIEW.record(FEATURES)


def make_credit_loans(clients: int, seed: int) -> pl.DataFrame:
    """Loans of so many clients, every row good; of one in five the amount ends in half a millionth."""
    with TemporaryDirectory() as folder:
        file = Path(folder) / "loans.parquet"
        _generate.generate(clients, seed, file)
        loans = pl.read_parquet(file)
    faults = [
        pl.col(name).eq_missing(pl.lit(value))
        for name, value in _generate.FAULTS.items()
        if name != "loan_id"
    ]
    good = loans.filter(~pl.any_horizontal(faults)).unique(
        "loan_id", keep="last", maintain_order=True
    )
    half = ((pl.col("loan_amount") * 1e6).floor() + 0.5) / 1e6
    return good.with_columns(
        pl.when(pl.col("loan_id") % 5 == 0).then(half).otherwise("loan_amount").alias("loan_amount")
    )
