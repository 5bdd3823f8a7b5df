"""`windlass features …` over the credit-risk example: raw loans to features of a client, and to none."""

from pathlib import Path

import polars as pl
import pytest
from tests.support.altered_bundles import change_json, copy_bundle
from tests.support.cli import run_cli
from tests.support.lending_project import LendingProject
from tests.support.paths import IRIS, ROOT
from tests.support.trained_bundles import BundleOf

from windlass.settings import Settings
from windlass.workflows.project_lookup import open_registry

CREDIT = ROOT / "examples" / "credit_risk"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("WINDLASS_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("WINDLASS_ONLINE_URL", raising=False)
    return tmp_path / "home"


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The loans of forty clients, a few of them bad. Nobody changes the file."""
    file = tmp_path_factory.mktemp("raw") / "loans.csv"
    ended = run_cli("features", "generate", CREDIT, "--entities", 40, "--seed", 3, "--out", file)
    assert ended.code == 0, ended.err
    assert "events of 40 entities" in ended.out
    return file


def test_the_old_name_of_entities_works(raw: Path, tmp_path: Path) -> None:
    file = tmp_path / "loans.csv"
    ended = run_cli("features", "generate", CREDIT, "--clients", 40, "--seed", 3, "--out", file)
    assert ended.code == 0, ended.err
    assert file.read_bytes() == raw.read_bytes()


def test_raw_loans_to_features_of_a_client_and_to_none(raw: Path, home: Path) -> None:
    ended = run_cli("features", "build", CREDIT, "--data", raw)
    assert ended.code == 0, ended.err
    assert "Snapshot 1 of credit_risk" in ended.out
    assert f"Next: windlass features materialise {CREDIT}" in ended.out
    assert "100% snapshot 1" in ended.err
    (snapshot,) = run_cli("features", "snapshots", CREDIT, "--json").json()
    assert snapshot["quality"]["rows"] == pl.read_csv(raw, infer_schema=False).height
    loans = pl.read_parquet(f"{snapshot['folder']}/latest")
    client = int(loans["id"][0])

    ended = run_cli("features", "get", CREDIT, client)
    assert (ended.code, ended.out) == (1, "")
    assert "windlass features materialise" in ended.err
    done = run_cli("features", "materialise", "credit_risk", "--json").json()
    assert (done["snapshot"], done["rows"]) == (1, loans.height)

    output = run_cli("features", "get", CREDIT, client, "--json").json()
    assert output[0]["id"] == client
    assert output[0]["features"]["nb_previous_loans"] == loans["nb_previous_loans"][0] - 1
    upcoming = run_cli("features", "get", CREDIT, client, "--at", "next", "--json").json()
    assert upcoming[0]["features"]["nb_previous_loans"] == loans["nb_previous_loans"][0]
    assert output[0]["as_of"] == str(loans["loan_date"][0])
    assert output[0]["view_version"] == snapshot["view"]
    header, row = run_cli("features", "get", "credit_risk", client).out.splitlines()
    assert header.split()[:2] == ["id", "nb_previous_loans"]
    assert row.split()[0] == str(client)
    both = run_cli("features", "get", CREDIT, client, 77)
    assert (both.code, len(both.out.splitlines())) == (1, 2)
    assert "knows no id 77." in both.err

    erased = run_cli("features", "erase", CREDIT, client, "--json").json()
    assert erased["snapshots"] == {"1": loans["nb_previous_loans"][0]}
    assert erased["online"] is True
    assert run_cli("features", "get", CREDIT, client).code == 1
    again = run_cli("features", "erase", CREDIT, client)
    assert again.code == 0
    assert f"Nothing was stored about id {client}. If the id was a mistake" in again.out
    ended = run_cli("features", "build", CREDIT, "--data", raw)
    assert "rows of erased entities were left out" in ended.out
    lines = run_cli("features", "snapshots", CREDIT).out.splitlines()
    assert [line.split()[0] for line in lines] == ["snapshot", "2", "1"]
    assert not list((home / "features" / "credit_risk").glob(".staging"))


def test_an_erasure_is_undone_for_the_next_build(raw: Path) -> None:
    before = run_cli("features", "build", CREDIT, "--data", raw, "--json").json()
    (snapshot,) = run_cli("features", "snapshots", CREDIT, "--json").json()
    client = int(pl.read_parquet(f"{snapshot['folder']}/latest")["id"][0])
    run_cli("features", "erase", CREDIT, client)
    undone = run_cli("features", "erase", CREDIT, client, "--undo")
    assert undone.code == 0
    assert "What was erased is not back" in undone.out
    assert "without --append" in undone.out
    again = run_cli("features", "erase", CREDIT, client, "--undo", "--json")
    assert (again.code, again.out) == (1, "")
    assert client not in pl.read_parquet(f"{snapshot['folder']}/latest")["id"]
    after = run_cli("features", "build", CREDIT, "--data", raw, "--json").json()
    assert after["entities"] == before["entities"]
    run_cli("features", "erase", CREDIT, client)
    assert run_cli("features", "erase", "credit_risk", client, "--undo", "--json").json() == {
        "id": client,
        "undone": True,
    }


def test_a_torn_snapshot_does_not_keep_a_client_online(raw: Path) -> None:
    snapshot = run_cli("features", "build", CREDIT, "--data", raw, "--json").json()
    run_cli("features", "materialise", CREDIT)
    (folder,) = (
        item["folder"] for item in run_cli("features", "snapshots", CREDIT, "--json").json()
    )
    client = int(pl.read_parquet(f"{folder}/latest")["id"][0])
    (Path(folder) / "snapshot.json").write_text("{")
    ended = run_cli("features", "erase", CREDIT, client)
    assert ended.code == 1
    assert "Erased from the online store." in ended.out
    assert f"000{snapshot['snapshot']}, which cannot be read" in ended.err
    assert len(ended.err.splitlines()) == 1
    assert run_cli("features", "get", CREDIT, client).code == 1


def test_a_project_generates_loans_where_no_file_is_named() -> None:
    built = run_cli("features", "build", CREDIT, "--json").json()
    assert built["entities"] == 2_000
    assert 0 < built["quality"]["share"] < 0.01


def test_appending_computes_what_is_new(raw: Path, tmp_path: Path) -> None:
    frame = pl.read_csv(raw, infer_schema=False)
    early, late = tmp_path / "early.csv", tmp_path / "late.csv"
    frame.head(-9).write_csv(early)
    frame.tail(9).write_csv(late)
    run_cli("features", "build", CREDIT, "--data", early)
    built = run_cli("features", "build", CREDIT, "--append", "--data", late, "--json").json()
    assert built["snapshot"] == 2
    assert built["recomputed"] == frame.tail(9)["id"].n_unique() < built["entities"]


def test_bad_quality_stops_a_build_and_a_check(raw: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.csv"
    frame = pl.read_csv(raw, infer_schema=False)
    frame.with_columns(loan_amount=pl.lit("-1")).write_csv(bad)
    ended = run_cli("features", "build", CREDIT, "--data", bad)
    assert (ended.code, ended.out) == (1, "")
    assert "break the contract" in ended.err
    ended = run_cli(
        "features", "check", bad, "--project", CREDIT, "--quarantine", tmp_path / "q.parquet"
    )
    assert ended.code == 1
    assert "loan_amount" in ended.out
    assert pl.read_parquet(tmp_path / "q.parquet").height == frame.height
    assert run_cli("features", "check", raw, "--project", CREDIT).code == 0
    assert (
        run_cli("features", "check", raw, "--project", CREDIT, "--json").json()["file"]
        == "loans.csv"
    )


def test_without_its_database_a_folder_is_enough(
    raw: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_cli("features", "build", CREDIT, "--data", raw)
    run_cli("features", "materialise", CREDIT)
    (snapshot,) = run_cli("features", "snapshots", CREDIT, "--json").json()
    client = int(pl.read_parquet(f"{snapshot['folder']}/latest")["id"][0])
    before = run_cli("features", "get", CREDIT, client, "--json").json()
    (home / "windlass.db").unlink()
    monkeypatch.setenv("WINDLASS_DATABASE_URL", "postgresql+psycopg://nobody@127.0.0.1:1/none")
    assert run_cli("features", "snapshots", CREDIT, "--json").json() == [snapshot]
    assert run_cli("features", "get", CREDIT, client, "--json").json() == before
    erased = run_cli("features", "erase", CREDIT, client)
    assert (erased.code, erased.out.splitlines()[-1]) == (0, "Later builds leave it out too.")
    assert erased.err.startswith(f"windlass: warning: going on with what {CREDIT / 'project.py'}")
    assert run_cli("features", "erase", CREDIT, client, "--undo").code == 0
    for arguments in (["snapshots", "credit_risk"], ["get", "credit_risk", client]):
        ended = run_cli("features", *arguments)
        assert (ended.code, ended.out, len(ended.err.splitlines())) == (1, "", 1)
        assert ended.err.endswith("Or name the project's folder.\n")
    assert not (home / "windlass.db").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["build", IRIS, "--data", "x.csv"], 1, "declares no feature view"),
        (["build", CREDIT, "--data", "none.csv"], 1, "There is no file none.csv"),
        (["build", CREDIT, "--append"], 2, "--append --data FILE"),
        (["build", CREDIT, "--engine", "abacus"], 2, "not an engine"),
        (["build", CREDIT, "--memory", "banana"], 1, "'banana' is not a memory limit"),
        (["check", "none.csv", "--project", CREDIT, "--memory", "banana"], 1, "not a memory limit"),
        (["materialise", CREDIT], 1, "Run `windlass features build credit_risk`."),
        (["get", CREDIT, "1"], 1, "then `windlass features materialise credit_risk`."),
        (["snapshots", "nowhere"], 1, "No project.py in"),
        (["get", CREDIT], 2, "Name the id of an entity"),
        (["get", CREDIT, "somebody"], 1, "then `windlass features materialise credit_risk`."),
        (["erase", CREDIT, "1", "2"], 2, "One at a time"),
        (["erase", CREDIT, "1", "2", "--undo"], 2, "One at a time"),
        (["erase", CREDIT, "1", "--undo"], 1, "was not erased from credit_risk"),
        (["generate", IRIS], 1, "no generate.py"),
    ],
)
def test_invalid_arguments_are_one_line(arguments: list[object], code: int, message: str) -> None:
    ended = run_cli("features", *arguments)
    assert (ended.code, ended.out) == (code, "")
    assert message in ended.err
    assert len(ended.err.splitlines()) == 1


def test_old_snapshots_are_pruned_but_those_of_versions(
    raw: Path, home: Path, bundle_of: BundleOf, tmp_path: Path
) -> None:
    folder = LendingProject.copied(
        tmp_path / "credit", CREDIT
    ).folder  # without the bundle of `make run`
    for _ in range(4):
        run_cli("features", "build", folder, "--data", raw)
    bundle = copy_bundle(bundle_of("iris"), tmp_path / "bundle")
    change_json(bundle, "params.json", lambda params: params.update(snapshot=2))
    change_json(bundle, "manifest.json", lambda manifest: manifest.update(project="credit_risk"))
    with open_registry(Settings(home=home)) as registry:
        registry.register(bundle, trained_by="ana")
    assert run_cli("features", "prune", folder).out == "There was nothing to remove.\n"
    ended = run_cli("features", "prune", "credit_risk", "--keep", 2).out.splitlines()
    assert ended == ["Removed snapshot 1 of credit_risk.", "Snapshot 2 stays: needed by v1."]
    assert run_cli("features", "prune", folder, "--keep", 0, "--json").json() == [3]
    folders = (home / "features" / "credit_risk" / "snapshots").iterdir()
    assert {folder.name for folder in folders} == {"000002", "000004"}


def test_nothing_is_pruned_while_the_registry_is_away(
    raw: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(2):
        run_cli("features", "build", CREDIT, "--data", raw)
    (home / "windlass.db").unlink()
    assert run_cli("features", "prune", CREDIT, "--keep", 1).code == 1
    monkeypatch.setenv("WINDLASS_DATABASE_URL", "postgresql+psycopg://nobody@127.0.0.1:1/none")
    ended = run_cli("features", "prune", CREDIT, "--keep", 1)
    assert (ended.code, ended.out) == (1, "")
    assert len(list((home / "features" / "credit_risk" / "snapshots").iterdir())) == 2
