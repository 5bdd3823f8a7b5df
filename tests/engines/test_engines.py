"""Engines: compiled and native give the same answers; reference examples guard what is loaded."""

import json
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from windlass.core.batch import Batch
from windlass.core.bundle import Bundle, BundleSchema
from windlass.core.row_schema import ColumnKind, ColumnSchema, RowSchema
from windlass.core.targets.target import TargetRecord
from windlass.engines import loader, onnx
from windlass.engines.loader import check_reference_examples, load_engine
from windlass.engines.native import NativeEngine
from windlass.engines.onnx import OnnxEngine
from windlass.errors import EngineError


@pytest.fixture(scope="module")
def bundle(iris: Path) -> Bundle:
    return Bundle.open(iris)


@pytest.fixture
def flowers() -> Batch:
    rows = np.random.default_rng(0).uniform(0.1, 8, (3000, 4))
    return Batch(rows, np.empty((3000, 0), object))


def test_the_compiled_model_and_the_pipeline_agree(bundle: Bundle, flowers: Batch) -> None:
    compiled = load_engine(bundle)
    native = NativeEngine.from_pickle(bundle.read("model.joblib"), bundle.schema)
    ours, theirs = compiled.predict(flowers), native.predict(flowers)
    assert (compiled.name, native.name) == ("onnx", "native")
    assert ours.probabilities is not None
    assert theirs.probabilities is not None
    np.testing.assert_array_equal(ours.labels, theirs.labels)
    assert np.abs(ours.probabilities - theirs.probabilities).max() < 1e-12


def test_a_large_batch_is_answered_as_its_rows_alone(bundle: Bundle, flowers: Batch) -> None:
    engine = load_engine(bundle)
    assert len(flowers) > 2 * onnx.MAX_ROWS
    whole = engine.predict(flowers)
    assert whole.probabilities is not None
    for row in (0, onnx.MAX_ROWS, len(flowers) - 1):
        alone = engine.predict(flowers.slice(row, row + 1))
        assert alone.probabilities is not None
        # but for the last digit: ONNX Runtime's loops differ
        expected = whole.probabilities[row : row + 1]
        assert np.abs(alone.probabilities / expected - 1).max() < 1e-14


def test_classes_are_answered_in_declared_order(bundle: Bundle, flowers: Batch) -> None:
    import joblib

    target = bundle.schema.target.model_copy(
        update={"classes": ("virginica", "setosa", "versicolor")}
    )
    schema = bundle.schema.model_copy(update={"target": target})
    estimator = joblib.load(bundle.path / "model.joblib")
    turned = NativeEngine(estimator, schema).predict(flowers)
    straight = NativeEngine(estimator, bundle.schema).predict(flowers)
    assert turned.probabilities is not None
    assert straight.probabilities is not None
    assert turned.labels is not None
    assert straight.labels is not None
    np.testing.assert_array_equal(turned.probabilities, straight.probabilities[:, [2, 0, 1]])
    np.testing.assert_array_equal(turned.labels, (straight.labels + 1) % 3)


def test_what_is_no_model_is_refused(bundle: Bundle) -> None:
    with pytest.raises(EngineError, match="cannot load the model"):
        OnnxEngine(b"not a model")
    with pytest.raises(EngineError, match="cannot be unpickled"):
        NativeEngine.from_pickle(b"not a pickle", bundle.schema)


def test_a_pipeline_of_other_classes_is_refused(bundle: Bundle) -> None:
    target = bundle.schema.target.model_copy(update={"classes": ("rose", "tulip")})
    schema = bundle.schema.model_copy(update={"target": target})
    with pytest.raises(EngineError, match="rose"):
        NativeEngine.from_pickle(bundle.read("model.joblib"), schema)


def test_only_rows_at_fault_have_no_finite_prediction(bundle: Bundle, flowers: Batch) -> None:
    compiled = load_engine(bundle)
    native = NativeEngine.from_pickle(bundle.read("model.joblib"), bundle.schema)
    flowers.numeric[[0, 1500, 2999], [0, 3, 1]] = np.nan
    rest = np.delete(np.arange(len(flowers)), [0, 1500, 2999])
    for engine in (compiled, native):
        prediction = engine.predict(flowers)
        np.testing.assert_array_equal(np.flatnonzero(~prediction.finite_rows()), [0, 1500, 2999])
        assert not prediction.is_finite()
        assert prediction.take(rest).is_finite()
        assert not engine.predict(flowers.slice(0, 1)).is_finite()
    with pytest.raises(EngineError, match="NaN"):
        native.predict_all(flowers)


@pytest.mark.parametrize(
    ("path", "value"),
    [(("expected", 3, "label"), "rose"), (("expected", 5, "probabilities"), [0.2, 0.3, 0.5])],
)
def test_reference_examples_that_are_not_reproduced_stop_an_engine(
    bundle: Bundle, path: tuple[Any, ...], value: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    reference_examples = json.loads(bundle.read("golden.json"))
    reference_examples[path[0]][path[1]][path[2]] = value
    monkeypatch.setattr(Bundle, "json", lambda *_: reference_examples)
    with pytest.raises(EngineError, match=f"Reference example {path[1]}"):
        check_reference_examples(bundle, loader._onnx(bundle))


def test_a_bundle_without_reference_examples_is_refused(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Bundle, "json", lambda *_: {"rows": [], "expected": []})
    with pytest.raises(EngineError, match="no reference examples"):
        load_engine(bundle)


class Moody:
    """A regressor that raises what it is told to, but not for its first call."""

    def __init__(self, error: Exception, *, always: bool = False) -> None:
        self.error, self.always, self.calls = error, always, 0

    def predict(self, frame: Any) -> Any:
        self.calls += 1
        if self.calls > 1 and (self.always or (frame["x"] < 0).any()):
            raise self.error
        return frame["x"].to_numpy()


def moody_engine(model: Moody) -> NativeEngine:
    row = RowSchema.from_columns("Row", ColumnSchema(name="x", kind=ColumnKind.NUMBER))
    engine = NativeEngine(model, BundleSchema(row=row, target=TargetRecord(name="y")))
    assert engine.predict(numbers(3.0)).is_finite()
    return engine


def numbers(*values: float) -> Batch:
    return Batch(np.array(values).reshape(-1, 1), np.empty((len(values), 0), object))


def test_a_row_for_which_the_pipeline_raises_is_rejected() -> None:
    engine = moody_engine(Moody(ValueError("negative")))
    np.testing.assert_array_equal(engine.predict(numbers(1, -1, 2)).values, [1, np.nan, 2])


@pytest.mark.parametrize(
    "model",
    [
        Moody(MemoryError("no memory")),
        Moody(FileNotFoundError("a lookup table")),
        Moody(BrokenProcessPool("a worker was killed")),
        Moody(ValueError("a bug"), always=True),
    ],
)
def test_a_pipeline_that_fails_by_itself_rejects_no_row(model: Moody) -> None:
    engine = moody_engine(model)
    with pytest.raises(EngineError, match=str(model.error)):
        engine.predict(numbers(1, -1, 2))


def test_a_failure_of_onnx_runtime_rejects_no_row(
    bundle: Bundle, flowers: Batch, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: Any) -> Any:
        raise RuntimeError("Failed to allocate memory\nand more")

    monkeypatch.setattr(onnx, "run_function", lambda _: fails)
    engine = OnnxEngine(bundle.read("model.onnx"))
    for batch in (flowers, flowers.slice(0, 1)):
        with pytest.raises(EngineError, match=r"ONNX Runtime failed: Failed to allocate memory$"):
            engine.predict(batch)
