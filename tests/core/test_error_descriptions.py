"""Errors in words for users: what is not installed, and how to install it."""

import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from tests.support.budget import IS_CI
from tests.support.child_process import WINDLASS, run
from tests.support.paths import ROOT

from windlass.core.error_descriptions import (
    DISTRIBUTION,
    EXTRAS,
    describe_error,
    describe_fault,
    install_command,
    missing_extra,
)

PACKAGE = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
# a command that needs the extra, and the variables that make it do so
COMMANDS = {
    "train": (["train", "examples/iris", "--no-track"], {}),
    "features": (["features", "build", "examples/credit_risk"], {}),
    "postgres": (["versions"], {"WINDLASS_DATABASE_URL": "postgresql+psycopg://u@127.0.0.1:1/x"}),
    "redis": (["features", "get", "examples/credit_risk", "1"], {"WINDLASS_ONLINE_URL": "redis://127.0.0.1:1/0"}),
    "boosters": (["train", "tests/projects/boosted", "--no-track"], {}),
    "signing": (["serve", "BUNDLE"], {"WINDLASS_VERIFY_KEY": "/dev/null"}),
    "spark": (["features", "build", "examples/credit_risk", "--engine", "spark"], {}),
}  # fmt: skip
# makes each interpreter of a test one in which the modules of an extra cannot be imported
SITE_CUSTOMIZE = """
import os, sys
from importlib.abc import MetaPathFinder

class Missing(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in os.environ["MISSING"].split(","):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Missing())
"""


def test_the_table_of_extras_is_that_of_the_distribution() -> None:
    declared = PACKAGE["optional-dependencies"]
    assert PACKAGE["name"] == DISTRIBUTION
    assert declared.keys() == EXTRAS.keys() | {"all"}
    modules: dict[str, set[str]] = {}
    for module, distributions in packages_distributions().items():
        for distribution in distributions:
            modules.setdefault(distribution.lower(), set()).add(module)
    for extra, listed in EXTRAS.items():
        requirements = map(Requirement, declared[extra])
        packages = {need.name for need in requirements if not need.marker or need.marker.evaluate()}
        installed = set().union(*(modules[package] for package in packages))
        assert set(listed) <= installed
        assert all(modules[package] & set(sum(EXTRAS.values(), ())) for package in packages)


def test_all_is_every_extra_that_is_not_large() -> None:
    (line,) = PACKAGE["optional-dependencies"]["all"]
    extras = [extra for extra in EXTRAS if extra not in ("boosters", "spark")]
    assert line == f"{DISTRIBUTION}[{','.join(extras)}]"


@pytest.mark.parametrize(
    ("module", "extra"), [(module, extra) for extra in EXTRAS for module in EXTRAS[extra]]
)
def test_a_package_that_is_not_installed(module: str, extra: str) -> None:
    error = ModuleNotFoundError(f"No module named '{module}.part'", name=f"{module}.part")
    expected = f"{module} is not installed. Install it: {install_command(extra)}"
    assert missing_extra(error) == expected
    assert describe_fault(error) == f"{expected}."


def test_a_package_of_a_user_is_not_ours_to_name() -> None:
    error = ModuleNotFoundError("No module named 'mine'", name="mine")
    assert missing_extra(error) is None
    assert missing_extra(ImportError("cannot import name")) is None
    try:
        raise error
    except ModuleNotFoundError as raised:
        described = describe_error(raised)
    assert described.startswith("ModuleNotFoundError: No module named 'mine' (")


@pytest.mark.parametrize("extra", COMMANDS if IS_CI else ["train"])
def test_a_command_says_which_extra_it_needs(extra: str, iris: Path, tmp_path: Path) -> None:
    words, variables = COMMANDS[extra]
    words = [str(iris) if word == "BUNDLE" else word for word in words]
    (tmp_path / "sitecustomize.py").write_text(SITE_CUSTOMIZE)
    environment = {"MISSING": ",".join(EXTRAS[extra]), "PYTHONPATH": str(tmp_path), "PATH": ""}
    ended = run(
        [WINDLASS, *words],
        cwd=ROOT,
        env={**environment, "WINDLASS_HOME": str(tmp_path), **variables},
        warm=False,
    )
    assert ended.code == 1
    (line,) = ended.error_lines
    assert install_command(extra) in line
    assert "fault of Windlass" not in line
