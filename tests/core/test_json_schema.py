"""The row as JSON Schema: types, ranges, units and what may be missing."""

from datetime import date
from typing import Literal

from windlass import Row, column
from windlass.core.json_schema import json_schema
from windlass.core.row import read_row


class Loan(Row):
    """One application."""

    amount: float = column("Amount asked for", unit="EUR", gt=0, le=1e6, example=1000)
    years: int = column("Duration", ge=1)
    member: bool | None = column("Member of the club", default=None)
    since: date = column("Customer since", ge=date(2000, 1, 1))
    purpose: Literal["car", "house"] = column("Purpose")
    branch: str | None = column("Branch", max_length=8)


def test_every_kind_is_described_as_the_validator_holds_it() -> None:
    assert json_schema(read_row(Loan)) == {
        "type": "object",
        "title": "Loan",
        "description": "One application.",
        "additionalProperties": False,
        "required": ["amount", "years", "since", "purpose", "branch"],
        "properties": {
            "amount": {
                "type": "number",
                "exclusiveMinimum": 0.0,
                "maximum": 1e6,
                "description": "Amount asked for. Unit: EUR.",
                "x-unit": "EUR",
                "examples": [1000],
            },
            "years": {
                "type": "integer",
                "minimum": 1.0,
                "maximum": 2**53,
                "description": "Duration.",
            },
            "member": {
                "anyOf": [{"type": "boolean"}, {"type": "null"}],
                "description": "Member of the club.",
                "default": None,
            },
            "since": {
                "type": "string",
                "format": "date",
                "description": "Customer since. Allowed: from 2000-01-01.",
            },
            "purpose": {"type": "string", "enum": ["car", "house"], "description": "Purpose."},
            "branch": {
                "anyOf": [{"type": "string", "minLength": 1, "maxLength": 8}, {"type": "null"}],
                "description": "Branch.",
            },
        },
    }
