"""Every command of every workflow is run: here, as the workflow has it, or by CI itself."""

import json
import os
import re
import shutil
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import httpx
import pytest
from tests.support.budget import IS_CI
from tests.support.child_process import Finished, run
from tests.support.cli import run_cli
from tests.support.command_stubs import CommandStubs
from tests.support.lending_project import LendingProject
from tests.support.paths import ROOT
from tests.support.server import TIMEOUT, Serve, Server
from tests.support.workflow_runner import Runner, Step, names, steps

from windlass.auth.key import Role
from windlass.auth.key_store import KeyStore
from windlass.cli.banner import banner
from windlass.registry.registry import Registry
from windlass.serving.targets import resolve_targets
from windlass.settings import Settings

DIGEST = "sha256:" + "ab12" * 16
IMAGE = f"ghcr.io/owner/name@{DIGEST}"
CI = {step.command for step in steps("ci")}
HERE = {"cd", "ct"}  # the workflows that the tests below run from end to end


def test_every_command_is_run_here_or_by_ci() -> None:
    left = [step for name in names() for step in steps(name) if step.command not in CI]
    assert {step.workflow for step in left} == HERE
    assert len(left) >= 14


def ours(name: str) -> Iterator[Step]:
    """The steps of a workflow that CI does not run itself, in their order."""
    return (step for step in steps(name) if step.command not in CI)


def accepted(done: Finished) -> Finished:
    """Exit code 0, or the test says what the step wrote."""
    assert done.code == 0, done.out + done.err
    return done


def engine(folder: Path) -> CommandStubs:
    """A docker and a cosign that record; the image gets the digest of a registry."""
    stubs = CommandStubs(folder)
    stubs.add("docker", f'[ "$1 $2" != "image inspect" ] || echo {IMAGE}')
    stubs.add("cosign")
    return stubs


def delivery(folder: Path, stubs: CommandStubs, url: str) -> Runner:
    """A runner of cd.yml."""
    given = {
        "github.repository": "Owner/Name",
        "github.actor": "ada",
        "github.token": "token",
        "github.sha": "0123abc",
        "github.server_url": "https://github.com",
        "vars.URL": url,
        "vars.FEATURES_URL": "",
        "vars.DOCKER_HOST": "ssh://deploy@machine",
        "vars.PROJECTS": "iris",
        "vars.SSH_KNOWN_HOSTS": "machine ssh-ed25519 AAAA",
        "secrets.SSH_KEY": "a key",
        "vars.WINDLASS_STORE_URL": "s3://models",
        **{
            f"secrets.{name}": ""
            for name in ("SMOKE_KEY", "WINDLASS_DATABASE_URL", "WINDLASS_ONLINE_URL")
        },
    }
    return Runner(folder, given, PATH=f"{stubs.folder}{os.pathsep}{os.environ['PATH']}")


def test_delivery_takes_one_digest_through_staging_to_production(
    tmp_path: Path, serve: Serve, iris: Path
) -> None:
    """Docker and cosign are stand-ins; the scripts, and the server that is asked in the end, are real."""
    stubs = engine(tmp_path / "bin")
    runner = delivery(tmp_path / "runner", stubs, serve(iris).url)
    for step in ours("cd"):
        accepted(runner.run(step))
    calls = [" ".join(call) for call in stubs.calls()]
    build = next(call for call in calls if call.startswith("docker build"))
    assert "--target server" in build
    assert "docker push --quiet ghcr.io/owner/name:0123abc" in calls
    (scan,) = (call for call in calls if "trivy" in call)
    assert "--exit-code 1" in scan
    assert scan.endswith(IMAGE)
    assert f"cosign sign --yes {IMAGE}" in calls
    verified = [call for call in calls if call.startswith("cosign verify")]
    assert len(verified) == 2
    identity = r"^https://github\.com/Owner/Name/\.github/workflows/cd\.yml@"
    assert all(identity in call and call.endswith(IMAGE) for call in verified)
    up = [number for number, call in enumerate(calls) if " up --detach --wait " in call]
    assert len(up) == 2
    assert calls.index(verified[0]) < up[0]
    assert "token" not in " ".join(calls).replace("token.actions.githubusercontent.com", "")
    key = tmp_path / "runner/.ssh/id_ed25519"
    assert (key.read_text(), key.stat().st_mode & 0o777) == ("a key\n", 0o600)


@pytest.mark.parametrize(
    ("name", "command", "body", "ups"),
    [
        ("Scan", "docker", "exit 1", 0),
        ("Deploy", "cosign", '[ "$1" != verify ]', 0),
        ("Deploy", "docker", '[ "$4" != up ]', 1),
    ],
)
def test_delivery_stops_where_a_command_fails(
    tmp_path: Path, name: str, command: str, body: str, ups: int
) -> None:
    stubs = engine(tmp_path / "bin")
    runner = delivery(tmp_path / "runner", stubs, "http://127.0.0.1:1")
    for step in ours("cd"):
        if step.name == name:
            stubs.add(command, body)
            assert runner.run(step).code != 0
            break
        accepted(runner.run(step))
    assert sum("up" in call for call in stubs.calls()) == ups


