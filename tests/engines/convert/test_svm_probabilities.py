from typing import Any

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
