"""From an opened bundle to an engine that has proven itself."""

from windlass.core.bundle import MODEL_ONNX, MODEL_PICKLE, Bundle
from windlass.engines.base import Engine
from windlass.engines.golden import prove


def load_engine(bundle: Bundle) -> Engine:
    """The engine that the bundle's manifest names, after it has reproduced the golden rows.

    The pickle is read only where the manifest says native. Raises EngineError.
    """
    engine = open_engine(bundle)
    prove(bundle, engine)
    return engine


def open_engine(bundle: Bundle) -> Engine:
    """The engine that the manifest names, not proven yet. Raises EngineError."""
    return _native(bundle) if bundle.manifest.engine.name == "native" else _onnx(bundle)


def _onnx(bundle: Bundle) -> Engine:
    from windlass.engines.onnx import OnnxEngine

    may_miss = any(column.nullable for column in bundle.schema.row.columns)
    return OnnxEngine(bundle.read(MODEL_ONNX), may_miss=may_miss)


def _native(bundle: Bundle) -> Engine:
    from windlass.engines.native import NativeEngine

    return NativeEngine.load(bundle.read(MODEL_PICKLE), bundle.schema)
