"""Opens a session on a Spark cluster; what Spark would wait for without end is checked first, and reported."""

import logging
import os
import re
import shutil
import signal
import socket
import sys
import warnings
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import Future, wait
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from time import monotonic
from typing import Any, TypeVar
from urllib.parse import urlsplit

from windlass.core.error_descriptions import install_command
from windlass.errors import FeatureError

T = TypeVar("T")
STOP_TIMEOUT = 30.0  # seconds that Spark may take to cancel jobs, or to stop
_CANCEL_INTERVAL = 0.2  # seconds between two cancellations: a job may be submitted in between


def run_in_thread(call: Callable[[], T]) -> "Future[T]":
    """Runs a call in a daemon thread, which does not keep the process alive; returns its future."""
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(call())
        except BaseException as error:  # noqa: BLE001 - raised by `result()`
            future.set_exception(error)

    Thread(target=run, name="windlass-spark", daemon=True).start()
    return future


def cancel_jobs(session: Any, calls: Collection["Future[Any]"]) -> None:
    """Cancel all Spark jobs until these calls have returned, later jobs too; gives up after `STOP_TIMEOUT`."""
    deadline = monotonic() + STOP_TIMEOUT
    while wait(calls, _CANCEL_INTERVAL).not_done and monotonic() < deadline:
        session.sparkContext.cancelAllJobs()


@contextmanager
def silence_py4j() -> Iterator[None]:
    """Silences py4j, which logs calls that were abandoned or failed; our own errors report them."""
    own, root = logging.getLogger("py4j"), logging.getLogger()
    before = own.level
    own.setLevel(logging.CRITICAL + 1)
    root.addFilter(_is_not_py4j)
    try:
        yield
    finally:
        root.removeFilter(_is_not_py4j)
        own.setLevel(before)


def _is_not_py4j(record: logging.LogRecord) -> bool:
    """Drops py4j's lines, some of which go to the root logger itself."""
    return "/py4j/" not in record.pathname


_CONNECT_TIMEOUT = 3.0  # seconds that a master may take to accept a connection
WORKER_TIMEOUT = 60.0  # seconds that workers may take to carry out a first, empty job
_SETTINGS = {
    "spark.log.level": "OFF",  # our own errors report what fails
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.execution.arrow.maxRecordsPerBatch": "65536",
    "spark.ui.showConsoleProgress": "false",
}


@contextmanager
def spark_session(
    master: str | None, name: str, worker_timeout: float = WORKER_TIMEOUT
) -> Iterator[Any]:
    """Opens a `SparkSession` of this name, and stops it at the end.

    `master` is the cluster's address, `spark://host:port`; without one, that of `spark-defaults.conf` counts, else
    Spark runs on this machine. Raises FeatureError for Spark's errors inside, and before that where something is
    missing: pyspark, Java, a master that listens, a worker that is free.
    """
    _require_installed()
    _require_reachable(master)
    from py4j.protocol import Py4JError
    from pyspark.errors import PySparkException

    signal.siginterrupt(signal.SIGINT, True)  # Ctrl+C interrupts a wait again; polars changes that
    with silence_py4j():
        # not on the main thread, where pyspark would take SIGINT for itself
        starting = run_in_thread(lambda: _start_session(master, name))
        try:
            session = starting.result()
            _await_workers(session, master, worker_timeout)
            yield session
        except (Py4JError, PySparkException) as error:
            raise FeatureError(f"Spark failed: {_error_line(error)}") from error
        finally:
            _close_connection()
            _stop_session(starting)


def spark_path(path: Path) -> str:
    """Returns a path on the disk as Spark reads it: a file URL, not encoded, with glob characters escaped."""
    return re.sub(r"([\\{}\[\]*?])", r"\\\1", f"file://{path.absolute()}")


def _require_installed() -> None:
    try:
        import pyspark  # noqa: F401 - whether it is there
    except ImportError as error:
        raise FeatureError(
            f"Spark's client is not installed. Install pyspark, of the cluster's version: {install_command('spark')}."
        ) from error
    home = os.environ.get("JAVA_HOME")
    if not (Path(home, "bin", "java").is_file() if home else shutil.which("java")):
        raise FeatureError(
            "Spark needs Java 17 or newer, and there is no java in JAVA_HOME or on the PATH."
            " Install one (Debian: apt install default-jre-headless)."
        )


def _require_reachable(master: str | None) -> None:
    """Raise FeatureError where no master accepts a connection: Spark itself would try for a minute."""
    if master is None or not master.startswith("spark://"):
        return
    reasons = []
    for address in master.removeprefix("spark://").split(","):
        try:
            url = urlsplit(f"spark://{address}")
            socket.create_connection(
                (url.hostname or "", url.port or 7077), _CONNECT_TIMEOUT
            ).close()
        except (OSError, ValueError) as error:
            reasons.append(f"{address}: {error}")
        else:
            return
    raise FeatureError(
        f"No Spark master at {master} ({'; '.join(reasons)}). Start it, or correct --master spark://host:port."
    )


def _start_session(master: str | None, name: str) -> Any:
    with warnings.catch_warnings():  # of a pandas that is not used
        warnings.filterwarnings("ignore", "PySpark does not yet", FutureWarning)
        from pyspark.sql import SparkSession

        os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
        builder = SparkSession.builder.appName(name)
        for key, value in _SETTINGS.items():
            builder = builder.config(key, value)
        return (builder if master is None else builder.master(master)).getOrCreate()


def _await_workers(session: Any, master: str | None, timeout: float) -> None:
    """Run an empty job: where no worker has room, Spark would wait for ever. Raises FeatureError."""
    job = run_in_thread(lambda: session.range(1).count())
    if wait([job], timeout).not_done:  # the end of the session ends it
        raise FeatureError(
            f"No worker of {master or 'the cluster'} had room for a process within {timeout:.0f} s."
            " Start workers, or ask for less: spark.executor.memory in spark-defaults.conf."
        )
    job.result()


def _close_connection() -> None:
    """Close this thread's connection: after an abandoned call, the next call would wait for that one's end."""
    from pyspark import SparkContext

    gateway: Any = SparkContext._gateway  # noqa: SLF001 - there is no public way
    client = getattr(gateway, "_gateway_client", None)
    connection = None if client is None else client.get_thread_connection()
    if connection is not None:
        connection.close()  # py4j makes another where one is needed


def _stop_session(starting: "Future[Any]") -> None:
    """Stop the session and its jobs, also one that is still starting.

    Errors of stopping are ignored: the results are complete. It takes `STOP_TIMEOUT` seconds at most.
    """

    def stop() -> None:
        starting.result().stop()

    wait([run_in_thread(stop)], STOP_TIMEOUT)


def _error_line(error: Exception) -> str:
    """Returns the most useful line of Spark's message: the first, or the last of a Python traceback."""
    java = getattr(error, "java_exception", None)
    lines = str(error if java is None else java.toString()).strip().splitlines()
    return lines[-1 if "Python worker" in lines[0] else 0][:300]
