"""`windlass new`, `train` and `predict`, one after the other, on a table in the formats of another country."""

from pathlib import Path
from random import Random

import pytest
from tests.support.cli import run_cli
from tests.support.source_columns import write_csv

pytest.importorskip("windlass.tables.declared_table")  # which reads files that data() names


def european(rows: int) -> str:
    """A table with semicolons, decimal commas, a time without an offset, and texts for a missing number."""
    random = Random(5)
    lines = ["Kunden-Nr;Größe (m);class;Umsatz;Tag;Zeit;aktiv;Ort;Kündigung"]
    for row in range(rows):
        sales = random.lognormvariate(7, 1)
        amount = f"{sales:,.2f}".translate(str.maketrans(",.", ".,"))
        left = random.random() < (0.9 if sales > 1_100 else 0.1)
        cells = (
            f"K{row:05}",
            f"{random.gauss(1.7, 0.1):.2f}".replace(".", ","),
            random.choice("ABC"),
            amount if random.random() > 0.05 else "k.A.",
            f"2024-03-{random.randint(1, 28):02}",
            f"2024-03-{random.randint(1, 28):02} 10:{random.randint(0, 59):02}",
            random.choice(["Yes", "No"]),
            random.choice(["Köln", "München", " Ulm"]),
            "" if random.random() < 0.03 else "ja" if left else "nein",
        )
        lines.append(";".join(cells))
    return "\r\n".join([*lines, ""])


def test_a_table_that_nobody_has_seen_is_trained_and_predicted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    home = tmp_path / "home"
    table = write_csv(tmp_path, european(400), "cp1252")
    options = ("--from-csv", table, "--target", "Kündigung")
    run_cli("new", "kunden", *options, home=home).check()
    trained = run_cli("train", "kunden", home=home).check()
    assert "(production)" in trained
    output = tmp_path / "predictions.csv"
    run_cli("predict", "kunden", "--input", table, "--output", output, home=home).check()
    header, *predictions = output.read_text("utf-8").splitlines()
    assert len(predictions) == 400
    assert '"probability_ja"' in header