@pytest.mark.parametrize("name", ["Sign", "Deploy", "Promote"])
def test_an_image_without_a_digest_goes_nowhere(tmp_path: Path, name: str) -> None:
    stubs = engine(tmp_path / "bin")
    runner = Runner(
        tmp_path / "runner",
        {},
        IMAGE="ghcr.io/owner/name:latest",
        SIGNER="https://github.com/o/n",
        PATH=f"{stubs.folder}{os.pathsep}{os.environ['PATH']}",
    )
    step = next(step for step in steps("cd") if step.name == name)
    bare = Step(step.workflow, step.job, step.name, step.command, {})
    done = runner.run(bare)
    assert done.code == 1
    assert "by its digest" in done.err
    assert stubs.calls() == []


def training(folder: Path, lending: LendingProject, home: Path, data: str, key: str) -> Runner:
    """A runner of ct.yml, for the project `lending`."""
    given = {
        "inputs.data": data,
        "github.event.client_payload.data": "",
        "github.run_id": "42",
        "vars.DATA": "",
        "vars.URL": "",
        "vars.FEATURES_URL": "",
        "vars.WINDLASS_HOME": str(home),
        "vars.WINDLASS_STORE_URL": "",
        "secrets.APPROVER_KEY": key,
        **{
            f"secrets.{name}": ""
            for name in ("SMOKE_KEY", "WINDLASS_DATABASE_URL", "WINDLASS_ONLINE_URL")
        },
    }
    return Runner(folder, given, PROJECT=str(lending.folder))


def approver(home: Path) -> str:
    """A key of somebody else, who may approve."""
    registry = Registry.open(Settings(home=home))
    secret = KeyStore(registry.database).create("risk-board", Role.APPROVE)
    registry.close()
    return secret


def assert_lines_work(server: Server, lending: LendingProject) -> None:
    """The lines about entities that `windlass serve` prints are there, and can be pasted."""
    settings = Settings(home=server.home)
    text = banner(resolve_targets([lending.folder], settings), settings, "127.0.0.1", server.port)
    lines = [
        line.split() for line in text.splitlines() if "/features/" in line or "/predict/" in line
    ]
    assert [line[:-1] for line in lines] == [["curl"], ["curl", "-X", "POST"]]
    for method, line in zip(("GET", "POST"), lines, strict=True):  # a machine may have no curl
        httpx.request(method, line[-1], timeout=TIMEOUT).raise_for_status()


def test_training_takes_new_data_through_the_gates_and_an_approval_to_production(
    tmp_path: Path, serve: Serve
) -> None:
    home, lending = tmp_path / "home", LendingProject.copied(tmp_path / "lending")
    key = approver(home)
    registry = Registry.open(Settings(home=home))
    runner = training(tmp_path / "runner", lending, home, "", key)
    features = next(step for step in ours("ct") if step.name == "Features")
    for step in ours("ct"):
        if step.job == "notebook":  # below
            continue
        if step.name == "Smoke test":
            server = serve(lending.folder, home=home, options=["--no-worker"])
            runner.given["vars.URL"] = server.url
            assert_lines_work(server, lending)
        done = accepted(runner.run(step))
        if step.name == "Gates":
            assert "Snapshot 2 of lending" in accepted(runner.run(features)).out
        if step.name == "Online store":
            assert "holds snapshot 1," in done.out, "that the version was trained on"
    version = registry.production("lending")
    assert version is not None
    (decision,) = registry.decisions("lending")
    registry.close()
    assert (decision.actor, decision.reason) == ("risk-board", "Approved in run 42")
    assert version.trained_by != decision.actor
    summary = runner.summary.read_text()
    assert "| roc_auc >= 0.6 |" in summary
    assert version.digest in summary


def smoke(url: str, *options: str) -> Finished:
    """What the smoke test says of the project `lending` there, at once."""
    words = [sys.executable, "deploy/smoke.py", url, "lending", "--seconds", "0", *options]
    return run(words, cwd=ROOT)


