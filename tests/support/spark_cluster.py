"""Spark on loopback: the environment of a driver; a standalone master and two workers, each a group of processes."""

import os
import re
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.support.child_process import ChildProcess, python_command
from tests.support.services import skip_or_fail
from tests.support.waiting import wait_until

TIMEOUT = 100.0  # seconds: several JVMs start at once, on a machine that does other things too
_DEFAULTS = """\
spark.driver.host 127.0.0.1
spark.driver.extraJavaOptions {java}
spark.executor.extraJavaOptions {java}
spark.executor.memory 512m
spark.executorEnv.PYTHONPATH {barred}
spark.executor.heartbeatInterval 2s
spark.ui.enabled false
spark.sql.shuffle.partitions 4
"""
_DAEMONS = "-Dspark.master.rest.enabled=false"  # or it takes a port that was not asked for
# The kernel ends it with the tests, however they end; executors end with their worker.
_WITH_THE_TESTS = """
import ctypes, os, signal, sys
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
    if os.getppid() != int(sys.argv[1]):
        sys.exit("the tests have ended")
os.execv(sys.argv[2], sys.argv[2:])
"""
_JAVA = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC -XX:-UsePerfData -Xlog:disable"  # starts soon, and lives for seconds
_MASTER = r"Starting Spark master at (spark://\S+)"
_STATUS = r"Bound MasterWebUI to .* started at (http://\S+)"
_BARRED = ("joblib", "onnx", "skl2onnx", "sklearn")


@dataclass
class Cluster:
    """A master and its workers. `master` is the address that a driver is given."""

    folder: Path
    master: str = ""
    status: str = ""  # the address of the master's status page
    processes: dict[str, ChildProcess] = field(default_factory=dict)

    def start(self, name: str, program: str, *arguments: object) -> Path:
        """Start one of Spark's programs by its class, in a group of processes of its own; its log."""
        import pyspark

        launcher = Path(pyspark.__file__).parent / "bin" / "spark-class"
        words = [launcher, f"org.apache.spark.deploy.{program}", *arguments]
        options = {"SPARK_DAEMON_MEMORY": "256m", "SPARK_DAEMON_JAVA_OPTS": f"{_JAVA} {_DAEMONS}"}
        log = self.folder / f"{name}.log"
        self.processes[name] = ChildProcess(
            python_command(_WITH_THE_TESTS, os.getpid(), *words),
            cwd=self.folder,
            env=os.environ | options,
            log=log,
            new_group=True,
        )
        return log

    def start_master(self) -> None:
        """Start the master, on ports that it chooses, and learn from its log which."""
        log = self.start(
            "master", "master.Master", "--host", "127.0.0.1", "--port", 0, "--webui-port", 0
        )

        def status_field(line: str) -> str:
            assert self.processes["master"].is_running, log.read_text()[-2000:]
            match = re.search(line, log.read_text())
            return match[1] if match else ""

        wait_until(
            lambda: status_field(_STATUS), f"{_STATUS} in {log}", TIMEOUT
        )  # the last that it logs
        self.master, self.status = status_field(_MASTER), status_field(_STATUS)

    def add_worker(self, name: str) -> None:
        """Start a worker of one core."""
        limits = ["--cores", 1, "--memory", "512m"]
        folders = ["--work-dir", self.folder / name, "--webui-port", 0]
        address = ["--host", "127.0.0.1", "--port", 0]
        self.start(name, "worker.Worker", *limits, *folders, *address, self.master)

    def status_field(self, name: str) -> Any:
        """A field of the master's status; None where it does not answer at once."""
        try:
            return httpx.get(f"{self.status}/json/").json()[name]
        except httpx.TransportError:
            return None

    def await_workers(self, count: int) -> None:
        """Return once so many workers have offered themselves."""
        what = f"{count} workers of {self.master}"
        wait_until(lambda: self.status_field("aliveworkers") == count, what, TIMEOUT)

    def kill_workers(self) -> None:
        """All of them that are left."""
        for name in self.processes.keys() - {"master"}:
            self.kill(name)

    def kill(self, name: str) -> None:
        """A machine dies: a worker and its executors, by a signal that none of them sees."""
        self.processes.pop(name).kill_group()

    def stop(self) -> None:
        """Stop whatever runs."""
        for name in [*self.processes]:
            self.kill(name)


@contextmanager
def driver_environment(folder: Path) -> Iterator[None]:
    """Until the end, Spark's drivers and their workers start with these settings."""
    pytest.importorskip("pyspark")
    if shutil.which("java") is None:
        skip_or_fail("no java to run Spark on")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SPARK_LOCAL_IP", "127.0.0.1")
        patch.setenv("SPARK_CONF_DIR", "/nonexistent")
        patch.setenv("SPARK_LAUNCHER_OPTS", _JAVA)
        patch.setenv("PYSPARK_PYTHON", sys.executable)
        options = f"--properties-file {_settings(folder)} pyspark-shell"
        patch.setenv("PYSPARK_SUBMIT_ARGS", options)
        yield


@contextmanager
def running_cluster(folder: Path) -> Iterator[Cluster]:
    """A cluster of two workers."""
    cluster = Cluster(folder)
    try:
        cluster.start_master()
        for name in ("first", "second"):
            cluster.add_worker(name)
        cluster.await_workers(2)
        yield cluster
    finally:
        cluster.stop()


def _settings(folder: Path) -> Path:
    """The settings of a driver; its workers cannot import what only training needs."""
    barred, settings = folder / "barred", folder / "spark-defaults.conf"
    barred.mkdir()
    for package in _BARRED:
        text = f"raise ImportError('{package} is not for executors')\n"
        (barred / f"{package}.py").write_text(text, encoding="utf-8")
    settings.write_text(_DEFAULTS.format(barred=barred, java=_JAVA), encoding="utf-8")
    return settings
