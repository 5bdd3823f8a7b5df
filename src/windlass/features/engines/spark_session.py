"""A session on a Spark cluster: what Spark would wait for without end is looked for first, and told."""

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

from windlass.errors import FeatureError

T = TypeVar("T")
STOP_TIMEOUT = 30.0  # seconds that Spark may take to end what is not wanted any more
_CANCEL_INTERVAL = (
    0.2  # seconds until a job may have been submitted that was not there to be cancelled
)


def run_in_thread(call: Callable[[], T]) -> "Future[T]":
    """What the call gives or raises, once it has; its thread does not keep the process."""
    ending: Future[T] = Future()

    def run() -> None:
        try:
            ending.set_result(call())
        except BaseException as error:  # noqa: BLE001 - for whoever asks for the result
            ending.set_exception(error)

    Thread(target=run, name="windlass-spark", daemon=True).start()
    return ending


def cancel_jobs(session: Any, calls: Collection["Future[Any]"]) -> None:
    """Cancel what Spark runs until these calls have returned, a job submitted meanwhile included; at most `LEAVING`."""
    last = monotonic() + STOP_TIMEOUT
    while wait(calls, _CANCEL_INTERVAL).not_done and monotonic() < last:
        session.sparkContext.cancelAllJobs()


@contextmanager
def silence_py4j() -> Iterator[None]:
    """Without what py4j logs of a call that was left or that failed: our own errors tell of it."""
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
    """Some of its lines go to the root logger itself."""
    return "/py4j/" not in record.pathname


_CONNECT_TIMEOUT = 3.0  # seconds that a master may take to accept a connection
_WORKER_TIMEOUT = 60.0  # seconds that workers may take to carry out a first, empty job
_SETTINGS = {
    "spark.log.level": "OFF",  # what fails is told by our own errors
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.execution.arrow.maxRecordsPerBatch": "65536",
    "spark.ui.showConsoleProgress": "false",
}


@contextmanager
def spark_session(master: str | None, name: str) -> Iterator[Any]:
    """A `SparkSession` of this name whose workers have answered, stopped at the end.

    `master` is Spark's address of a cluster, `spark://host:port`; None leaves it to `spark-defaults.conf`, and
    without one the work is done on this machine. What Spark refuses inside is raised as FeatureError, as is
    what is missing: pyspark, Java, a master that listens, a worker that is free.
    """
    _require_installed()
    _require_reachable(master)
    from py4j.protocol import Py4JError
    from pyspark.errors import PySparkException

    signal.siginterrupt(signal.SIGINT, True)  # Ctrl+C ends a wait again, as before polars took it
    with silence_py4j():
        # not on the main thread, where pyspark would take SIGINT for itself
        starting = run_in_thread(lambda: _start_session(master, name))
        try:
            session = starting.result()
            _await_workers(session, master)
            yield session
        except (Py4JError, PySparkException) as error:
            raise FeatureError(f"Spark failed: {_error_line(error)}") from error
        finally:
            _close_connection()
            _stop_session(starting)


def spark_path(path: Path) -> str:
    """A file or folder on the disk as Spark wants it: not encoded, with what would be a pattern escaped."""
    return re.sub(r"([\\{}\[\]*?])", r"\\\1", f"file://{path.absolute()}")


def _require_installed() -> None:
    try:
        import pyspark  # noqa: F401 - whether it is there
    except ImportError as error:
        raise FeatureError(
            "Spark's client is not installed. Install pyspark, of the cluster's version: pip install 'windlass[spark]'."
        ) from error
    home = os.environ.get("JAVA_HOME")
    if not (Path(home, "bin", "java").is_file() if home else shutil.which("java")):
        raise FeatureError(
            "Spark needs Java 17 or newer, and there is no java in JAVA_HOME or on the PATH."
            " Install one (Debian: apt install default-jre-headless)."
        )


def _require_reachable(master: str | None) -> None:
    """One of the masters has to accept a connection: Spark itself asks for a minute."""
    if master is None or not master.startswith("spark://"):
        return
    reasons = []
    for address in master.removeprefix("spark://").split(","):
        try:
            place = urlsplit(f"spark://{address}")
            socket.create_connection(
                (place.hostname or "", place.port or 7077), _CONNECT_TIMEOUT
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


def _await_workers(session: Any, master: str | None) -> None:
    """Spark waits for ever where no worker has room; a job that does nothing tells."""
    job = run_in_thread(lambda: session.range(1).count())
    if wait([job], _WORKER_TIMEOUT).not_done:  # the end of the session ends it
        raise FeatureError(
            f"No worker of {master or 'the cluster'} had room for a process within {_WORKER_TIMEOUT:.0f} s."
            " Start workers, or ask for less: spark.executor.memory in spark-defaults.conf."
        )
    job.result()


def _close_connection() -> None:
    """Close this thread's connection: left in the midst of a call, it has the next one wait for that call's end."""
    from pyspark import SparkContext

    gateway: Any = SparkContext._gateway  # noqa: SLF001 - there is no public way
    client = getattr(gateway, "_gateway_client", None)
    connection = None if client is None else client.get_thread_connection()
    if connection is not None:
        connection.close()  # py4j makes another where one is needed


def _stop_session(starting: "Future[Any]") -> None:
    """Stop the session, and with it whatever it still runs; also one that somebody did not wait for.

    What fails at that changes nothing of what was computed, and takes `LEAVING` seconds at most.
    """

    def stop() -> None:
        starting.result().stop()

    wait([run_in_thread(stop)], STOP_TIMEOUT)


def _error_line(error: Exception) -> str:
    """The line of what Spark says that tells most: the first, or the last of a Python traceback."""
    java = getattr(error, "java_exception", None)
    lines = str(error if java is None else java.toString()).strip().splitlines()
    return lines[-1 if "Python worker" in lines[0] else 0][:300]
