from typing import Any

import numpy as np
import onnx
import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from windlass.engines.convert import FittedEstimator, convert

NAMES = np.array(["setosa", "versicolor", "virginica"])


def shapes(values: Any) -> Any:
    return {
        value.name: (
            value.type.tensor_type.elem_type,
            [d.dim_value for d in value.type.tensor_type.shape.dim],
        )
        for value in values
    }


def test_a_scaler_and_a_logistic_regression_are_five_nodes(iris: Any, convert_exactly: Any) -> None:
    model = onnx.load_from_string(
        convert_exactly(make_pipeline(StandardScaler(), LogisticRegression()), iris).model
    )
    assert [node.op_type for node in model.graph.node] == [
        "Sub",
        "Div",
        "Gemm",
        "ArgMax",
        "Softmax",
    ]


def test_inputs_and_outputs(mixed: Any, iris: Any, diabetes: Any, convert_exactly: Any) -> None:
    rows, target = mixed
    steps = make_pipeline(OneHotEncoder(handle_unknown="ignore"), LogisticRegression())
    graph = onnx.load_from_string(
        convert_exactly(steps, (rows[["job", "member"]], target)).model
    ).graph
    double, text, int64 = (
        onnx.TensorProto.DOUBLE,
        onnx.TensorProto.STRING,
        onnx.TensorProto.INT64,
    )
    assert shapes(graph.input) == {"numeric": (double, [0, 1]), "text": (text, [0, 1])}
    assert shapes(graph.output) == {"label": (int64, [0]), "probabilities": (double, [0, 3])}
    graph = onnx.load_from_string(
        convert_exactly(DecisionTreeRegressor(max_depth=3), diabetes).model
    ).graph
    assert shapes(graph.input) == {"numeric": (double, [0, 10])}
    assert shapes(graph.output) == {"value": (double, [0])}


@pytest.mark.parametrize("order", [(2, 0, 1), (0, 2, 1), (0, 1, 2)])
def test_classes_in_declared_order(order: Any, iris: Any, convert_exactly: Any) -> None:
    rows, target = iris
    declared = tuple(NAMES[list(order)].tolist())
    convert_exactly(DecisionTreeClassifier(max_depth=2), (rows, NAMES[target]), classes=declared)


def test_booleans(cancer: Any, convert_exactly: Any) -> None:
    rows, target = cancer
    convert_exactly(DecisionTreeClassifier(max_depth=3), (rows, target == 1), classes=(True, False))


def test_an_undeclared_class_is_native(iris: Any) -> None:
    rows, target = iris
    model = DecisionTreeClassifier().fit(rows, target)
    conversion = convert(FittedEstimator(model, tuple(rows), frozenset(), (0, 1)), rows, seed=0)
    assert conversion.report.reason == "the class 2 was learned but not declared"


def test_columns_that_nothing_reads(convert_exactly: Any) -> None:
    draw = np.random.default_rng(0)
    rows = pd.DataFrame({"x": draw.normal(size=60), "job": draw.choice(["a", "b"], 60)})
    steps = ColumnTransformer([("x", StandardScaler(), ["x"])])
    convert_exactly(make_pipeline(steps, LogisticRegression()), (rows, (rows.x > 0).astype(int)))
