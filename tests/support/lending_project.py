"""Copies of the project `lending`, whose pipeline a test runs, holds up and kills."""

import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.support.job_workers import TIMEOUT
from tests.support.paths import project_folder
from tests.support.waiting import wait_until

LENDING = project_folder("lending")


@dataclass(frozen=True)
class LendingProject:
    """A copy of the project; its deeds are `built` and `trained`."""

    folder: Path

    @classmethod
    def copied(cls, folder: Path, project: Path = LENDING) -> "LendingProject":
        """A copy in this folder, which is made; of another project where one is named."""
        folder.mkdir(parents=True)
        for file in project.glob("*.py"):
            shutil.copy(file, folder)
        return cls(folder)

    def hold(self, deed: str) -> None:
        """Have the next of these deeds wait until it is let go."""
        (self.folder / f"hold-{deed}").touch()

    def release(self, deed: str) -> None:
        """Let it go on."""
        (self.folder / f"hold-{deed}").unlink()

    def has_begun(self, deed: str) -> bool:
        """Whether it has begun since it was forgotten."""
        return (self.folder / deed).exists()

    def process(self, deed: str) -> int:
        """The number of the process that began it."""
        file = self.folder / deed
        wait_until(lambda: self.has_begun(deed) and file.read_text() != "", deed, TIMEOUT)
        return int(file.read_text())

    def forget(self) -> None:
        """Forget what has begun."""
        for deed in ("built", "trained"):
            (self.folder / deed).unlink(missing_ok=True)

    def change(self, old: str, new: str) -> None:
        """Another text in project.py."""
        file = self.folder / "project.py"
        text = file.read_text()
        assert old in text
        file.write_text(text.replace(old, new))

    def raw(self, name: str, *rows: str) -> Path:
        """A raw file of these rows."""
        file = self.folder / name
        header = "loan,client,day,amount,birthday,late"
        file.write_text("\n".join([header, *rows]) + "\n")
        return file


@pytest.fixture
def lending(tmp_path: Path) -> LendingProject:
    """A copy of the project."""
    return LendingProject.copied(tmp_path / "lending")
