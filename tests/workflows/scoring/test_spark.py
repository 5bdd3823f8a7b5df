from pathlib import Path

import polars as pl
import pytest
from tests.support.server import FLOWER, free_port
from tests.support.trained_bundles import BundleOf

from windlass.core.bundle import Bundle
from windlass.errors import EngineError, FeatureError, InputError, SettingsError, WindlassError
from windlass.workflows.scoring.request import ScoreRequest
from windlass.workflows.scoring.spark import score_on_spark


def score(bundle: Path, source: Path, output: Path, master: str) -> None:
    """Score a file with the bundle on the cluster at `master`."""
    request = ScoreRequest.from_paths(source, output)
    score_on_spark(Bundle.open(bundle), request, master, lambda share, message: None)


def test_a_master_that_is_away_leaves_nothing_behind(iris: Path, tmp_path: Path) -> None:
    rows = tmp_path / "rows.parquet"
    pl.DataFrame(FLOWER).write_parquet(rows)
    with pytest.raises(FeatureError, match="No Spark master at"):
        score(iris, rows, tmp_path / "out.parquet", f"spark://127.0.0.1:{free_port()}")
    assert [*tmp_path.iterdir()] == [rows]


@pytest.mark.parametrize(
    ("source", "output", "error", "says"),
    [
        ("rows.csv", "out.parquet", InputError, "reads a .parquet file, or a folder"),
        ("nothing", "out.parquet", InputError, "reads a .parquet file, or a folder"),
        ("odd", "out.parquet", InputError, "other columns than .*a.parquet"),
        ("empty.parquet", "out.parquet", InputError, "holds no rows"),
        ("text.parquet", "out.parquet", InputError, "cannot be read as Parquet"),
        ("rows.parquet", "out.csv", SettingsError, "does not end in .parquet"),
        ("rows.parquet", "odd.parquet", SettingsError, "exists already"),
        ("rows.parquet", "rows.parquet", SettingsError, "are both"),
    ],
)
def test_what_spark_cannot_score_is_refused_before_it_starts(
    source: str, output: str, error: type[WindlassError], says: str, iris: Path, tmp_path: Path
) -> None:
    flower = pl.DataFrame(FLOWER)
    for folder in ("nothing", "odd", "odd.parquet"):
        (tmp_path / folder).mkdir()
    flower.write_csv(tmp_path / "rows.csv")
    flower.write_parquet(tmp_path / "rows.parquet")
    flower.clear().write_parquet(tmp_path / "empty.parquet")
    (tmp_path / "text.parquet").write_text("no Parquet", encoding="utf-8")
    flower.write_parquet(tmp_path / "odd" / "a.parquet")
    flower.drop("petal_width").write_parquet(tmp_path / "odd" / "b.parquet")
    with pytest.raises(error, match=says):
        score(iris, tmp_path / source, tmp_path / output, "spark://127.0.0.1:1")


def test_a_native_model_stays_on_one_machine(bundle_of: BundleOf, tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="without --engine spark"):
        score(bundle_of("native"), tmp_path / "rows.parquet", tmp_path / "out.parquet", "")
