"""The ONNX engine: runs the converted pipeline in ONNX Runtime, on one thread, without scikit-learn or pickle."""

from collections.abc import Callable, Sequence
from typing import Any

import onnxruntime as ort

from windlass.core.batch import Batch, Prediction
from windlass.errors import EngineError

MAX_ROWS = 1024  # of one run: nearest neighbours need memory for each row with every training row


class OnnxEngine:
    """Runs `model.onnx`: inputs `numeric` and `text`, outputs `label` and `probabilities`, or `value`."""

    name = "onnx"

    def __init__(self, model: bytes) -> None:
        """Load a serialized model. Raises EngineError where ONNX Runtime cannot load it."""
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.log_severity_level = 4
        # freed memory goes back after a large batch; a service's memory is bounded by its requests
        options.enable_cpu_mem_arena = False
        try:
            session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        except Exception as error:
            raise EngineError(
                f"ONNX Runtime cannot load the model: {_first_line(error)}"
            ) from error
        inputs = {node.name for node in session.get_inputs()}
        outputs = {node.name for node in session.get_outputs()}
        self._numeric, self._text = "numeric" in inputs, "text" in inputs
        self._classifies = "label" in outputs
        self._outputs: Sequence[str] = ["label", "probabilities"] if self._classifies else ["value"]
        self._run = run_function(session)
        # made once: each call would make its own, a tenth of a small model's time
        self._run_options = ort.RunOptions()

    def predict(self, batch: Batch) -> Prediction:
        """Predict n rows; those that the model rejects get NaN.

        Raises EngineError where ONNX Runtime fails: a compiled model raises for no row, as compared rows show.
        """
        if len(batch) <= MAX_ROWS:
            return self._predict(batch)
        starts = range(0, len(batch), MAX_ROWS)
        return Prediction.concat([self.predict(batch.slice(at, at + MAX_ROWS)) for at in starts])

    def _predict(self, batch: Batch) -> Prediction:
        feed: dict[str, object] = {}
        if self._numeric:
            feed["numeric"] = batch.numeric
        if self._text:
            feed["text"] = batch.text
        try:
            outputs = self._run(self._outputs, feed, self._run_options)
        except Exception as error:
            raise EngineError(f"ONNX Runtime failed: {_first_line(error)}") from error
        if self._classifies:
            return Prediction(outputs[0], outputs[1])
        return Prediction(values=outputs[0])


def run_function(session: ort.InferenceSession) -> Callable[..., Sequence[Any]]:
    """Return the function that runs a session, called with output names, inputs by name and run options.

    `session.run` checks its arguments and then calls `session._sess.run`; the check takes a fifth of a
    small model's time. The attribute is private: where a version of ONNX Runtime lacks it, `session.run`
    is used.
    """
    private = getattr(session, "_sess", None)
    run: Callable[..., Sequence[Any]] = getattr(private, "run", session.run)
    return run


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0][:300]
