"""Folders of the repository that tests read."""

from pathlib import Path

ROOT = Path(__file__).parents[2]
IRIS = ROOT / "examples" / "iris"


def project_folder(name: str) -> Path:
    """Returns the folder of a project: `iris` of the examples, or one of tests/projects."""
    return IRIS if name == "iris" else ROOT / "tests" / "projects" / name
