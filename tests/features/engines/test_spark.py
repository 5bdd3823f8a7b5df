"""The same view and the same model on a real Spark cluster, as on this machine."""

import csv
import json
import os
import re
import signal
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import date
from pathlib import Path
from threading import Event, Timer, main_thread
from time import sleep
from typing import Any

import narwhals as nw
import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal
from tests.support.budget import IS_CI
from tests.support.child_process import WINDLASS, ChildProcess
from tests.support.cli import run_cli
from tests.support.credit_view import CREDIT_VIEW, SAMPLE, make_credit_loans
from tests.support.job_workers import is_alive
from tests.support.lending_project import LendingProject
from tests.support.loan_view import PROJECT_VIEW, VIEW, make_loans
from tests.support.order_view import ODD_TEXTS, OrderView
from tests.support.server import environment, free_port
from tests.support.spark_cluster import TIMEOUT, Cluster, driver_environment, running_cluster
from tests.support.trained_bundles import BundleOf
from tests.support.waiting import wait_until
from typer.testing import CliRunner

from windlass.cli.commands import app
from windlass.core.feature_view import FeatureView
from windlass.errors import FeatureError
from windlass.features.engines.spark import SparkEngine
from windlass.features.engines.spark_session import spark_session
from windlass.features.offline.build import BuildOptions, build
from windlass.features.offline.snapshot import Snapshot
from windlass.features.offline.store import OfflineStore

pytestmark = [
    pytest.mark.filterwarnings("ignore:PySpark does not yet fully support pandas"),
    pytest.mark.timeout(300),  # several JVMs, each of which takes its time to start
]


IN_CI = pytest.mark.skipif(not IS_CI, reason="three Java processes more: with CI=true")
IN_THIS_JVM = "local[2,4]"  # two cores, and four attempts of a task, as on a cluster


@pytest.fixture(scope="module", autouse=True)
def _environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with driver_environment(tmp_path_factory.mktemp("driver")):
        yield


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster | None]:
    """A cluster in CI; elsewhere the driver's own Java process, which is the only one."""
    if not IS_CI:
        yield None
        return
    with running_cluster(tmp_path_factory.mktemp("spark")) as cluster:
        yield cluster


@pytest.fixture
def master(cluster: Cluster | None) -> str:
    """The address that a driver is given."""
    return cluster.master if cluster else IN_THIS_JVM


def loans() -> pl.DataFrame:
    """Loans with ties, nulls, sentinels and amounts of many digits; the real ones too, where they are."""
    generated = make_loans(400, seed=7)
    noise = np.random.default_rng(7).random(generated.height)
    generated = generated.with_columns(pl.col("loan_amount") + noise)
    if not SAMPLE.is_file():
        return generated
    real = (
        pl.read_csv(SAMPLE, try_parse_dates=True).select(generated.columns).cast(generated.schema)
    )
    return pl.concat([generated, real.with_columns(pl.col("id") + 1000, pl.col("loan_id") + 10**6)])


def build_snapshot(folder: Path, raw: Path, view: FeatureView = VIEW, **options: Any) -> Snapshot:
    """A snapshot of the raw file in a store of its own, in four parts."""
    store = OfflineStore(folder, "loans")
    chosen = BuildOptions(buckets=4, **options)
    record = view.record(PROJECT_VIEW.features)
    return build(view, record, store, raw, chosen, lambda share, message: None)


def test_orders_of_entities_of_several_columns_are_computed_as_by_duckdb(
    master: str, tmp_path: Path
) -> None:
    orders_view = OrderView("several")
    view = orders_view.view()
    record, raw = view.record(orders_view.features), tmp_path / "orders.parquet"
    orders_view.orders(12, seed=3, texts=ODD_TEXTS).write_parquet(raw)
    digests = []
    for options in (BuildOptions(buckets=1), BuildOptions("spark", master=master, buckets=1)):
        store = OfflineStore(tmp_path / options.engine, "orders")
        digests.append(build(view, record, store, raw, options, lambda *_: None).digest)
    assert digests[0] == digests[1]


