"""Tables as bodies of `/predict_batch`: CSV, Arrow streams and Parquet in, the same or JSON out."""

import io
from time import perf_counter, time
from typing import Any

import orjson
import pyarrow as pa

from windlass.core.batch import Batch, Prediction
from windlass.core.columnar import check_table
from windlass.core.tables import open_writer, prediction_table, read_batches
from windlass.errors import InputError
from windlass.monitoring.ledger import Ledger
from windlass.serving.exchange import Answer, Exchange
from windlass.serving.model import Model
from windlass.serving.problems import Problem, invalid, malformed, unsupported

CHUNK = 1 << 16  # rows predicted at a time
_FORMS = {
    "text/csv": "csv",
    "application/vnd.apache.arrow.stream": "arrow",
    "application/vnd.apache.parquet": "parquet",
}
_TYPES = {form: kind.encode() for kind, form in _FORMS.items()}


def answer_table(
    exchange: Exchange, body: bytes, model: Model, ledger: Ledger | None
) -> tuple[Answer, list[Prediction]]:
    """Predict a table. Nothing is answered, or kept, unless every row is good."""
    form = _FORMS.get(exchange.media_type())
    if form is None:
        raise unsupported(["application/json", *_FORMS])
    wanted = _wanted(exchange, form)
    table, batch = _read(model, body, form)
    exchange.parsed = perf_counter()
    parts = [model.predict(batch.part(at, at + CHUNK)) for at in range(0, len(batch), CHUNK)]
    exchange.predicted = perf_counter()
    answers = [prediction_table(part, model.classes) for part in parts]
    if ledger is not None:
        ledger.append_table(_entry(exchange, model, table, pa.Table.from_batches(answers)))
    if wanted == "json":
        return Answer(_json(exchange, model, parts)), parts
    sink = io.BytesIO()
    with open_writer(sink, answers[0].schema, wanted) as writer:
        for answer in answers:
            writer.write_batch(answer)
    version = [
        (b"x-model-version", model.version.encode()),
        (b"x-prediction-id", exchange.id.encode()),
    ]
    return Answer(sink.getvalue(), _TYPES[wanted], headers=version), parts


def _wanted(exchange: Exchange, form: str) -> str:
    """The form that `Accept` asks for first; that of the body where it leaves the choice."""
    for item in exchange.accept.decode("latin-1").split(","):
        kind = item.partition(";")[0].strip().lower()
        if kind in ("", "*/*"):
            return form
        if kind in ("application/json", "application/*"):
            return "json"
        if kind in _FORMS:
            return _FORMS[kind]
    raise Problem(406, f"Accept one of: application/json, {', '.join(_FORMS)}.")


def _read(model: Model, body: bytes, form: str) -> tuple[Any, Batch]:
    """The body as a table and as arrays. Raises Problem 400 or 422."""
    try:
        batches = list(read_batches(body, form))
        rows = sum(batch.num_rows for batch in batches)
        if not rows:
            raise invalid([{"loc": [], "msg": "At least one row is needed"}])
        table = pa.Table.from_batches(batches)
    except (InputError, pa.ArrowInvalid) as error:
        raise malformed(f"The body cannot be read as {form}: {error}") from None
    try:
        checked = check_table(model.schema, table, strings=form == "csv")
    except InputError as error:
        raise invalid([{"loc": [], "msg": str(error)}]) from None
    if checked.problems:
        raise invalid([{"loc": [p.row, p.column], "msg": p.reason} for p in checked.problems])
    return table, checked.batch


def _entry(exchange: Exchange, model: Model, table: Any, answers: Any) -> bytes:
    """Rows and predictions as one Arrow stream; what they share stands in its metadata."""
    for name in answers.schema.names:
        table = table.append_column(name, answers[name])
    shared = {
        "prediction_id": exchange.id,
        "predicted_at": f"{time():.6f}",
        "model_version": model.version,
        "latency_ms": f"{(perf_counter() - exchange.started) * 1e3:.3f}",
    }
    table = table.replace_schema_metadata(shared)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return memoryview(sink.getvalue())  # type: ignore[return-value]  # a buffer that os.write takes as it is


def _json(exchange: Exchange, model: Model, parts: list[Prediction]) -> bytes:
    answers = [model.answers(part) for part in parts]
    answer: dict[str, Any] = {
        key: [item for part in answers for item in part[key]] for key in answers[0]
    }
    answer["model_version"] = model.version
    answer["latency_ms"] = round((perf_counter() - exchange.started) * 1e3, 3)
    answer["prediction_id"] = exchange.id
    return orjson.dumps(answer)
