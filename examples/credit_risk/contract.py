"""Contract of a raw file of loans. Rows that break it go to quarantine, with the reasons."""

from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

import polars as pl

if TYPE_CHECKING:
    import pandera.polars as pa

FIRST_LOAN = date(2000, 1, 1)  # of the lender's books
FIRST_BIRTH = date(1900, 1, 1)
LAST_START = date(2100, 1, 1)  # of a job
TAKEN = date(2021, 9, 17)  # the day of the export: the attributes of clients are of this day
NO_JOB = date(3021, 9, 18)  # the file's sentinel for: not employed
NO_JOB_DAYS = 365243  # the same, in days_employed

# a client has one value; several are reported as a warning
ONE = {"constant": True}

GENDERS = ["F", "M"]
YES_NO = ["Y", "N"]
INCOME_TYPES = ["Commercial associate", "Pensioner", "State servant", "Student", "Working"]
EDUCATION_TYPES = [
    "Academic degree",
    "Higher education",
    "Incomplete higher",
    "Lower secondary",
    "Secondary / secondary special",
]
FAMILY_STATUSES = ["Civil marriage", "Married", "Separated", "Single / not married", "Widow"]
HOUSING_TYPES = [
    "Co-op apartment",
    "House / apartment",
    "Municipal apartment",
    "Office apartment",
    "Rented apartment",
    "With parents",
]
OCCUPATIONS = [
    "Accountants",
    "Cleaning staff",
    "Cooking staff",
    "Core staff",
    "Drivers",
    "HR staff",
    "High skill tech staff",
    "IT staff",
    "Laborers",
    "Low-skill Laborers",
    "Managers",
    "Medicine staff",
    "Private service staff",
    "Realty agents",
    "Sales staff",
    "Secretaries",
    "Security staff",
    "Waiters/barmen staff",
]


def contract() -> "pa.DataFrameSchema":
    """Returns the schema of the raw file. It depends on today's date: no loan is in the future."""
    import pandera.polars as pa  # takes half a second, and a training does not need it

    today = datetime.now(UTC).date()
    between, one_of = pa.Check.in_range, pa.Check.isin
    whole, number, text, day = pl.Int64, pl.Float64, pl.String, pl.Date
    flag = pa.Column(whole, one_of([0, 1]))
    return pa.DataFrameSchema(
        {
            "loan_id": pa.Column(whole, pa.Check.ge(0), unique=True),
            "id": pa.Column(whole, pa.Check.ge(0)),
            "code_gender": pa.Column(text, one_of(GENDERS), metadata=ONE),
            "flag_own_car": pa.Column(text, one_of(YES_NO), nullable=True),
            "flag_own_realty": pa.Column(text, one_of(YES_NO)),
            "cnt_children": pa.Column(whole, between(0, 30)),
            "amt_income_total": pa.Column(number, between(0, 1e8, include_min=False)),
            "name_income_type": pa.Column(text, one_of(INCOME_TYPES)),
            "name_education_type": pa.Column(text, one_of(EDUCATION_TYPES)),
            "name_family_status": pa.Column(text, one_of(FAMILY_STATUSES)),
            "name_housing_type": pa.Column(text, one_of(HOUSING_TYPES)),
            "days_birth": pa.Column(whole, between(-50_000, 0), nullable=True, required=False),
            "days_employed": pa.Column(whole, _days_employed(pa), nullable=True, required=False),
            "flag_mobil": flag,
            "flag_work_phone": flag,
            "flag_phone": flag,
            "flag_email": flag,
            "occupation_type": pa.Column(text, one_of(OCCUPATIONS), nullable=True),
            "cnt_fam_members": pa.Column(number, between(1, 32)),
            "status": pa.Column(whole, one_of([0, 1])),
            "birthday": pa.Column(day, between(FIRST_BIRTH, today), metadata=ONE),
            "job_start_date": pa.Column(day, _job_start(pa), nullable=True),
            "loan_date": pa.Column(day, between(FIRST_LOAN, today)),
            "loan_amount": pa.Column(number, between(0, 1e7, include_min=False)),
        },
        checks=[
            _rows(pa, "born after the loan", pl.col("birthday") <= pl.col("loan_date")),
            _rows(pa, "employed before birth", pl.col("birthday") < pl.col("job_start_date")),
            *_warnings(pa),
        ],
    )


def _days_employed(pa: Any) -> Any:
    days = pl.col("days_employed")
    return _rows(
        pa, "neither days nor the sentinel", days.is_between(-50_000, 0) | (days == NO_JOB_DAYS)
    )


def _job_start(pa: Any) -> Any:
    start = pl.col("job_start_date")
    valid = start.is_between(FIRST_BIRTH, LAST_START) | (start == NO_JOB)
    return _rows(pa, "neither a date nor the sentinel", valid)


def _warnings(pa: Any) -> list[Any]:
    """Returns checks of what is unusual but not a fault: it is counted and reported, and the row passes.

    A granted loan has to stay, or the next one's number of previous loans would be wrong.
    """
    start, loan = pl.col("job_start_date"), pl.col("loan_date")
    since_birth, since_start = (_days(name) for name in ("birthday", "job_start_date"))
    return [
        _rows(pa, "the job starts after the loan", (start <= loan) | (start == NO_JOB), warn=True),
        _rows(pa, "no job: the sentinel date", start != NO_JOB, warn=True),
        _rows(
            pa,
            "no more family members than children",
            pl.col("cnt_fam_members") > pl.col("cnt_children"),
            warn=True,
        ),
        _rows(pa, "days_birth is not the birthday", since_birth == pl.col("days_birth"), warn=True),
        _rows(
            pa,
            "days_employed is not the start of the job",
            since_start == pl.col("days_employed"),
            warn=True,
        ),
    ]


def _days(name: str) -> pl.Expr:
    """Returns the days from the export to a date; negative before it."""
    return (pl.col(name) - pl.lit(TAKEN)).dt.total_days()


def _rows(pa: Any, fault: str, passes: pl.Expr, *, warn: bool = False) -> Any:
    """Returns a check of each row: the expression is true, or null, if the row passes."""
    return pa.Check(
        lambda data: data.lazyframe.select(passes), name=fault, error=fault, raise_warning=warn
    )
