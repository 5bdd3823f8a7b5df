"""The distribution: what wheel and sdist hold, and what they do in an environment with nothing else in it."""

import json
import os
import sys
import tarfile
import venv
import zipfile
from pathlib import Path
from typing import Any

import pytest
from tests.support.budget import IS_CI
from tests.support.child_process import Finished, run
from tests.support.paths import ROOT
from tests.support.server import Server, free_port

from windlass._version import __version__

INSTALL_TIMEOUT = 400.0  # seconds for the packages of an extra
PACKAGE = ROOT / "src" / "windlass"
FILES = {
    file.relative_to(PACKAGE.parent).as_posix()
    for file in PACKAGE.rglob("*")
    if file.is_file() and "__pycache__" not in file.parts
}
NEVER = ("tests/", "examples/", "benchmarks/", ".venv/", ".windlass/", "shared/")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel and the sdist of this checkout."""
    folder = tmp_path_factory.mktemp("dist")
    run([sys.executable, "-m", "hatchling", "build", "-d", folder], cwd=ROOT).check()
    return folder


def test_the_wheel_holds_the_package_and_nothing_else(built: Path) -> None:
    (wheel,) = built.glob("*.whl")
    assert wheel.name == f"windlass_ml-{__version__}-py3-none-any.whl"
    names = zipfile.ZipFile(wheel).namelist()
    metadata = f"windlass_ml-{__version__}.dist-info/"
    assert {name for name in names if not name.startswith(metadata)} == FILES
    assert metadata + "licenses/LICENSE" in names


def test_the_sdist_holds_what_the_wheel_is_built_from(built: Path) -> None:
    (sdist,) = built.glob("*.tar.gz")
    root = f"windlass_ml-{__version__}/"
    with tarfile.open(sdist) as archive:
        names = {name.removeprefix(root) for name in archive.getnames()}
    assert {f"src/{name}" for name in FILES} <= names
    assert {"pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md"} <= names
    assert not [name for name in names if name.startswith(NEVER)]


class Environment:
    """An environment of its own in a folder, with nothing but what was installed into it."""

    def __init__(self, folder: Path) -> None:
        venv.create(folder / "venv", with_pip=True)
        self.folder = folder
        self.bin = folder / "venv" / "bin"
        removed = ("PYTHON", "WINDLASS_", "VIRTUAL_ENV")
        variables = {
            name: text for name, text in os.environ.items() if not name.startswith(removed)
        }
        self.variables = {**variables, "PATH": f"{self.bin}:/usr/bin:/bin"}

    def install(self, requirement: str) -> None:
        """Installs what a user would name to pip."""
        words = [self.bin / "pip", "install", "--quiet", "--disable-pip-version-check", requirement]
        run(words, env=self.variables, cwd=self.folder, timeout=INSTALL_TIMEOUT).check()

    def run(self, program: str, *words: object, folder: Path | None = None) -> Finished:
        """Runs a program of this environment."""
        command = [self.bin / program, *words]
        return run(command, env=self.variables, cwd=folder or self.folder, timeout=200)

    def answer(self, path: Path, row: object) -> Any:
        """Serves a project or a bundle, with the home of this folder, for one prediction; returns its JSON."""
        port = free_port()
        command = [self.bin / "windlass", "serve", path, "--port", port]
        server = Server(command, port, self.folder / ".windlass", self.variables)
        try:
            return server.wait().client.post("/predict", json=row).json()
        finally:
            server.stop()


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    """An empty environment."""
    if not IS_CI:
        pytest.skip("installs packages for a minute: only in CI")
    return Environment(tmp_path)


EXAMPLE = "import json, windlass; print(json.dumps(windlass.load('demo').example))"


def test_the_wheel_serves_and_the_sdist_trains_a_new_project(
    built: Path, environment: Environment, iris: Path
) -> None:
    flower = {"sepal_length": 5.1, "sepal_width": 3.5, "petal_length": 1.4, "petal_width": 0.2}
    (wheel,), (sdist,) = built.glob("*.whl"), built.glob("*.tar.gz")
    environment.install(str(wheel))
    assert environment.run("windlass", "--version").check().strip() == __version__
    assert environment.answer(iris, flower)["predicted_label"] == "setosa"
    refused = environment.run("windlass", "train", ROOT / "examples" / "iris", "--no-track")
    assert refused.code == 1
    assert "pip install 'windlass-ml[train]'" in refused.err
    environment.install(f"windlass-ml[train] @ {sdist.as_uri()}")
    environment.run("windlass", "new", "demo").check()
    project = environment.folder / "demo"
    environment.run("windlass", "train", folder=project).check()
    row = json.loads(environment.run("python", "-c", EXAMPLE).check())
    answer = environment.answer(project, row)
    assert answer["model_version"] == "v1"
    assert answer["predicted_label"] in answer["class_probabilities"]
