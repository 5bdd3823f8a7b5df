"""The ids of entities as requests carry them: 64-bit integers, one in the path or a list in the body."""

import re
from collections.abc import Sequence

from pydantic_core import SchemaValidator, ValidationError, core_schema

from windlass.core.validation import refusal
from windlass.errors import Fault
from windlass.serving.predict import refused
from windlass.web.exchange import Exchange
from windlass.web.problems import Problem

LEAST, MOST = -(2**63), 2**63 - 1
MOST_IDS = 10_000  # in one request

_INTEGER = re.compile(r"-?[0-9]{1,19}").fullmatch
_ID = core_schema.int_schema(strict=True, ge=LEAST, le=MOST)
IDS = core_schema.list_schema(_ID, min_length=1, max_length=MOST_IDS, strict=True, fail_fast=True)
_LIST = SchemaValidator(IDS)
_OBJECT = SchemaValidator(
    core_schema.typed_dict_schema(
        {"ids": core_schema.typed_dict_field(IDS)}, extra_behavior="forbid"
    )
)


def path_id(exchange: Exchange) -> int:
    """The id that the path names. Raises Problem 422."""
    text = exchange.arguments["id"]
    if _INTEGER(text):
        found = int(text)
        if LEAST <= found <= MOST:
            return found
    raise _unfit([{"loc": ["id"], "msg": "Input should be an integer of 64 bits"}])


def body_ids(body: bytes) -> list[int]:
    """The ids in a body: `{"ids": […]}`, or the list alone. Raises Problem 400 or 422."""
    try:
        if body.lstrip()[:1] == b"[":
            bare: list[int] = _LIST.validate_json(body)
            return bare
        named: dict[str, list[int]] = _OBJECT.validate_json(body)
        return named["ids"]
    except ValidationError as error:
        found = refusal(error)
    raise refused(found) if found.malformed else _unfit(found.faults)


def _unfit(faults: Sequence[Fault]) -> Problem:
    return Problem(422, "An id is an integer of 64 bits; see errors.", faults)
