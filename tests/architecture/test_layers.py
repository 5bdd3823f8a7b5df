"""Who may import whom: the contracts of pyproject.toml hold, and name every room of the package."""

import re
import sys
import tomllib
from pathlib import Path

from tests.support.child_process import run
from tests.support.paths import ROOT


def test_imports_follow_the_contracts() -> None:
    lint_imports = Path(sys.executable).with_name("lint-imports")
    run([lint_imports, "--no-cache", "--no-logo"], cwd=ROOT).check()


def test_every_room_has_its_layer() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    (layers,) = [rule["layers"] for rule in settings["contracts"] if rule["type"] == "layers"]
    placed = sorted(name for layer in layers for name in re.split(r"\s*[|:]\s*", layer))
    rooms = sorted(
        f"windlass.{path.stem}"
        for path in (ROOT / "src/windlass").iterdir()
        if (path.suffix == ".py" or (path / "__init__.py").exists())
        and not path.stem.startswith("__")
    )
    assert rooms == placed
