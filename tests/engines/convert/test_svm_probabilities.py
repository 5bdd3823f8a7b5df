from typing import Any

import pandas as pd
import pytest
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, NuSVC

pytestmark = pytest.mark.filterwarnings("ignore:The `probability`:FutureWarning")


@pytest.mark.parametrize("kernel", ["linear", "rbf", "poly"])
@pytest.mark.parametrize("table", ["iris", "cancer"])
def test_probabilities_of_its_own(
    kernel: Any, table: Any, convert_exactly: Any, request: pytest.FixtureRequest
) -> None:
    model = SVC(kernel=kernel, probability=True, random_state=0)
    convert_exactly(make_pipeline(StandardScaler(), model), request.getfixturevalue(table))


def test_other_machines(iris: Any, convert_exactly: Any) -> None:
    model = NuSVC(nu=0.2, probability=True, random_state=0)
    convert_exactly(make_pipeline(StandardScaler(), model), iris)
    model = SVC(break_ties=True, probability=True, random_state=0)
    convert_exactly(make_pipeline(StandardScaler(), model), iris)


def test_a_decision_of_zero_is_a_vote_for_the_second_class(compare_rows: Any) -> None:
    rows = pd.DataFrame({"x": [-1.0, 1.0] * 10})
    model = SVC(kernel="linear", probability=True, random_state=0)
    zero = pd.DataFrame({"x": [0.0, -0.0]})
    assert not model.fit(rows, rows.x).decision_function(zero).any()
    assert compare_rows(model, (rows, rows.x), zero) == 0


def test_a_decision_that_overflows(iris: Any, compare_rows: Any) -> None:
    rows = iris[0][:2].assign(**{iris[0].columns[1]: [1e300, -1e300]})
    assert compare_rows(SVC(kernel="poly", probability=True, random_state=0), iris, rows) == 0
