"""Special rows are drawn by construction: every kind, in every column, and nothing that no row may hold."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from windlass.engines.convert import ColumnDomain, FittedEstimator
from windlass.engines.convert.probe_rows import UNSEEN, ProbeRowSampler
from windlass.engines.convert.special_rows import SpecialRows

SPLIT = 40.3
FLOAT32 = float(np.finfo(np.float32).max)
LOW, HIGH = -1000.0, 1e6
NUMBERS = ["age", "income", "member", "since"]


@pytest.fixture
def special(mixed: Any) -> pd.DataFrame:
    """Special rows with a split of the age, a range of the income, and no missing date or job."""
    rows, _ = mixed
    domains = {
        "age": ColumnDomain(nullable=True),
        "income": ColumnDomain(LOW, HIGH, nullable=True),
        "since": ColumnDomain(nullable=False),
        "colour": ColumnDomain(nullable=True, categories=("blue", "green", "red", "Zoë", "violet")),
        "job": ColumnDomain(nullable=False),
    }
    text = frozenset({"colour", "job"})
    fitted = FittedEstimator(None, tuple(rows.columns), text, None, domains)
    splits = {0: np.array([SPLIT])}
    return SpecialRows(ProbeRowSampler(fitted, rows, splits, np.random.default_rng(0))).frame()


def test_columns_and_types_are_those_of_training(special: pd.DataFrame, mixed: Any) -> None:
    assert list(special) == list(mixed[0])
    assert special.dtypes.to_dict() == mixed[0].dtypes.to_dict()


def test_zeros_of_either_sign_in_every_column(special: pd.DataFrame) -> None:
    zeros = special.loc[(special[NUMBERS] == 0.0).all(axis=1), NUMBERS]
    assert np.signbit(zeros.to_numpy()).tolist() == [[False] * 4, [True] * 4]


@pytest.mark.parametrize("sign", [1.0, -1.0])
@pytest.mark.parametrize(
    "value", [0.0, 5e-324, FLOAT32, np.nextafter(FLOAT32, np.inf), 1e300, np.finfo(np.float64).max]
)
def test_small_and_large_numbers(value: float, sign: float, special: pd.DataFrame) -> None:
    for name in ("age", "member", "since"):
        cells = special.loc[special[name] == sign * value, name]
        assert (np.signbit(cells) == (sign < 0)).any(), name


def test_splits_and_their_neighbours(special: pd.DataFrame) -> None:
    ages, single = set(special["age"]), np.float32(SPLIT)
    assert {SPLIT, np.nextafter(SPLIT, -np.inf), np.nextafter(SPLIT, np.inf)} <= ages
    for side in (-np.inf, np.inf):
        beside = float(np.nextafter(single, np.float32(side)))
        assert {float(single), beside, (beside + float(single)) / 2} <= ages


def test_training_rows_far_away(special: pd.DataFrame, mixed: Any) -> None:
    trained = mixed[0]["since"].to_numpy()
    for factor in (10.0, 1e3, 1e6, 1e12):
        for far in (factor, -factor):
            assert np.isin(special["since"], trained * far).sum() >= 4


def test_the_ends_of_the_training_rows_and_of_the_domain(special: pd.DataFrame, mixed: Any) -> None:
    observed = mixed[0]["income"]
    ends = {observed.min(), observed.max(), observed.min() - 1.0, observed.max() + 1.0, LOW, HIGH}
    assert ends <= set(special["income"])


def test_every_number_is_valid(special: pd.DataFrame) -> None:
    assert special["income"].dropna().between(LOW, HIGH).all()
    assert np.isfinite(special[NUMBERS].to_numpy()[~special[NUMBERS].isna()]).all()


def test_each_category_and_those_that_training_has_not(special: pd.DataFrame, mixed: Any) -> None:
    assert {*mixed[0]["job"].dropna(), UNSEEN} <= set(special["job"])
    assert set(special["colour"].dropna()) == {"blue", "green", "red", "Zoë", "violet"}


def test_missing_values_where_they_may_be(special: pd.DataFrame) -> None:
    whole = special.notna().all(axis=1)
    for name in ("age", "income", "colour"):
        rest = special.drop(columns=name).notna().all(axis=1)
        assert (special[name].isna() & rest).any(), name
    assert (~whole[-4:]).any()
    assert special["since"].notna().all()


def test_one_special_cell_in_a_row(special: pd.DataFrame, mixed: Any) -> None:
    for name in ("age", "member", "since"):
        rows = special[special[name].abs() == 1e300].drop(columns=name)
        assert len(rows) == 2
        for column in rows:
            assert rows[column].isin(mixed[0][column]).all(), (name, column)
