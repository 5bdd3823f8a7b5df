"""Ids of entities: integers, text, UUIDs, or several of them together; in Python, stores, URLs and commands."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import quote, unquote_to_bytes
from uuid import UUID

import orjson

from windlass.errors import IdError

IdType = Literal["integer", "text", "uuid"]
# an id of several columns is a tuple, in the order of the view's columns
EntityId = int | str | tuple[int | str, ...]
EntityKey = int | str  # what stores find an entity by

MIN_INTEGER, MAX_INTEGER = -(2**63), 2**63 - 1
MAX_TEXT_LENGTH = 512  # characters of an id
MAX_COLUMNS = 4
CONTROL_CHARACTERS = r"[\x00-\x1f\x7f]"

_INTEGER = re.compile(r"-?[0-9]{1,19}", re.ASCII).fullmatch
_find_surrogate = re.compile(r"[\ud800-\udfff]").search
_find_control_character = re.compile(CONTROL_CHARACTERS).search
# the forms that `UUID` reads, and no others: it drops hyphens wherever they are
_UUID = re.compile(
    r"(?:urn:uuid:)?\{?[0-9a-f]{8}(-?)[0-9a-f]{4}\1[0-9a-f]{4}\1[0-9a-f]{4}\1[0-9a-f]{12}\}?",
    re.ASCII | re.IGNORECASE,
).fullmatch

_CANONICAL_UUID = re.compile(
    r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.ASCII
).fullmatch

FAULTS: dict[IdType, str] = {
    "integer": "Input should be an integer of 64 bits",
    "text": f"Input should be text of 1 to {MAX_TEXT_LENGTH} characters without control characters",
    "uuid": "Input should be a UUID",
}


def entity_key(entity: EntityId) -> EntityKey:
    """Returns what a store finds an entity by: the id itself; of several columns, a JSON array of their values."""
    return orjson.dumps(entity).decode() if type(entity) is tuple else entity  # type: ignore[return-value]


def parse_uuid(text: str) -> str | None:
    """Returns a UUID in its canonical form, lower case with hyphens; None for other text."""
    return str(UUID(text)) if _UUID(text) else None


@dataclass(frozen=True)
class EntityIds:
    """Columns that identify an entity together, and the type of each."""

    columns: tuple[str, ...]
    types: tuple[IdType, ...]

    def check(self, entity: Any) -> EntityId:
        """Returns an id in its canonical form: of several columns from a tuple, a list or a mapping by column.

        Raises IdError.
        """
        if len(self.columns) == 1:
            if isinstance(entity, Mapping) and entity.keys() == {self.columns[0]}:
                entity = entity[self.columns[0]]
            return _checked(entity, self.columns[0], self.types[0])
        if isinstance(entity, Mapping):
            if entity.keys() != set(self.columns):
                raise self._wrong_columns()
            entity = [entity[name] for name in self.columns]
        if not isinstance(entity, tuple | list) or len(entity) != len(self.columns):
            raise self._wrong_columns()
        return tuple(map(_checked, entity, self.columns, self.types))

    def parse(self, texts: Sequence[str]) -> EntityId:
        """Returns the id that the texts of its columns say. Raises IdError."""
        if len(texts) != len(self.columns):
            raise self._wrong_columns()
        values = tuple(map(_parsed, texts, self.columns, self.types))
        return values if len(values) > 1 else values[0]

    def parse_segment(self, segment: str) -> EntityId:
        """Returns the id in a percent-encoded segment of a URL's path, where a comma separates columns.

        A comma, a slash or a percent sign in a value is encoded (%2C, %2F, %25). Raises IdError.
        """
        if len(self.columns) == 1 and self.types[0] == "integer" and _INTEGER(segment):
            return _checked(int(segment), self.columns[0], "integer")
        texts = segment.split(",") if len(self.columns) > 1 else [segment]
        try:
            return self.parse([unquote_to_bytes(text).decode() for text in texts])
        except UnicodeDecodeError:
            raise IdError(None, "The id in the path is not percent-encoded UTF-8") from None

    def segment(self, entity: EntityId) -> str:
        """Returns an id as a segment of a URL's path, which `parse_segment` reads."""
        values = entity if isinstance(entity, tuple) else (entity,)
        return ",".join(quote(str(value), safe="") for value in values)

    def fields(self, entity: EntityId) -> dict[str, int | str]:
        """Returns the values of an id by column."""
        if isinstance(entity, tuple):
            return dict(zip(self.columns, entity, strict=True))
        return {self.columns[0]: entity}

    def describe(self, entity: EntityId) -> str:
        """Returns an id with the names of its columns, for people."""
        return ", ".join(f"{name} {value}" for name, value in self.fields(entity).items())

    @property
    def form(self) -> str:
        """What an id is, for messages."""
        if len(self.columns) > 1:
            return ", ".join(
                f"{name} ({kind})" for name, kind in zip(self.columns, self.types, strict=True)
            )
        return {"integer": "an integer of 64 bits", "text": "text", "uuid": "a UUID"}[self.types[0]]

    def _wrong_columns(self) -> IdError:
        return IdError(None, f"An id has these columns, in this order: {self.form}")


def _checked(value: Any, column: str, kind: IdType) -> int | str:
    if kind == "text" and type(value) is str and value.isascii() and value.isprintable():
        if 1 <= len(value) <= MAX_TEXT_LENGTH:  # the usual case, first
            return value
    elif kind == "integer":
        number = value.__index__() if hasattr(value, "__index__") else None  # numpy's, too
        if number is not None and type(value) is not bool and MIN_INTEGER <= number <= MAX_INTEGER:
            return int(number)
    elif kind == "uuid":
        if type(value) is str and _CANONICAL_UUID(value):
            return value
        canonical = parse_uuid(value) if isinstance(value, str) else None
        if isinstance(value, UUID) or canonical is not None:
            return canonical or str(value)
    if kind == "text" and isinstance(value, str) and _is_text_id(value):
        return str(value)
    raise IdError(column, FAULTS[kind])


def _parsed(text: str, column: str, kind: IdType) -> int | str:
    if kind == "integer":
        return _checked(int(text) if _INTEGER(text) else None, column, kind)
    return _checked(text, column, kind)


def _is_text_id(text: str) -> bool:
    if not 1 <= len(text) <= MAX_TEXT_LENGTH or _find_control_character(text):
        return False
    return text.isascii() or not _find_surrogate(text)
