"""Who was erased, remembered without being named: salted hashes, so that no later build brings them back."""

import json
import re
from collections.abc import Iterable
from hashlib import blake2b
from pathlib import Path
from secrets import token_hex

import polars as pl

from windlass.core.digest import pretty
from windlass.core.files import flush, part_prefix, remove_stale
from windlass.errors import FeatureError

_FILE = "erased.json"
_NUMBER = re.compile(r"-?(?<!\d)\d{1,20}(?!\d)")  # no id of 64 bits has more digits
_EXACT = 2**53  # up to here a float is one whole number and no other


class ErasedEntities:
    """The entities that were erased from one offline store, as hashes."""

    def __init__(self, salt: str, hashes: frozenset[str]) -> None:
        self._salt = salt
        self._hashes = hashes

    @classmethod
    def read(cls, folder: Path) -> "ErasedEntities":
        """Those remembered in a folder; none where nothing is. Raises FeatureError where it cannot be read."""
        file = folder / _FILE
        try:
            kept = json.loads(file.read_bytes())
            bytes.fromhex(kept["salt"])
            return cls(kept["salt"], frozenset(kept["hashes"]))
        except FileNotFoundError:
            return cls(token_hex(16), frozenset())
        except (ValueError, KeyError, TypeError) as error:
            raise FeatureError(
                f"{file} does not tell who was erased. Restore it from a copy, or remove it and erase them again."
            ) from error

    @classmethod
    def of(cls, snapshot: Path) -> "ErasedEntities":
        """Those of the offline store that the folder of a snapshot lies in. Raises FeatureError as `read` does."""
        return cls.read(snapshot.parent.parent)

    def remember(self, folder: Path, entity: int) -> None:
        """Have the folder remember one more, until it is forgotten."""
        self._keep(folder, self._hashes | {self._hash(entity)})

    def forget(self, folder: Path, entity: int) -> bool:
        """Have the folder remember one no more. False where it is not one of them."""
        if self._hash(entity) not in self._hashes:
            return False
        self._keep(folder, self._hashes - {self._hash(entity)})
        return True

    def _keep(self, folder: Path, hashes: frozenset[str]) -> None:
        remove_stale(folder / _FILE)
        part = folder / f"{part_prefix(folder / _FILE)}part"
        part.write_bytes(pretty({"salt": self._salt, "hashes": sorted(hashes)}))
        flush(part)
        part.replace(folder / _FILE)
        flush(folder)

    def among(self, entities: pl.Series) -> list[int]:
        """Those of the entities that were erased."""
        if not self._hashes:
            return []
        return [one for one in entities.unique().to_list() if self._hash(one) in self._hashes]

    def mentions(self, text: str | None) -> bool:
        """Whether a raw cell names one that was erased, be it written amiss."""
        return bool(self._hashes) and any(
            self._hash(one) in self._hashes for one in numbers_in(text)
        )

    def _hash(self, entity: int) -> str:
        return blake2b(
            str(entity).encode(), key=bytes.fromhex(self._salt), digest_size=16
        ).hexdigest()


def numbers_in(text: str | None) -> Iterable[int]:
    """The whole numbers in a raw cell: `0012`, `12.0`, `1.2e1`, `1 2` and `12x` all may mean 12."""
    found = {int(one) for one in _NUMBER.findall(text or "")} | _as_one(text or "")
    return {number for one in found for number in (one, abs(one))}


def _as_one(text: str) -> set[int]:
    """The number that a cell is as a whole, with spaces and exponent; none where it is no whole number."""
    try:
        value = float("".join(text.split()))
    except ValueError:
        return set()
    return {int(value)} if abs(value) <= _EXACT and value.is_integer() else set()