def test_a_model_answers_on_the_cluster_as_on_this_machine(
    master: str, bundle_of: BundleOf, tmp_path: Path
) -> None:
    bundle = bundle_of("mixed")
    source, whole = tmp_path / "rows [1] of 50%", tmp_path / "rows.parquet"
    rows = applicants(3000)
    rows.write_parquet(whole)
    source.mkdir()
    for name, start, end in (("a", 0, 1200), ("b {2}", 1200, 1300), ("c ü%20", 1300, 3000)):
        rows[start:end].write_parquet(source / f"{name}.parquet")
    words = ["predict", str(bundle), "--keep", "id", "--json", "--max-rejects", "20%"]
    usual = [*words, "--input", str(whole), "--output", str(tmp_path / "usual.parquet")]
    spark = [*words, "--input", str(source), "--output", str(tmp_path / "spark.parquet")]
    spark += ["--engine", "spark", "--master", master]
    ended = [CliRunner().invoke(app, command) for command in (usual, spark)]
    assert [done.exit_code for done in ended] == [0, 0], ended[1].output
    counts = [json.loads(done.stdout) for done in ended]
    assert counts[0]["rejected"] > 0
    for count in ("rows", "scored", "rejected", "model_version"):
        assert counts[0][count] == counts[1][count]
    answers = pl.read_parquet(tmp_path / "usual.parquet")
    assert_frame_equal(pl.read_parquet(tmp_path / "spark.parquet").sort("row"), answers)
    assert rejected_rows(tmp_path / "spark.parquet") == rejected_rows(tmp_path / "usual.parquet")
    assert {file.suffix for file in (tmp_path / "spark.parquet").iterdir()} == {".parquet"}


def test_the_examples_features_are_to_the_last_digit_those_of_this_machine(
    master: str, tmp_path: Path
) -> None:
    loans, raw = make_credit_loans(100, seed=5), tmp_path / "loans.parquet"
    if SAMPLE.is_file():
        real = pl.read_csv(SAMPLE).select(loans.columns).cast(loans.schema)
        loans = pl.concat([loans, real.with_columns(pl.col("id", "loan_id") + 10**8)])
    loans.write_parquet(raw)
    usual = build_snapshot(tmp_path / "usual", raw, CREDIT_VIEW)
    options = {"engine": "spark", "master": master}
    snapshot = build_snapshot(tmp_path / "spark", raw, CREDIT_VIEW, **options)
    assert snapshot.digest == usual.digest
    assert snapshot.events == loans.height


def test_a_build_that_loses_a_worker_equals_one_on_this_machine(
    cluster: Cluster | None, master: str, tmp_path: Path
) -> None:
    raw, gate, opened = tmp_path / "loans.parquet", tmp_path / "gate", tmp_path / "open"
    loans().write_parquet(raw)
    gate.mkdir()
    usual = build_snapshot(tmp_path / "usual", raw)
    held = replace(VIEW, transform=transform_blocked_until(opened, gate))
    options = {"engine": "spark", "master": master}
    with ThreadPoolExecutor(1) as pool:
        job = pool.submit(build_snapshot, tmp_path / "spark", raw, held, **options)

        def wait_for_tasks(workers: int) -> None:
            wait_until(lambda: job.done() or len([*gate.iterdir()]) == workers, "tasks", TIMEOUT)
            assert not job.done()

        try:
            wait_for_tasks(2)
            if cluster:
                cluster.kill("second")
            else:
                os.kill(int(next(gate.iterdir()).name), signal.SIGKILL)
                wait_for_tasks(3)  # one of them for the second time
        finally:
            opened.touch()
        snapshot = job.result()
    assert (snapshot.events, snapshot.entities) == (usual.events, usual.entities)
    assert date(3021, 9, 18) in pl.read_parquet(snapshot.state_parts())["job_start_date"]
    for kind in ("event_parts", "state_parts", "latest_parts"):
        pairs = zip(getattr(snapshot, kind)(), getattr(usual, kind)(), strict=True)
        for path, other in pairs:
            frames = [
                pl.read_parquet(part).drop("computed_at", strict=False) for part in (path, other)
            ]
            assert path.name == other.name
            assert_frame_equal(*frames, rel_tol=1e-12, abs_tol=0)


