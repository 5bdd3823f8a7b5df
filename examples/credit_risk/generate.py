"""Generates loans with the columns and the faults of the real file, and with a signal that can be learned.

It works on one chunk of clients at a time, so that memory does not grow with the number of clients.
"""

from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet
from numpy.random import Generator
from population import DAYS, FIRST_DAY, amounts, people, risk

from windlass import WindlassError

CHUNK = 40_000  # clients; the loans of a chunk are sorted by date, as the real file is
FIRST_ID, FIRST_LOAN_ID = 5_008_804, 1_000
IDS_OF_A_PERSON = 3.7  # on average: a person has several ids in the real file
FAULTY = 1 / 700  # of the loans
COLUMNS = (
    "loan_id",
    "id",
    "code_gender",
    "flag_own_car",
    "flag_own_realty",
    "cnt_children",
    "amt_income_total",
    "name_income_type",
    "name_education_type",
    "name_family_status",
    "name_housing_type",
    "days_birth",
    "days_employed",
    "flag_mobil",
    "flag_work_phone",
    "flag_phone",
    "flag_email",
    "occupation_type",
    "cnt_fam_members",
    "status",
    "birthday",
    "job_start_date",
    "loan_date",
    "loan_amount",
)
FAULTS: dict[str, Any] = {
    "loan_date": "2020-02-30",
    "loan_amount": -1.0,
    "code_gender": "XNA",
    "id": None,
    "birthday": None,
    "days_birth": 1,
    "days_employed": 1,  # neither days before nor the sentinel
    "job_start_date": "2150-01-01",  # neither a possible date nor the sentinel
    "amt_income_total": 0.0,
    "loan_id": FIRST_LOAN_ID,  # a duplicate
    "status": 2,
}


def generate(
    clients: int, seed: int, out: Path, *, chunk: int = CHUNK, faulty: float = FAULTY
) -> int:
    """Writes the loans of `clients` clients to `out`, CSV or Parquet by its suffix. Returns the number of loans.

    `chunk` is the number of clients in a chunk, `faulty` the share of loans with a fault. The same seed gives the same
    file. Raises WindlassError for another ending, or for no clients.
    """
    if clients < 1:
        raise WindlassError(f"{clients} clients have no loans. Ask for one or more.")
    chunks = _chunks(clients, seed, chunk, faulty)
    first = next(chunks)
    loans = 0
    with _writer(out, first.schema) as writer:
        for table in chain([first], chunks):
            writer.write_table(table)
            loans += table.num_rows
    return loans


def _writer(out: Path, schema: pa.Schema) -> Any:
    if out.suffix == ".parquet":
        return pa.parquet.ParquetWriter(out, schema, compression="zstd")
    if out.suffix == ".csv":
        options = pa.csv.WriteOptions(quoting_style="none")
        return pa.csv.CSVWriter(out, schema, write_options=options)
    raise WindlassError(f"{out.name} ends in neither .csv nor .parquet. Name another file.")


def _chunks(clients: int, seed: int, size: int, faulty: float) -> Iterator[pa.Table]:
    loans = 0
    for start in range(0, clients, size):
        random = np.random.default_rng([seed, start])
        table = _loans(random, start, min(size, clients - start), loans)
        loans += table.num_rows
        yield _broken(random, table, faulty)


def _loans(random: Generator, start: int, count: int, before: int) -> pa.Table:
    """Returns the loans of `count` clients from client number `start` on. Their ids follow `before` other loans."""
    person = random.integers(0, max(1, round(count / IDS_OF_A_PERSON)), count)
    granted = np.clip(np.round(random.gamma(1.9, 11.4, count)), 1, 61).astype(np.int64)
    client = np.repeat(np.arange(count), granted)
    day = random.integers(0, DAYS, len(client))
    order = np.lexsort((day, client))  # loans of one day stay in the order of their ids
    day = day[order]
    attributes = people(random, person.max() + 1).take(pa.array(person[client]))
    amount = amounts(random, client)
    late = random.random(len(client)) < risk(client, day, amount, attributes)
    days = pa.array((FIRST_DAY + np.arange(DAYS)).astype(str))
    columns = {
        **{name: attributes[name] for name in attributes.column_names},
        "loan_id": FIRST_LOAN_ID + before + order,
        "id": FIRST_ID + 4 * (start + client),
        "status": late.astype(np.int64),
        "loan_date": days.take(pa.array(day)),
        "loan_amount": amount,
    }
    loans = pa.table({name: columns[name] for name in COLUMNS})
    return loans.take(pa.array(np.argsort(day, kind="stable")))


def _broken(random: Generator, loans: pa.Table, faulty: float) -> pa.Table:
    """Returns the loans with some faults: a few rows break the contract, each in one column."""
    kinds = random.integers(0, len(FAULTS), loans.num_rows)
    kinds[random.random(loans.num_rows) >= faulty] = len(FAULTS)
    for kind, (name, value) in enumerate(FAULTS.items()):
        index = loans.column_names.index(name)
        wrong = pa.scalar(value, loans.schema.field(name).type)
        column = pc.if_else(pa.array(kinds == kind), wrong, loans[name])
        loans = loans.set_column(index, name, column)
    return loans
