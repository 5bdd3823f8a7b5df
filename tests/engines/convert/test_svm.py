from typing import Any

import numpy as np
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, SVR, NuSVC, NuSVR

from windlass.engines.convert.estimators.svm import _pair_weights

KERNELS = ["linear", "rbf", "poly", "sigmoid"]


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("table", ["iris", "cancer"])
def test_calibrated_classifiers(
    kernel: Any, table: Any, convert_exactly: Any, request: pytest.FixtureRequest
) -> None:
    model = CalibratedClassifierCV(SVC(kernel=kernel), cv=3)
    convert_exactly(make_pipeline(StandardScaler(), model), request.getfixturevalue(table))


def test_nu_classifier(iris: Any, convert_exactly: Any) -> None:
    model = CalibratedClassifierCV(NuSVC(nu=0.3), cv=3)
    convert_exactly(make_pipeline(StandardScaler(), model), iris)


@pytest.mark.parametrize("model", [SVR(C=10.0), SVR(kernel="poly"), NuSVR(C=10.0)], ids=repr)
def test_regressors(model: Any, diabetes: Any, convert_exactly: Any) -> None:
    convert_exactly(make_pipeline(StandardScaler(), model), diabetes)


def test_pair_weights_give_the_one_vs_one_decision(iris: Any) -> None:
    rows, target = iris
    model = SVC(kernel="linear", decision_function_shape="ovo").fit(rows, target)
    kernel = rows.to_numpy() @ model.support_vectors_.T
    decision = kernel @ _pair_weights(model) + model._intercept_
    np.testing.assert_allclose(decision, model.decision_function(rows), atol=1e-9)


def test_own_kernels_are_native(iris: Any, native_reason: Any) -> None:
    model = CalibratedClassifierCV(SVC(kernel=lambda a, b: a @ b.T), cv=3)
    assert "this kernel" in native_reason(model, iris)


def test_distances_far_from_zero_and_those_that_overflow(iris: Any, compare_rows: Any) -> None:
    rows, target = iris
    assert compare_rows(SVR(), (rows + 1e7, target), rows[:5] + 1e7) == 0
    far = rows[:3].assign(**{rows.columns[1]: [1e200, -1e300, 1e150]})
    assert compare_rows(SVR(), iris, far) == 0
