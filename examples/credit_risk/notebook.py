"""The five features as the data scientist's notebook computed them, for benchmarks and comparisons.

A rewrite of its logic in pandas, with its faults, which the README names. Nothing else of the project uses it.
"""

import pandas as pd

FEATURES = [
    "nb_previous_loans",
    "avg_amount_loans_previous",
    "age",
    "years_on_the_job",
    "flag_own_car",
]


def notebook_features(frame: pd.DataFrame, today: pd.Timestamp | None = None) -> pd.DataFrame:
    """Returns the five features of every loan of the raw file, sorted by client and date. Ages are those of `today`."""
    df = frame.sort_values(by=["id", "loan_date"]).reset_index(drop=True)
    df["loan_date"] = pd.to_datetime(df["loan_date"])

    # loans before this one; loans of one day are in the arbitrary order of the sort
    df["nb_previous_loans"] = df.groupby("id")["loan_date"].rank(method="first") - 1

    # their average amount; the notebook used `apply`, whose index no longer aligns; `transform` gives the same values
    df["avg_amount_loans_previous"] = df.groupby("id")["loan_amount"].transform(
        lambda amounts: amounts.shift().expanding().mean()
    )

    # on the day on which the notebook runs, not on the day of the loan, in years of 365 days
    today = today or pd.Timestamp.today().normalize()
    df["birthday"] = pd.to_datetime(df["birthday"], errors="coerce")
    df["age"] = (today - df["birthday"]).dt.days // 365

    # the same; the sentinel of the year 3021 makes it about -1000
    df["job_start_date"] = pd.to_datetime(df["job_start_date"], errors="coerce")
    df["years_on_the_job"] = (today - df["job_start_date"]).dt.days // 365

    # a missing answer counts as owning a car
    df["flag_own_car"] = df["flag_own_car"].apply(lambda flag: 0 if flag == "N" else 1)

    return df[["loan_id", "id", "loan_date", *FEATURES]]
