from typing import Any

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, helper

from windlass.engines.convert.estimators.tree_ensemble import Tree, TreeEnsemble
from windlass.engines.convert.graph import IR_VERSION, ML, ML_OPSET, OPSET, Graph


def stump(value: Any, *, missing_left: Any = 0, members: Any = None) -> Any:
    return Tree(
        feature=np.array([0, -2, -2]),
        threshold=np.array([1.5, 0.0, 0.0]),
        left=np.array([1, -1, -1]),
        right=np.array([2, -1, -1]),
        leaf=np.array([False, True, True]),
        missing_left=np.array([missing_left, 0, 0]),
        value=np.array([np.full(np.shape(value)[1], np.nan), *value]),
        members=members or {},
    )


@pytest.fixture
def answer() -> Any:

    def run(ensemble: Any, rows: Any) -> Any:
        graph = Graph()
        name = ensemble.emit(graph, "numeric")
        io = [
            helper.make_tensor_value_info(n, TensorProto.DOUBLE, ["N", k])
            for n, k in (("numeric", 1), (name, ensemble.outputs))
        ]
        whole_graph = helper.make_graph(graph.nodes, "g", io[:1], io[1:])
        opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(ML, ML_OPSET)]
        model = helper.make_model(whole_graph, opset_imports=opsets, ir_version=IR_VERSION)
        live = onnxruntime.InferenceSession(model.SerializeToString())
        return live.run(None, {"numeric": np.array(rows, float).reshape(-1, 1)})[0].tolist()

    return run


def test_leaves_with_several_values_become_copies(answer: Any) -> None:
    ensemble = TreeEnsemble(3)
    ensemble.add(stump([[0.25, 0.0, 0.75], [0.0, 1.0, 0.0]]))
    assert answer(ensemble, [1.5, 1.6]) == [[0.25, 0.0, 0.75], [0.0, 1.0, 0.0]]


def test_missing_values_follow_the_tree(answer: Any) -> None:
    for side, expected in ((1, 10.0), (0, 20.0)):
        ensemble = TreeEnsemble(1)
        ensemble.add(stump([[10.0], [20.0]], missing_left=side))
        assert answer(ensemble, [np.nan]) == [[expected]]


def test_sets_of_codes(answer: Any) -> None:
    ensemble = TreeEnsemble(1)
    ensemble.add(stump([[10.0], [20.0]], members={0: np.array([0, 2, 40, 255])}))
    codes = [0, 1, 2, 40, 41, 255, 254]
    assert answer(ensemble, codes) == [[10.0], [20.0], [10.0], [10.0], [20.0], [10.0], [20.0]]


def test_constants_come_first_and_nothing_is_zero(answer: Any) -> None:
    ensemble = TreeEnsemble(2)
    assert answer(ensemble, [3.0]) == [[0.0, 0.0]]
    ensemble = TreeEnsemble(2)
    ensemble.add_constant(np.array([0.1]), first=1)
    ensemble.add(stump([[0.2], [0.3]]), first=1)
    assert answer(ensemble, [0.0]) == [[0.0, 0.1 + 0.2]]
