import json
import shutil
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from windlass.cli import train, verify

IRIS = Path(__file__).parents[2] / "examples" / "iris"


@pytest.fixture
def app() -> typer.Typer:
    app = typer.Typer()
    train.register(app)
    verify.register(app)
    return app


@pytest.fixture
def project(tmp_path: Path, app: typer.Typer) -> Path:
    """A trained copy of iris."""
    shutil.copy(IRIS / "project.py", tmp_path)
    done = CliRunner().invoke(app, ["train", str(tmp_path), "--no-track", "--C", "3"])
    assert done.exit_code == 0, done.output
    return tmp_path


def test_equal_is_code_0(app: typer.Typer, project: Path) -> None:
    for path in (project, project / "artifacts"):
        done = CliRunner().invoke(app, ["verify", str(path)])
        assert done.exit_code == 0, done.output
        assert done.stdout.startswith("Equal: ")


def test_different_is_code_1_and_says_why(app: typer.Typer, project: Path) -> None:
    source = project / "project.py"
    source.write_text(source.read_text().replace("max_iter=1000", "max_iter=1000, tol=0.1"))
    done = CliRunner().invoke(app, ["verify", str(project / "artifacts")])
    assert done.exit_code == 1
    assert "differs  metrics.json: " in done.stdout
    assert "because  project.py changed" in done.stdout
    done = CliRunner().invoke(app, ["verify", str(project), "--json"])
    told = json.loads(done.stdout)
    assert done.exit_code == 1
    assert (told["equal"], done.stderr) == (False, "")
    assert told["differences"]
    assert told["reasons"]


def test_no_bundle_is_one_line(app: typer.Typer, tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["verify", str(tmp_path / "none")])
    assert done.exit_code == 1
    assert "windlass: No bundle at " in done.stderr