def test_a_cluster_without_room_is_an_error_at_any_timeout(
    cluster: Cluster | None, master: str
) -> None:
    """Also before the job that asks has been submitted: nothing is left then that could be cancelled."""
    if cluster:
        cluster.kill_workers()
    with (
        pytest.raises(FeatureError, match=rf"No worker of {re.escape(master)} had room"),
        spark_session(master, "hurried", worker_timeout=0.0),
    ):
        pass


@IN_CI
def test_ctrl_c_ends_the_wait_for_a_worker_in_one_line(cluster: Cluster, tmp_path: Path) -> None:
    cluster.kill_workers()
    command = [WINDLASS, *build_words(tmp_path, cluster.master)]
    with ChildProcess(command, env=build_environment(tmp_path)) as process:
        wait_until(
            lambda: cluster.status_field("activeapps") or not process.is_running,
            "asked",
            TIMEOUT,
        )
        assert interrupt(process) == ["windlass: Interrupted."]
        wait_until(lambda: not cluster.status_field("activeapps"), "the application's end", TIMEOUT)


@IN_CI
def test_ctrl_c_ends_a_process_and_what_its_workers_do_in_one_line(tmp_path: Path) -> None:
    command = [WINDLASS, *build_words(tmp_path, "local[2]", HELD)]
    with ChildProcess(command, env=build_environment(tmp_path)) as process:
        begun = tmp_path / "lending" / "begun"
        wait_until(lambda: begun.exists() or not process.is_running, "a task", TIMEOUT)
        assert interrupt(process) == ["windlass: Interrupted."]
    assert not (tmp_path / "home/features/lending/current").exists()


def test_ctrl_c_ends_what_workers_do_in_one_line(tmp_path: Path) -> None:
    words, begun = build_words(tmp_path, "local[2]", HELD), tmp_path / "lending" / "begun"
    main = main_thread().ident
    assert main is not None
    ended = Event()

    def interrupt_the_task() -> None:
        wait_until(lambda: begun.exists() or ended.is_set(), "a task", TIMEOUT)
        if not ended.is_set():
            signal.pthread_kill(main, signal.SIGINT)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with ThreadPoolExecutor(1) as pool:
            interruption = pool.submit(interrupt_the_task)
            done = run_cli(*words, home=tmp_path / "home", PYTHONWARNINGS="ignore")
            ended.set()
            interruption.result()
    finally:
        signal.signal(signal.SIGINT, before)
    assert done.code == 1
    assert done.err.splitlines()[-1] == "windlass: Interrupted."
    assert not (tmp_path / "home/features/lending/current").exists()
    worker = int(begun.read_text())
    wait_until(lambda: not is_alive(worker), "the worker's end", TIMEOUT)


def test_spark_reads_a_snapshot_in_one_line(tmp_path: Path) -> None:
    raw = tmp_path / "loans.parquet"
    make_loans(50, seed=2).write_parquet(raw)
    snapshot = build_snapshot(tmp_path / "store", raw)
    with spark_session("local[1]", "reader") as session:
        table = session.read.parquet(f"{tmp_path}/store/current/latest").toArrow()
    usual = pl.read_parquet(snapshot.latest_parts())
    assert_frame_equal(pl.DataFrame(table).sort("id"), usual.sort("id"))


class LeftError(BaseException):
    """As a time limit of a test raises it, in the midst of whatever is done."""


def test_a_call_that_does_not_end_can_be_left_and_delays_no_other() -> None:
    def leave(*_: object) -> None:
        raise LeftError

    def never_return() -> None:
        with spark_session("local[1]", "left") as session:
            Timer(0.5, signal.pthread_kill, (main, signal.SIGUSR1)).start()
            session.sparkContext._jvm.java.lang.Thread.sleep(1_000_000)

    before = signal.signal(signal.SIGUSR1, leave)
    main = main_thread().ident
    assert main is not None
    try:
        with pytest.raises(LeftError):
            never_return()
    finally:
        signal.signal(signal.SIGUSR1, before)
    with spark_session("local[1]", "next") as session:
        assert session.range(3).count() == 3


