"""A Spark cluster on loopback: a real standalone master and two workers, each a group of processes."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
from tests.running import free_port
from tests.services import absent, await_http
from tests.waiting import until

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
_JAVA = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC -XX:-UsePerfData"  # starts soon, and lives for seconds
_BARRED = ("joblib", "onnx", "skl2onnx", "sklearn")


@dataclass
class Cluster:
    """A master and its workers. `master` is the address that a driver is given."""

    folder: Path
    master: str
    status: str  # the address of what the master tells of itself
    processes: dict[str, "subprocess.Popen[bytes]"] = field(default_factory=dict)

    def start(self, name: str, program: str, *arguments: object) -> Path:
        """Start one of Spark's programs by its class, in a group of processes of its own; its log."""
        import pyspark

        launcher = Path(pyspark.__file__).parent / "bin" / "spark-class"
        log = self.folder / f"{name}.log"
        with log.open("wb") as file:
            self.processes[name] = subprocess.Popen(
                [str(launcher), f"org.apache.spark.deploy.{program}", *map(str, arguments)],
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                cwd=self.folder,
                env=os.environ | {"SPARK_DAEMON_MEMORY": "256m", "SPARK_DAEMON_JAVA_OPTS": _JAVA},
                start_new_session=True,
            )
        return log

    def add_worker(self, name: str) -> None:
        """Start a worker of one core."""
        limits = ["--cores", 1, "--memory", "512m"]
        places = ["--work-dir", self.folder / name, "--webui-port", 0]
        address = ["--host", "127.0.0.1", "--port", 0]
        self.start(name, "worker.Worker", *limits, *places, *address, self.master)

    def await_workers(self, count: int) -> None:
        """Return once so many workers have offered themselves."""

        def alive() -> bool:
            return int(httpx.get(f"{self.status}/json/").json()["aliveworkers"]) == count

        until(alive, f"{count} workers of {self.master}")

    def kill(self, name: str) -> None:
        """A machine dies: a worker and its executors, by a signal that none of them sees."""
        process = self.processes.pop(name)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def stop(self) -> None:
        """Stop whatever runs."""
        for name in [*self.processes]:
            self.kill(name)


@contextmanager
def running_cluster(folder: Path) -> Iterator[Cluster]:
    """A cluster of two workers. The environment is that of a driver upon it until the end."""
    pytest.importorskip("pyspark")
    if shutil.which("java") is None:
        absent("no java to run Spark on")
    port, status_port = free_port(), free_port()
    cluster = Cluster(folder, f"spark://127.0.0.1:{port}", f"http://127.0.0.1:{status_port}")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SPARK_LOCAL_IP", "127.0.0.1")
        patch.setenv("SPARK_CONF_DIR", str(_configuration(folder)))
        patch.setenv("PYSPARK_PYTHON", sys.executable)
        try:
            address = ["--host", "127.0.0.1", "--port", port, "--webui-port", status_port]
            log = cluster.start("master", "master.Master", *address)
            for name in ("first", "second"):
                cluster.add_worker(name)
            await_http(f"{cluster.status}/json/", cluster.processes["master"], log)
            cluster.await_workers(2)
            yield cluster
        finally:
            cluster.stop()


def _configuration(folder: Path) -> Path:
    """What a driver of this cluster is told; executors cannot import what only training needs."""
    barred, settings = folder / "barred", folder / "conf"
    settings.mkdir()
    barred.mkdir()
    for package in _BARRED:
        text = f"raise ImportError('{package} is not for executors')\n"
        (barred / f"{package}.py").write_text(text, encoding="utf-8")
    defaults = _DEFAULTS.format(barred=barred, java=_JAVA)
    (settings / "spark-defaults.conf").write_text(defaults, encoding="utf-8")
    return settings
