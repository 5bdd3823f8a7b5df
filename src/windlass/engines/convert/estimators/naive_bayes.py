"""Converters of naive Bayes and of quadratic discriminant analysis, which compare log-likelihoods.

Labels come from the joint log-likelihoods: far from the training rows the probabilities saturate.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from windlass.engines.convert.compiler import ClassifierOutput, Compiler
from windlass.engines.convert.estimators.discretizing import binarized
from windlass.engines.convert.types import UnsupportedError

if TYPE_CHECKING:
    from windlass.engines.convert.graph import Array, Columns, Graph

_INT64 = 7


def gaussian(compiler: Compiler, model: Any, columns: Columns) -> ClassifierOutput:
    """Append Gaussian naive Bayes."""
    graph = compiler.graph
    axis = graph.constant([1])
    rows = graph.node("Unsqueeze", graph.numeric_tensor(columns, model), axis)
    gaps = graph.node("Sub", rows, graph.constant(model.theta_))
    scaled = graph.node("Div", graph.node("Mul", gaps, gaps), graph.constant(model.var_))
    total = graph.node("ReduceSum", scaled, graph.constant([2]), keepdims=0)
    halves = graph.node("Mul", total, graph.constant(0.5))
    densities = -0.5 * np.log(2.0 * np.pi * model.var_).sum(axis=1)
    likelihoods = graph.node("Sub", graph.constant(densities), halves)
    return _output(graph, likelihoods, np.log(model.class_prior_))


def multinomial(compiler: Compiler, model: Any, columns: Columns) -> ClassifierOutput:
    """Append multinomial naive Bayes."""
    rows = compiler.graph.numeric_tensor(columns, model)
    return _linear(compiler.graph, rows, model.feature_log_prob_, model.class_log_prior_)


def complement(compiler: Compiler, model: Any, columns: Columns) -> ClassifierOutput:
    """Append complement naive Bayes; the priors count for a single class only."""
    rows = compiler.graph.numeric_tensor(columns, model)
    priors = model.class_log_prior_ if len(model.classes_) == 1 else None
    return _linear(compiler.graph, rows, model.feature_log_prob_, priors)


def bernoulli(compiler: Compiler, model: Any, columns: Columns) -> ClassifierOutput:
    """Append Bernoulli naive Bayes, over columns that are first compared with its threshold."""
    graph = compiler.graph
    rows = graph.numeric_tensor(columns, model)
    if model.binarize is not None:
        compiler.reject_non_finite(rows)
        rows = binarized(graph, rows, model.binarize)
    absent = np.log(1.0 - np.exp(model.feature_log_prob_))
    priors = model.class_log_prior_ + absent.sum(axis=1)
    return _linear(graph, rows, model.feature_log_prob_ - absent, priors)


def categorical(compiler: Compiler, model: Any, columns: Columns) -> ClassifierOutput:
    """Append categorical naive Bayes: one lookup of all codes, added up in the order of the features."""
    graph, tables = compiler.graph, [np.asarray(table).T for table in model.feature_log_prob_]
    sizes = np.array([len(table) for table in tables])
    if not sizes.all():
        raise UnsupportedError("CategoricalNB: a column has no categories")
    # The cast rounds towards zero, as scikit-learn's does; NaN becomes the smallest integer.
    codes = graph.node("Cast", graph.numeric_tensor(columns, model), to=_INT64)
    zero, last = graph.constant(0), graph.constant(sizes - 1)
    clipped = graph.node("Min", graph.node("Max", codes, zero), last)
    compiler.reject(graph.node("Not", graph.node("Equal", codes, clipped)))
    starts = np.cumsum(sizes) - sizes
    positions = graph.node("Add", clipped, graph.constant(starts))
    terms = graph.node("Gather", graph.constant(np.concatenate(tables)), positions, axis=0)
    total = graph.node("ReduceSum", terms, graph.constant([1]), keepdims=0)
    return _output(graph, total, model.class_log_prior_)


def quadratic_discriminant(compiler: Compiler, model: Any, columns: Columns) -> ClassifierOutput:
    """Append a quadratic discriminant analysis."""
    graph = compiler.graph
    rows, axis = graph.numeric_tensor(columns, model), graph.constant([1])
    distances = []
    for mean, axes, scale in zip(model.means_, model.rotations_, model.scalings_, strict=True):
        gaps = graph.node("Sub", rows, graph.constant(mean))
        turned = graph.node("MatMul", gaps, graph.constant(axes * scale**-0.5))
        distances.append(graph.node("ReduceSumSquare", turned, axis, keepdims=1))
    sizes = graph.constant(np.array([np.log(scale).sum() for scale in model.scalings_]))
    total = graph.node("Add", graph.node("Concat", *distances, axis=1), sizes)
    likelihoods = graph.node("Mul", total, graph.constant(-0.5))
    joint = graph.node("Add", likelihoods, graph.constant(np.log(model.priors_)))
    decision = joint
    if len(model.classes_) == 2:
        decision = graph.node("Sub", graph.gather(joint, [1]), graph.gather(joint, [0]))
    label = graph.node("ArgMax", joint, axis=1, keepdims=0)
    return ClassifierOutput(label, graph.node("Softmax", joint, axis=1), decision)


def _linear(graph: Graph, rows: str, weights: Array, priors: Array | None) -> ClassifierOutput:
    return _output(graph, graph.node("MatMul", rows, graph.constant(weights.T)), priors)


def _output(graph: Graph, likelihoods: str, priors: Array | None) -> ClassifierOutput:
    """Append the outputs for log-likelihoods [N, c], to which the priors' logarithms [c] are added.

    The probabilities are ``exp(joint - logsumexp(joint))``, as scikit-learn computes them: far away the logarithm
    of the sum is lost beside its largest term, so that two equal classes have a probability of 1 each.
    """
    joint, axis = likelihoods, graph.constant([1])
    if priors is not None:
        joint = graph.node("Add", likelihoods, graph.constant(np.asarray(priors)))
    label = graph.node("ArgMax", joint, axis=1, keepdims=0)
    largest = graph.node("ReduceMax", joint, axis, keepdims=1)
    shares = graph.node("Exp", graph.node("Sub", joint, largest))
    total = graph.node("Log", graph.node("ReduceSum", shares, axis, keepdims=1))
    evidence = graph.node("Add", total, largest)
    return ClassifierOutput(label, graph.node("Exp", graph.node("Sub", joint, evidence)))
