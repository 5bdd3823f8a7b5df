"""JSON bodies and query parameters of control, read within bounds and held against a JSON Schema."""

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

import orjson

from windlass.control.error_mapping import fault, unprocessable
from windlass.errors import Fault
from windlass.web.messages import Request
from windlass.web.problems import Problem, malformed, unsupported

if TYPE_CHECKING:
    from jsonschema_rs import ValidationError

Json = dict[str, Any]

MAX_BODY = 64 << 10  # bytes
MAX_FAULTS = 100  # that one answer names
_TYPES = ("application/json", "")  # a client that names no type gets the benefit of the doubt


async def read_json(request: Request) -> Any:
    """The body, parsed. Raises Problem 400, 413 or 415."""
    if request.media_type() not in _TYPES:
        raise unsupported(["application/json"])
    whole = request.max_body
    request.max_body = min(whole, MAX_BODY)
    try:
        body = await request.body()
    except Problem as problem:
        detail = f"The body is larger than {request.max_body} bytes."
        raise Problem(problem.status, detail, headers=problem.headers) from None
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        raise malformed("The body is not valid JSON.") from None


class BodySchema:
    """A JSON Schema that bodies are held against. What it says of them never repeats their values."""

    def __init__(self, schema: Json) -> None:
        self.schema = schema

    @cached_property
    def _validator(self) -> Any:
        import jsonschema_rs  # by those who control only

        return jsonschema_rs.Draft202012Validator(self.schema, mask="the value", offline=True)

    def faults(self, value: object) -> list[Fault]:
        """Everything that does not fit, field by field, within bounds."""
        found: list[Fault] = []
        for error in self._validator.iter_errors(value):
            found += _faults_of(error)
            if len(found) >= MAX_FAULTS:
                break
        return found[:MAX_FAULTS]

    def validate(self, value: object) -> Json:
        """The value, which is an object that fits. Raises Problem 422."""
        faults = self.faults(value)
        if faults or not isinstance(value, dict):
            raise unprocessable(faults)
        return value


def _faults_of(error: "ValidationError") -> list[Fault]:
    kind = error.kind.as_dict()
    where = list(error.instance_path)
    if error.kind.name == "additionalProperties":
        return [
            _fault([*where, name], "This field is not known here.") for name in kind["unexpected"]
        ]
    if error.kind.name == "required":
        return [_fault([*where, kind["property"]], "This field is required.")]
    return [_fault(where, f"{_sentence(error)}.")]


def _sentence(error: "ValidationError") -> str:
    """What is wrong, without the branches of a schema: `the value is not of type "integer" or "null"`."""
    if error.kind.name in ("anyOf", "oneOf"):
        branches = [one for branch in error.kind.as_dict()["context"] for one in branch]
        null = 'the value is not of type "null"'
        told = [_sentence(one) for one in branches if one.message != null]
        if told:
            return ", or ".join(dict.fromkeys(told[:4]))
    message: str = error.message
    return message[0].upper() + message[1:200]


def _fault(where: list[str | int], message: str) -> Fault:
    return fault(where[0], message, *where[1:]) if where else {"loc": [], "msg": message}


def whole_number(query: Mapping[str, str], name: str, default: int, most: int) -> int:
    """A query parameter from 1 to `most`. Raises Problem 422."""
    text = query.get(name, str(default))
    if not (text.isascii() and text.isdecimal() and len(text) < 9 and 1 <= int(text) <= most):
        raise unprocessable([fault(name, f"Give a whole number from 1 to {most}.")])
    return int(text)


def choice(query: Mapping[str, str], name: str, choices: list[str]) -> str | None:
    """A query parameter of these values, None where it was not given. Raises Problem 422."""
    text = query.get(name)
    if text is not None and text not in choices:
        raise unprocessable([fault(name, f"Use one of: {', '.join(choices)}.")])
    return text