def test_a_features_service_that_does_not_answer_fails_the_smoke_test(
    tmp_path: Path, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two services, as compose.yaml has them, and no proxy in front."""
    home, lending = tmp_path / "home", LendingProject.copied(tmp_path / "lending")
    lending.change('policy="manual"', 'policy="automatic"')
    lending.change("four_eyes=True", "four_eyes=False")
    monkeypatch.setenv("WINDLASS_HOME", str(home))
    assert run_cli("pipeline", lending.folder).code == 0
    predictions = serve(lending.folder, home=home, options=["--only", "predict", "--no-worker"])
    features = serve(lending.folder, home=home, options=["--only", "features"])
    ended = smoke(predictions.url, "--features", features.url)
    assert ended.code == 0, ended.err
    features.signal(signal.SIGTERM)
    features.exit_code()
    for url in (predictions.url, features.url):
        ended = smoke(predictions.url, "--features", url)
        assert (ended.code, f"features at {url}" in ended.err) == (1, True), ended


NO_FLAG = ('nw.when(car == "Y").then(1).when(car == "N").then(0)', "nw.when(car == '?').then(1)")
NO_START = ('        "job_start_date",\n', "        job_start_date=nw.lit(None).cast(nw.Date),\n")
OTHER_AGE = ('"age": YearsSince("birthday")', '"age": YearsSince("job_start_date")')
SINCE_BIRTH = (
    '"years_on_the_job": YearsSince("job_start_date")',
    '"years_on_the_job": YearsSince("birthday")',
)
WITH_THIS_ONE = ('.rank(method="first") - 1', '.rank(method="first")')
LONG_YEARS = ('df["birthday"]).dt.days // 365', 'df["birthday"]).dt.days // 368')


@pytest.mark.parametrize(
    ("file", "changes", "features"),
    [
        ("features.py", [], []),
        (
            "features.py",
            [NO_FLAG, NO_START, OTHER_AGE],
            ["flag_own_car", "age", "years_on_the_job"],
        ),
        ("features.py", [SINCE_BIRTH], ["years_on_the_job"]),
        ("notebook.py", [WITH_THIS_ONE, LONG_YEARS], ["nb_previous_loans", "age"]),
    ],
    ids=["equal", "nothing known", "since birth", "notebook"],
)
def test_notebook_and_features_agree_or_the_run_ends(
    tmp_path: Path, file: str, changes: list[tuple[str, str]], features: list[str]
) -> None:
    project = tmp_path / "credit_risk"
    shutil.copytree(
        ROOT / "examples/credit_risk",
        project,
        ignore=shutil.ignore_patterns("artifacts", "__pycache__"),
    )
    text = (project / file).read_text()
    for old, new in changes:
        assert text.count(old) == 1
        text = text.replace(old, new)
    (project / file).write_text(text)
    (step,) = (step for step in ours("ct") if step.job == "notebook")
    if changes and not IS_CI:  # the script alone, as the step that runs it is tried above
        script = [sys.executable, ".github/scripts/notebook_check.py", project]
        done = run(script, cwd=ROOT, warm=True)
    else:
        done = Runner(tmp_path / "runner", {}, PROJECT=str(project)).run(step)
    assert done.code == (1 if features else 0), done.err
    assert re.findall(r"notebook_check: (\w+) differs", done.err) == features


def test_new_data_are_fetched_from_a_url_and_a_missing_file_is_reported(
    tmp_path: Path,
) -> None:
    lending = LendingProject.copied(tmp_path / "lending")
    raw = lending.raw("loans.csv", "1,1,2020-01-01,5,1980-01-01,0")
    step = next(step for step in ours("ct") if step.name == "Data")
    with served(lending.folder) as url:
        runner = training(tmp_path / "runner", lending, tmp_path / "home", f"{url}/loans.csv", "")
        accepted(runner.run(step))
    assert (tmp_path / "runner/loans.csv").read_bytes() == raw.read_bytes()
    gone = training(tmp_path / "runner", lending, tmp_path / "home", str(tmp_path / "no.csv"), "")
    assert "there is no file" in gone.run(step).err


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The files of a folder over HTTP, and where."""
    handler = partial(SimpleHTTPRequestHandler, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_training_stops_at_quality_before_anything_is_built(tmp_path: Path) -> None:
    lending = LendingProject.copied(tmp_path / "lending")
    bad = lending.raw("bad.csv", "1,1,2020-01-01,-5,1980-01-01,0")
    runner = training(tmp_path / "runner", lending, tmp_path / "home", str(bad), "")
    done = {step.name: runner.run(step) for step in ours("ct") if step.name in ("Data", "Quality")}
    assert (done["Data"].code, done["Quality"].code) == (0, 1)
    assert not (tmp_path / "home/features/lending/current").exists()


def test_a_gate_that_failed_ends_the_run_and_an_undecided_one_does_not(tmp_path: Path) -> None:
    step = next(step for step in steps("ct") if step.name == "Gates")
    result = {
        "project": "p",
        "version": "v2",
        "params": {"model": "m", "snapshot": 7},
        "metrics": {"roc_auc": 0.7},
        "digest": "d",
        "data_digest": "d",
        "gates": [{"rule": "roc_auc >= 0.6", "value": 0.7, "passed": True, "undecided": False}],
    }
    undecided = {"rule": "brier not worse", "value": None, "passed": False, "undecided": True}
    failed = {"rule": "recall >= 0.9", "value": 0.5, "passed": False, "undecided": False}
    for gate, code in ((undecided, 0), (failed, 1)):
        runner = Runner(tmp_path / str(code), {})
        gates = [*result["gates"], gate]
        (runner.folder / "training.json").write_text(json.dumps({**result, "gates": gates}))
        done = runner.run(Step("ct", "candidate", "Gates", step.command, {}, "gates"))
        assert done.code == code
        assert ("recall >= 0.9" in done.err) is (code == 1)
