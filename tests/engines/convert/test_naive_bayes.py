from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import make_column_transformer
from sklearn.discriminant_analysis import QuadraticDiscriminantAnalysis
from sklearn.naive_bayes import BernoulliNB, CategoricalNB, ComplementNB, GaussianNB, MultinomialNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import KBinsDiscretizer, OrdinalEncoder
from tests.support.budget import IS_CI

MODELS = [
    QuadraticDiscriminantAnalysis(),
    GaussianNB(),
    GaussianNB(priors=[0.1, 0.2, 0.7]),
    MultinomialNB(),
    MultinomialNB(fit_prior=False),
    ComplementNB(),
    ComplementNB(norm=True),
    BernoulliNB(binarize=3.0),
    make_pipeline(KBinsDiscretizer(3, encode="ordinal", strategy="uniform"), CategoricalNB()),
]
CATEGORICAL = [
    CategoricalNB(),
    CategoricalNB(alpha=0, force_alpha=True),
    CategoricalNB(fit_prior=False, min_categories=9),
]


@pytest.fixture(scope="module")
def codes() -> Any:
    """Return 300 rows of codes from 0 to 4, and three classes."""
    draw = np.random.default_rng(0)
    rows = pd.DataFrame(draw.integers(0, 5, (300, 3)).astype(float), columns=list("abc"))
    return rows, ((rows.a + draw.integers(0, 3, 300)) // 3).astype(int)


@pytest.mark.parametrize("model", MODELS if IS_CI else MODELS[::2], ids=repr)
def test_three_classes(model: Any, iris: Any, convert_exactly: Any) -> None:
    convert_exactly(model, iris)


@pytest.mark.parametrize(
    "model",
    [
        GaussianNB(),
        MultinomialNB(),
        ComplementNB(),
        CalibratedClassifierCV(QuadraticDiscriminantAnalysis(reg_param=0.1), cv=2),
    ],
    ids=repr,
)
def test_two_classes(model: Any, cancer: Any, convert_exactly: Any) -> None:
    convert_exactly(model, cancer)


@pytest.mark.parametrize("model", CATEGORICAL, ids=repr)
@pytest.mark.filterwarnings("ignore:divide by zero")  # log(0), where nothing is smoothed
def test_codes(model: Any, codes: Any, convert_exactly: Any) -> None:
    convert_exactly(model, codes)


def test_categories(mixed: Any, convert_exactly: Any) -> None:
    rows, target = mixed
    encoder = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=7)
    model = make_pipeline(make_column_transformer((encoder, ["job", "member"])), CategoricalNB())
    model.set_params(categoricalnb__min_categories=8)
    convert_exactly(model, (rows.fillna({"job": "none"}), target))


@pytest.mark.parametrize("model", CATEGORICAL, ids=repr)
@pytest.mark.filterwarnings("ignore:divide by zero")  # log(0), where nothing is smoothed
def test_codes_that_are_rejected(model: Any, codes: Any, compare_rows: Any) -> None:
    values = [0.0, -0.5, 4.9, 5.0, 8.0, 9.0, -1.0, 1e300, -1e300, np.nan]
    rows = pd.DataFrame(np.zeros((len(values), 3)), columns=list("abc"))
    rows["b"] = values
    assert compare_rows(model, codes, rows) == (5 if model.min_categories else 7)


def test_the_label_is_that_of_the_likelihoods(iris: Any, compare_rows: Any) -> None:
    # Far away the probabilities saturate at 0 and 1, or are equal after rounding.
    rows, _ = iris
    far = pd.DataFrame(np.outer([1e3, -1e5, 1e7], np.ones(4)), columns=rows.columns)
    assert compare_rows(GaussianNB(), iris, far) == 0
    equal = (rows, np.tile([0, 1], 75))
    near = pd.DataFrame(np.full((20, 4), 1e-17) * np.arange(20)[:, None], columns=rows.columns)
    assert compare_rows(MultinomialNB(), equal, near) == 0


def test_far_away_equal_classes_have_a_probability_of_one_each(
    iris: Any, compare_rows: Any
) -> None:
    rows = iris[0].assign(constant=1.0)
    far = rows[::30].assign(constant=[2.0, 1e3, 1e7, 1e12, -1e100])
    assert compare_rows(GaussianNB(), (rows, iris[1]), far) == 0