def test_a_master_that_is_away_is_an_error_at_once(tmp_path: Path) -> None:
    raw = tmp_path / "loans.parquet"
    make_loans(5, seed=1).write_parquet(raw)
    master = f"spark://127.0.0.1:{free_port()}"
    with pytest.raises(FeatureError, match=f"No Spark master at {master} .*refused"):
        build_snapshot(tmp_path / "store", raw, engine="spark", master=master)


def test_without_java_or_pyspark_it_is_said_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    with pytest.raises(FeatureError, match="Java 17"):
        SparkEngine().__enter__()
    monkeypatch.setitem(sys.modules, "pyspark", None)
    with pytest.raises(FeatureError, match="pip install 'windlass-ml\\[spark\\]'"):
        SparkEngine().__enter__()


def transform_blocked_until(opened: Path, workers: Path) -> Any:
    """The transform of VIEW, whose tasks note their worker's process, and wait for a file to appear."""

    def hold(batches: Iterator[Any]) -> Iterator[Any]:
        (workers / str(os.getpid())).touch()
        while not opened.exists():
            sleep(0.02)
        yield from batches

    def transform(loans: Any) -> Any:
        native = nw.to_native(loans)
        return VIEW.transform(nw.from_native(native.mapInArrow(hold, native.schema)))

    return transform


# progress, and what a JVM says before it is configured to be silent
USUAL = re.compile(r" *\d+% |WARNING: Using|Using Spark's|Setting |To adjust|\d\S+ \S+ WARN ")
HELD = """
    def hold(batches):
        (HERE / f"begun-{os.getpid()}").write_text(str(os.getpid()))
        (HERE / f"begun-{os.getpid()}").rename(HERE / "begun")
        while True:
            time.sleep(0.02)
        yield

    native = nw.to_native(loans)
    loans = nw.from_native(native.mapInArrow(hold, native.schema))
"""


def build_words(folder: Path, master: str, transform: str = "") -> list[str]:
    """`features build` on a cluster; `transform` comes first in the view's function."""
    project = LendingProject.copied(folder / "lending")
    project.change('    held("built")\n', transform)
    raw = project.raw("loans.csv", *(f"{n},{n},2020-01-01,5,1980-01-01,0" for n in range(50)))
    words = ["features", "build", str(project.folder), "--data", str(raw)]
    return [*words, "--engine", "spark", "--master", master]


def build_environment(folder: Path) -> dict[str, str]:
    """The environment of a process that builds."""
    return environment(folder / "home", PYTHONWARNINGS="ignore")


def interrupt(process: ChildProcess) -> list[str]:
    """Send SIGINT; the errors that it and its JVM wrote, less what is usual."""
    assert process.is_running, process.description
    process.signal(signal.SIGINT)
    ended = process.finish(TIMEOUT, grace=TIMEOUT)
    assert ended.code != 0
    return [line for line in ended.err.splitlines() if not USUAL.match(line)]


def rejected_rows(output: Path) -> list[list[str]]:
    """The lines of what was rejected, in order."""
    with output.with_name(f"{output.name}.rejects.csv").open(encoding="utf-8", newline="") as file:
        return sorted(csv.reader(file))


def applicants(count: int) -> pl.DataFrame:
    """Rows of the project `mixed`, one in twelve of them with something that it refuses."""
    random = np.random.default_rng(3)
    born = random.integers(10_000, 18_000, count)
    return pl.DataFrame(
        {
            "id": [f"n{number}" for number in range(count)],
            "income": np.where(random.random(count) < 0.05, -1.0, random.random(count) * 1e5),
            "age": random.integers(17, 80, count),
            "children": [None if number % 7 == 0 else number % 5 for number in range(count)],
            "employed": random.random(count) < 0.7,
            "grade": random.choice(["A", "B", "C", "D"], count, p=[0.4, 0.3, 0.28, 0.02]).tolist(),
            "housing": random.choice(["own", "rent"], count).tolist(),
            "city": random.choice(["Ulm", "Köln", "Lima"], count).tolist(),
            "opened": pl.Series(born, dtype=pl.Int32).cast(pl.Date),
        }
    )
