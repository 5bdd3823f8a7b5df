"""Forms of texts in tables: spellings of missing values and booleans, dates and times, units in column names."""

import re
from datetime import date
from typing import Any

import pyarrow.compute as pc

# spellings of a missing value in any column, in lower case
MISSING = (
    "",
    "na",
    "n/a",
    "#n/a",
    "#na",
    "#n/a n/a",
    "<na>",
    "nan",
    "-nan",
    "null",
    "(null)",
    "#null!",
    "?",
    "n.a.",
    "nil",
)
# further ones between numbers or dates; in a column of words they may be words
MISSING_NUMBERS = frozenset(
    {
        *MISSING, "-", "--", "---", ".", "..", "*", "none", "unknown", "missing", "not available", "not applicable",
        "n/d", "nd", "tbd", "inf", "-inf", "+inf", "infinity", "-infinity", "#div/0!", "#value!", "#ref!", "#num!",
    }
)  # fmt: skip
BOOLEANS = ({"true", "false"}, {"yes", "no"}, {"t", "f"}, {"y", "n"}, {"on", "off"})

ISO_MIDNIGHT = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}([T ]00:00(:00([.]0+)?)?)?$"
_CLOCK = r"[0-9]{2}:[0-9]{2}(:[0-9]{2}([.][0-9]+)?)?"
ISO_TIMESTAMP = rf"^[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}[T ]{_CLOCK}([Zz]|[+-][0-9]{{2}}:?[0-9]{{2}})?$"
OFFSET = r"([Zz]|[+-][0-9]{2}:?[0-9]{2})$"
_TIME = r"([T ,]+[0-9]{1,2}:[0-9]{2}(:[0-9]{2}([.][0-9]+)?)?( ?[AaPp][.]?[Mm][.]?)?)?$"
_OTHER_DATES = (
    r"^[0-9]{1,2}[/.-][0-9]{1,2}[/.-]([0-9]{4}|[0-9]{2})" + _TIME,
    r"^[0-9]{4}[/.-][0-9]{1,2}[/.-][0-9]{1,2}" + _TIME,
    r"^[0-9]{1,2}[. -]*[A-Za-zÀ-ÿ]{3,9}[., -]*([0-9]{4}|[0-9]{2})" + _TIME,
    r"^([A-Za-z]{3,9}, )?[A-Za-zÀ-ÿ]{3,9}[. ]+[0-9]{1,2},? [0-9]{4}" + _TIME,
)
_UNIT = re.compile(r"^(?P<name>.*\S)\s*[(\[](?P<unit>[^()\[\]]{1,12})[)\]]$")


def is_calendar_date(text: str) -> bool:
    """Whether the first ten characters are a date of the calendar; the 30th of February is not."""
    try:
        date.fromisoformat(text[:10])
    except ValueError:
        return False
    return True


def describe_other_date(texts: Any) -> str | None:
    """Return why a column of dates in another form than YYYY-MM-DD is left out; None where it is not of dates."""
    for pattern in _OTHER_DATES:
        if pc.all(pc.match_substring_regex(texts, pattern), min_count=0).as_py():
            example = texts[0].as_py()
            return (
                f"its dates, such as {example[:40]!r}, are not written YYYY-MM-DD, the only"
                " form that can be read in one way"
            )
    return None


def find_unit(name: str) -> tuple[str, str | None]:
    """Return the name of a column and its unit: `Weight (kg)` is a weight in kg."""
    match = _UNIT.match(name.strip())
    return (match["name"], match["unit"]) if match else (name, None)


def find_words(name: str) -> str:
    """Return the name of a column in words: `totalCharges` and `total_charges` are "Total charges"."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", find_unit(name)[0])
    words = re.split(r"[\W_]+", spaced)
    lowered = [word if word.isupper() and len(word) > 1 else word.lower() for word in words if word]
    text = " ".join(lowered)
    return text[:1].upper() + text[1:]
