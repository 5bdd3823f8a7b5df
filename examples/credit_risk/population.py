"""Distributions of the clients and loans that `generate.py` generates: attributes, amounts, risk."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from contract import (
    EDUCATION_TYPES,
    FAMILY_STATUSES,
    GENDERS,
    HOUSING_TYPES,
    INCOME_TYPES,
    NO_JOB_DAYS,
    OCCUPATIONS,
    TAKEN,
    YES_NO,
)
from numpy.random import Generator
from numpy.typing import NDArray

Numbers = NDArray[np.float64]
Wholes = NDArray[np.int64]

THEN = np.asarray(TAKEN, "datetime64[D]")
FIRST_DAY, DAYS = np.datetime64("2019-01-01"), 730  # of loans
YOUNGEST, OLDEST, RETIRED, WORKING = 7_489, 25_152, 20_400, 6_210  # days of age
YEAR = 365.25  # days

# shares of the real file, in the order of the contract's categories
GENDER = (0.667, 0.333)
OWNS = (0.39, 0.61)
EDUCATION = (0.0011, 0.2747, 0.039, 0.0111, 0.6741)
FAMILY = (0.0776, 0.7029, 0.0582, 0.1213, 0.04)
HOUSING = (0.0047, 0.8964, 0.0317, 0.0072, 0.0141, 0.0459)
INCOME = (0.2826, 0.0, 0.1008, 0.0005, 0.6161)  # of those who work
CHILDREN = (0.6952, 0.2001, 0.0905, 0.012, 0.0022)


def people(random: Generator, count: int) -> pa.Table:
    """Returns `count` people, with the columns that the file has for a client."""
    age = YOUNGEST + (random.beta(1.775, 1.855, count) * (OLDEST - YOUNGEST)).astype(np.int64)
    retired = random.random(count) < np.where(age > RETIRED, 0.88, 0.02)
    tenure = np.minimum(random.exponential(3_000, count).astype(np.int64), age - WORKING)
    started = np.where(retired, NO_JOB_DAYS, -tenure)
    children = random.choice(len(CHILDREN), count, p=CHILDREN)
    family = _drawn(random, count, FAMILY)
    # in the real file a few families have as many children as members
    unusual = (children > 0) & (random.random(count) < 0.001)
    members = 1.0 + children + (family < 2) - 1.0 * unusual - 1.0 * (unusual & (family < 2))
    income = 4_500 * np.round(random.lognormal(3.58, 0.5, count))
    work = np.where(retired, INCOME_TYPES.index("Pensioner"), _drawn(random, count, INCOME))
    jobless = retired | (random.random(count) < 0.17)
    occupation = random.integers(0, len(OCCUPATIONS), count)
    unknown_car = random.random(count) < 0.005
    columns = {
        "code_gender": _named(GENDERS, _drawn(random, count, GENDER)),
        "flag_own_car": _named(YES_NO, _drawn(random, count, OWNS), unknown_car),
        "flag_own_realty": _named(YES_NO, _drawn(random, count, OWNS[::-1])),
        "cnt_children": children,
        "amt_income_total": np.clip(income, 27_000.0, 1_575_000.0),
        "name_income_type": _named(INCOME_TYPES, work),
        "name_education_type": _named(EDUCATION_TYPES, _drawn(random, count, EDUCATION)),
        "name_family_status": _named(FAMILY_STATUSES, family),
        "name_housing_type": _named(HOUSING_TYPES, _drawn(random, count, HOUSING)),
        "days_birth": -age,
        "days_employed": started,
        "flag_mobil": np.ones(count, np.int64),
        "flag_work_phone": _flags(random, count, 0.23),
        "flag_phone": _flags(random, count, 0.3),
        "flag_email": _flags(random, count, 0.09),
        "occupation_type": _named(OCCUPATIONS, occupation, jobless),
        "cnt_fam_members": members,
        "birthday": (THEN - age).astype(str),
        "job_start_date": (THEN + started).astype(str),
    }
    return pa.table(columns)


def amounts(random: Generator, client: Wholes) -> Numbers:
    """Returns the amount [n] of each loan: 100 plus an exponential of one of three scales, times a client factor.

    `client` [n] is the client of each loan.
    """
    scale = np.array([12.81, 25.22, 43.07])[_drawn(random, len(client), (0.2057, 0.41, 0.3843))]
    spends = random.lognormal(-0.08, 0.4, client[-1] + 1)[client]
    drawn: Numbers = np.minimum(100 + random.exponential(scale) * spends, 819.87)
    return drawn


def risk(client: Wholes, day: Wholes, amount: Numbers, attributes: pa.Table) -> Numbers:
    """Returns the probability [n] that a loan is paid late. It depends only on what the five features measure.

    Loans are sorted by client and time. `day` [n] counts from the first day, `attributes` has one row a loan.
    """
    number, average = _before(client, amount)
    since = (THEN - FIRST_DAY).astype(np.int64) - day
    age = (-attributes["days_birth"].to_numpy() - since) / YEAR
    job = (-attributes["days_employed"].to_numpy() - since) / YEAR
    car = attributes["flag_own_car"].to_numpy(zero_copy_only=False) == "Y"
    odds = (
        -4.73
        + 1.1 * np.exp(-number / 5)
        + 1.2 * np.where(number > 0, np.tanh((average - 128) / 12), 0.0)
        + 0.8 * np.clip((38 - age) / 12, -1.5, 1.5)
        + np.where(job < 0, 0.2, 1.0 * np.exp(-np.maximum(job, 0.0) / 2))
        - 0.6 * car
    )
    late: Numbers = 1 / (1 + np.exp(-odds))
    return late


def _before(client: Wholes, amount: Numbers) -> tuple[Wholes, Numbers]:
    """Returns the client's number of earlier loans, and their average amount (0 for the first loan)."""
    first = np.searchsorted(client, client)
    number = np.arange(len(client)) - first
    sums = np.cumsum(amount) - amount
    return number, (sums - sums[first]) / np.maximum(number, 1)


def _drawn(random: Generator, count: int, shares: Sequence[float]) -> Wholes:
    """Returns indices [count] into `shares`, drawn with these probabilities."""
    return random.choice(len(shares), count, p=shares)


def _named(
    names: Sequence[str], codes: Wholes, missing: NDArray[np.bool_] | None = None
) -> pa.Array:
    chosen = pa.array(codes, mask=missing)
    return pa.array(names).take(chosen)


def _flags(random: Generator, count: int, share: float) -> Wholes:
    return (random.random(count) < share).astype(np.int64)
