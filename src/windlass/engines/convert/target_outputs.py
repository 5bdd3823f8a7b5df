"""Names the outputs of a model by the kind of target: labels and probabilities, values, or those of several outputs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import TensorProto, helper

from windlass.core.targets.anomaly_score import AnomalyScore
from windlass.core.targets.classes import Classes
from windlass.core.targets.outputs import Outputs
from windlass.core.targets.quantiles import Quantiles
from windlass.core.targets.ranking import Ranking
from windlass.engines.convert.compiler import ClassifierOutput, Compiler
from windlass.engines.convert.estimators.anomalies import anomaly_scores
from windlass.engines.convert.estimators.multi_output import classify_outputs, regress_outputs
from windlass.engines.convert.types import UnsupportedError

if TYPE_CHECKING:
    from windlass.core.targets.target import Label, Target
    from windlass.engines.convert.graph import Columns, Graph

    OutputInfos = list[onnx.ValueInfoProto]
    AppendOutputs = Callable[[Compiler, Any, Any, Columns], OutputInfos]


def target_outputs(
    compiler: Compiler, target: Target, estimator: Any, columns: Columns
) -> OutputInfos:
    """Append a fitted estimator and return the outputs that engines read for this kind of target.

    Raises UnsupportedError where there is no converter.
    """
    append = _KINDS.get(target.KIND)
    if append is None:
        raise UnsupportedError(f"{type(target).__name__}: no converter for this kind of target")
    return append(compiler, target, estimator, columns)


def _single(
    compiler: Compiler, target: Target, estimator: Any, columns: Columns, suffix: str = ""
) -> OutputInfos:
    """Append a classifier or a regressor."""
    if isinstance(target, Classes):
        scores = compiler.classify(estimator, columns)
        positions = _class_positions(estimator.classes_, target.labels)
        return _class_outputs(compiler, scores, positions, suffix)
    return [value_output(compiler, compiler.regress(estimator, columns), suffix)]


def _several(compiler: Compiler, target: Outputs, estimator: Any, columns: Columns) -> OutputInfos:
    """Append an estimator for each output, or one that predicts all."""
    if isinstance(estimator, Mapping):
        return [
            info
            for index, output in enumerate(target.outputs)
            for info in _single(compiler, output, estimator[output.name], columns, f"_{index}")
        ]
    if isinstance(target.outputs[0], Classes):
        scores = classify_outputs(compiler, estimator, columns)
        counts = [len(each.labels) for each in target.outputs if isinstance(each, Classes)]
        return [
            info
            for index, (each, count) in enumerate(zip(scores, counts, strict=True))
            for info in _class_outputs(compiler, each, list(range(count)), f"_{index}")
        ]
    return [
        value_output(compiler, value, f"_{index}")
        for index, value in enumerate(regress_outputs(compiler, estimator, columns))
    ]


def _quantiles(
    compiler: Compiler, target: Quantiles, estimator: Any, columns: Columns
) -> OutputInfos:
    """Append an estimator for each quantile, or one that predicts all, and sort each row."""
    graph, count = compiler.graph, len(target.quantiles)
    if isinstance(estimator, Mapping):
        values = [compiler.regress(each, columns) for each in estimator.values()]
    else:
        values = regress_outputs(compiler, estimator, columns)
    joined = graph.node("Concat", *values, axis=1)
    ordered, _ = graph.multi_output_node(
        "TopK", [joined, graph.constant([count])], 2, axis=1, largest=0
    )
    _output(graph, compiler.predictions(ordered), "value")
    return [helper.make_tensor_value_info("value", TensorProto.DOUBLE, ["N", count])]


def _anomaly_score(
    compiler: Compiler, _: AnomalyScore, estimator: Any, columns: Columns
) -> OutputInfos:
    return [value_output(compiler, anomaly_scores(compiler, estimator, columns))]


def value_output(compiler: Compiler, value: str, suffix: str = "") -> onnx.ValueInfoProto:
    """Name a tensor [N, 1] as the output `value`, float64 [N]."""
    graph = compiler.graph
    flat = graph.node("Reshape", compiler.predictions(value), graph.constant([-1]))
    _output(graph, flat, f"value{suffix}")
    return helper.make_tensor_value_info(f"value{suffix}", TensorProto.DOUBLE, ["N"])


def _class_outputs(
    compiler: Compiler, scores: ClassifierOutput, positions: list[int], suffix: str
) -> OutputInfos:
    """Name the outputs, in the declared order of the classes."""
    if scores.probabilities is None:
        raise UnsupportedError("it gives no probabilities")
    graph, label = compiler.graph, scores.label
    probabilities = compiler.predictions(scores.probabilities)
    count = len(positions)
    if positions != list(range(count)):
        label = graph.node("Gather", graph.constant(positions), label, axis=0)
        permutation = np.zeros((count, count))
        permutation[np.arange(count), positions] = 1.0
        probabilities = graph.node("MatMul", probabilities, graph.constant(permutation))
    _output(graph, label, f"label{suffix}")
    _output(graph, probabilities, f"probabilities{suffix}")
    return [
        helper.make_tensor_value_info(f"label{suffix}", TensorProto.INT64, ["N"]),
        helper.make_tensor_value_info(f"probabilities{suffix}", TensorProto.DOUBLE, ["N", count]),
    ]


def _class_positions(learned: Any, labels: tuple[Label, ...]) -> list[int]:
    """Return the declared position of each of the estimator's classes."""
    declared = {name: i for i, name in enumerate(labels)}
    try:
        return [declared[name] for name in np.asarray(learned).tolist()]
    except KeyError as error:
        raise UnsupportedError(f"the class {error} was learned but not declared") from error


def _output(graph: Graph, name: str, public: str) -> None:
    """Rename a tensor to an output, where it is one that a node computes."""
    if any(name in node.output for node in graph.nodes):
        graph.rename(name, public)
    else:
        graph.rename(graph.node("Identity", name), public)


_KINDS: dict[str | None, AppendOutputs] = {
    None: _single,
    AnomalyScore.KIND: _anomaly_score,
    Outputs.KIND: _several,
    Quantiles.KIND: _quantiles,
    Ranking.KIND: _single,
}
