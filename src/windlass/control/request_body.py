"""Reads JSON bodies and query parameters of control, within limits, and validates them with JSON Schema."""

from collections.abc import Collection, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

import orjson

from windlass.control.error_mapping import fault, unprocessable
from windlass.core.json_members import RepeatedMemberError, require_single_members
from windlass.errors import Fault
from windlass.web.messages import Request
from windlass.web.problems import malformed, unsupported

if TYPE_CHECKING:
    from jsonschema_rs import ValidationError

Json = dict[str, Any]

MAX_BODY = 64 << 10  # bytes
MAX_FAULTS = 100  # in one response
_TYPE = "application/json"  # a page of another site may send any other type, or none, without being asked


async def read_json(request: Request) -> Any:
    """Returns the parsed body. Raises Problem 400, 413 or 415."""
    if request.media_type() != _TYPE:
        raise unsupported([_TYPE])
    body = await request.body(MAX_BODY)
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise malformed("The body is not valid JSON.") from None
    try:
        require_single_members(body)
    except (RepeatedMemberError, RecursionError):
        raise malformed(
            "An object of the body has a member twice, or is nested too deeply."
        ) from None
    return value


class BodySchema:
    """Validates bodies with a JSON Schema; its messages never repeat what the body holds, but for declared names.

    `messages` has the message for text that does not match a pattern of the schema, by pattern. `names` are fields
    that are declared elsewhere: where one is not allowed, it is named.
    """

    def __init__(
        self,
        schema: Json,
        messages: Mapping[str, str] | None = None,
        names: Collection[str] = (),
    ) -> None:
        self.schema = schema
        self._messages = messages or {}
        self._names = names

    @cached_property
    def _validator(self) -> Any:
        import jsonschema_rs  # imported by control alone

        return jsonschema_rs.Draft202012Validator(self.schema, mask="the value", offline=True)

    def faults(self, value: object) -> list[Fault]:
        """Returns what is not valid, field by field, at most MAX_FAULTS."""
        faults: list[Fault] = []
        for error in self._validator.iter_errors(value):
            faults += self._faults_of(error)
            if len(faults) >= MAX_FAULTS:
                break
        return faults[:MAX_FAULTS]

    def validate(self, value: object) -> Json:
        """Returns the value, where it is a valid object. Raises Problem 422."""
        faults = self.faults(value)
        if faults or not isinstance(value, dict):
            raise unprocessable(faults)
        return value

    def _faults_of(self, error: "ValidationError") -> list[Fault]:
        kind = error.kind.as_dict()
        path = list(error.instance_path)
        if error.kind.name == "additionalProperties":
            return self._unknown_fields(path, kind["unexpected"])
        if error.kind.name == "required":
            return [_fault([*path, kind["property"]], "This field is required.")]
        is_pattern = error.kind.name == "pattern"
        message = self._messages.get(kind["pattern"]) if is_pattern else None
        return [_fault(path, f"{_sentence(error) if message is None else message}.")]

    def _unknown_fields(self, path: list[str | int], fields: Collection[str]) -> list[Fault]:
        named = [name for name in fields if name in self._names]
        faults = [_fault([*path, name], "Unknown field.") for name in named]
        if len(named) < len(fields):
            declared = "" if path else f" The fields are: {', '.join(self.schema['properties'])}."
            faults.append(_fault(path, f"There is an unknown field.{declared}"))
        return faults


def _sentence(error: "ValidationError") -> str:
    """Returns the message of an error; of alternatives, all but null: `The value is not of type "integer"`."""
    if error.kind.name in ("anyOf", "oneOf"):
        errors = [nested for branch in error.kind.as_dict()["context"] for nested in branch]
        null = 'the value is not of type "null"'
        messages = [_sentence(nested) for nested in errors if nested.message != null]
        if messages:
            return ", or ".join(dict.fromkeys(messages[:4]))
    if error.kind.name == "additionalProperties":  # whose message names them
        return "There is an unknown field"
    message: str = error.message
    return message[0].upper() + message[1:200]


def _fault(path: list[str | int], message: str) -> Fault:
    return fault(path[0], message, *path[1:]) if path else {"loc": [], "msg": message}


def whole_number(query: Mapping[str, str], name: str, default: int, maximum: int) -> int:
    """Returns a query parameter from 1 to `maximum`. Raises Problem 422."""
    text = query.get(name, str(default))
    if not (text.isascii() and text.isdecimal() and len(text) < 9 and 1 <= int(text) <= maximum):
        raise unprocessable([fault(name, f"Give a whole number from 1 to {maximum}.")])
    return int(text)


def choice(query: Mapping[str, str], name: str, choices: list[str]) -> str | None:
    """Returns a query parameter that is one of `choices`; None where it was not sent. Raises Problem 422."""
    text = query.get(name)
    if text is not None and text not in choices:
        raise unprocessable([fault(name, f"Use one of: {', '.join(choices)}.")])
    return text
