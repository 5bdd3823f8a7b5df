"""A raw file held against a view's contract, and nothing built of it."""

from pathlib import Path
from shutil import move
from tempfile import TemporaryDirectory

from windlass.core.feature_view import FeatureView
from windlass.features.compute import check_memory, duckdb_within
from windlass.features.contract import Contract
from windlass.features.dealing import Dealt
from windlass.features.engine import Progress
from windlass.features.erased import ErasedEntities
from windlass.features.intake import Intake
from windlass.features.quality import Report
from windlass.features.quarantine import Quarantine
from windlass.features.raw import RawFile
from windlass.features.told import told_writing


def check(
    view: FeatureView, file: Path, memory: str, kept: Path | None, progress: Progress
) -> Report:
    """How many rows of a raw file pass, and why the others do not; these go to the Parquet file `kept`.

    Raises FeatureError where the file cannot be read or lacks columns.
    """
    check_memory(memory)
    with told_writing(kept or file), TemporaryDirectory() as place:
        folder = Path(place)
        contract = Contract.of(view)
        table = folder / "quarantine.parquet"
        nobody = ErasedEntities.read(folder)
        with Quarantine(table, file.name, view.entity, nobody) as quarantine:
            dealt = Dealt(folder, 1, view, contract)
            intake = Intake(view, contract, RawFile.open(file), dealt, quarantine, [])
            intake.read(progress)
            with duckdb_within(memory, folder) as connection:
                intake.count_changed(connection, intake.separate_doubled(connection))
        if kept is not None:
            move(table, kept)
        return quarantine.report
