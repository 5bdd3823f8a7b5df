"""What the ONNX engine relies on in ONNX Runtime beside its public interface."""

import inspect
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest

from windlass.core.batch import Batch
from windlass.core.bundle import Bundle
from windlass.engines.onnx import OnnxEngine, run_function


@pytest.fixture(scope="module")
def model(bundle_of: Any) -> bytes:
    return Bundle.open(bundle_of("iris")).read("model.onnx")


@pytest.fixture(scope="module")
def session(model: bytes) -> ort.InferenceSession:
    return ort.InferenceSession(model, providers=["CPUExecutionProvider"])


@pytest.fixture(scope="module")
def rows() -> Any:
    return np.random.default_rng(0).uniform(0.1, 8, (100, 4))


def test_the_private_call_takes_names_inputs_and_options(
    session: ort.InferenceSession, rows: Any
) -> None:
    names = ["label", "probabilities"]
    private = session._sess.run(names, {"numeric": rows}, None)
    public = session.run(names, {"numeric": rows}, None)
    assert len(private) == len(public) == 2
    for ours, theirs in zip(private, public, strict=True):
        assert isinstance(ours, np.ndarray)
        assert ours.dtype == theirs.dtype
        np.testing.assert_array_equal(ours, theirs)


def test_the_public_call_ends_in_the_private_one(session: ort.InferenceSession) -> None:
    assert "self._sess.run(output_names, input_feed, run_options)" in inspect.getsource(session.run)
    assert run_function(session) == session._sess.run


@pytest.mark.parametrize("private", [{}, {"_sess": None}, {"_sess": SimpleNamespace()}], ids=repr)
def test_without_the_private_call_the_public_one_runs(private: Any) -> None:
    session = SimpleNamespace(run=lambda names, inputs, options: names, **private)
    assert run_function(session) is session.run


def test_an_engine_on_the_public_call_predicts_the_same(
    model: bytes, rows: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = Batch(rows, np.empty((len(rows), 0), object))
    expected = OnnxEngine(model).predict(batch)
    engine = OnnxEngine(model)
    public = ort.InferenceSession(model, providers=["CPUExecutionProvider"]).run
    monkeypatch.setattr(engine, "_run", public)
    actual = engine.predict(batch)
    np.testing.assert_array_equal(actual.labels, expected.labels)
    np.testing.assert_array_equal(actual.probabilities, expected.probabilities)
