"""Tables as bodies of requests and answers, in CSV, Arrow and Parquet."""

import io

import httpx
import pyarrow as pa
import pyarrow.csv as pv
import pyarrow.parquet as pq

CSV = "text/csv"
ARROW = "application/vnd.apache.arrow.stream"
PARQUET = "application/vnd.apache.parquet"


def as_csv(table: pa.Table) -> bytes:
    """Returns a table as CSV."""
    sink = io.BytesIO()
    pv.write_csv(table, sink)
    return sink.getvalue()


def as_arrow(table: pa.Table) -> bytes:
    """Returns a table as a stream of Arrow."""
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue()


def as_parquet(table: pa.Table) -> bytes:
    """Returns a table as Parquet."""
    sink = io.BytesIO()
    pq.write_table(table, sink)
    return sink.getvalue()


def read_table(answer: httpx.Response) -> pa.Table:
    """Returns the table of an answer, in the format that it names."""
    assert answer.status_code == 200, answer.text
    match answer.headers["content-type"]:
        case "text/csv":
            return pv.read_csv(io.BytesIO(answer.content))
        case "application/vnd.apache.arrow.stream":
            return pa.ipc.open_stream(answer.content).read_all()
        case "application/vnd.apache.parquet":
            return pq.read_table(io.BytesIO(answer.content))
    raise AssertionError(answer.headers)
