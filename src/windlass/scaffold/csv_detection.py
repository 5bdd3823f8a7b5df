"""Detects how a CSV file is written: its encoding, its delimiter, and where its header is."""

import codecs
import csv
import io
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from windlass.errors import DataError, counted

DELIMITERS = {",": "a comma", ";": "a semicolon", "\t": "a tab", "|": "a vertical bar"}
_BLOCK = 1 << 20  # bytes
_SAMPLE = 1 << 16  # bytes of text that the encoding is detected by
_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),  # readers skip the mark
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
# western letters and signs, which cp1252 has in common with many encodings that a detector proposes
_WESTERN = frozenset(
    "äöüÄÖÜßéèêëáàâãåçñíìîïóòôõøúùûýÿæœŒÉÈÊËÁÀÂÃÅÇÑÍÌÎÏÓÒÔÕØÚÙÛÝÆ"
    "\u20ac\xa3\xa7\xb0\xb2\xb3\xb5\xb7\xab\xbb\u201e\u201c\u201d\u2018\u2019\u2013\u2014\u2026\xae\xa9\u2122\xbf\xa1\xbd\xbc\xbe\xaa\xba\xb1\xd7\xa0"
)
_MANY = 0.9  # share of lines that must have as many cells as the header


@dataclass(frozen=True)
class CsvDialect:
    """How a CSV file is written; `reasons` say what was decided and why, `doubts` what may be wrong."""

    encoding: str
    delimiter: str
    reasons: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()


def detect_dialect(file: Path) -> CsvDialect:
    """Detect encoding and delimiter of a CSV file, and read its header.

    Raises DataError for a file that is empty, binary, has no header, or only one column.
    """
    with file.open("rb") as stream:
        head = stream.read(_BLOCK)
    if not head.strip():
        raise DataError(f"{file} is empty. It needs a line of column names, and rows below it.")
    encoding, reasons, doubts = _detect_encoding(file, head)
    text = codecs.getincrementaldecoder(encoding)("replace").decode(head).lstrip("\ufeff")
    if "\0" in text:
        raise DataError(f"{file} is not text. Name a CSV, Parquet or Excel file.")
    delimiter = _detect_delimiter(file, text, is_whole=len(head) < _BLOCK)
    if delimiter != ",":
        reasons.append(f"cells are separated by {DELIMITERS[delimiter]}")
    return CsvDialect(encoding, delimiter, tuple(reasons), tuple(doubts))


def _detect_encoding(file: Path, head: bytes) -> tuple[str, list[str], list[str]]:
    """The codec, why, and what is uncertain about it."""
    for mark, encoding in _BOMS:
        if head.startswith(mark):
            note = "" if encoding == "utf-8" else f"the text is {encoding}, as its first bytes say"
            return encoding, [note] if note else [], []
    lines = _read_letters(file)
    if lines.unreadable is None:
        return "utf-8", [], []
    if lines.utf8 > lines.other:
        raise DataError(
            f"{file} is UTF-8, but line {lines.number} of it is not UTF-8. Save the whole file in one encoding."
        )
    encoding = _guess_encoding(lines.unreadable)
    example = _example(lines.unreadable, encoding)
    doubt = f"the text is not UTF-8 and was read as {encoding}: is this right? {example}"
    return encoding, [f"the text is {encoding}"], [doubt]


@dataclass
class _Letters:
    """Lines with letters beyond ASCII: how many are UTF-8 and are not, some of these, and the number of the first."""

    utf8: int = 0
    other: int = 0
    unreadable: bytes | None = None
    number: int = 0


def _read_letters(file: Path) -> _Letters:
    letters, sample, size = _Letters(), [], 0
    with file.open("rb") as stream:
        for number, line in enumerate(stream, 1):
            if line.isascii():
                continue
            if _is_utf8(line):
                letters.utf8 += 1
                continue
            letters.other += 1
            letters.number = letters.number or number
            if size < _SAMPLE:
                sample.append(line[:_SAMPLE])
                size += len(line)
    letters.unreadable = b"".join(sample) or None
    return letters


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True


def _guess_encoding(sample: bytes) -> str:
    """cp1252 where it gives western letters only; else what charset-normalizer finds most likely."""
    try:
        western = sample.decode("cp1252")
    except UnicodeDecodeError:
        western = ""
    foreign = {char for char in western if ord(char) > 127} - _WESTERN
    if western and not foreign:
        return "cp1252"
    from charset_normalizer import from_bytes

    best = from_bytes(sample).best()
    return "cp1252" if best is None else best.encoding


def _example(lines: bytes, encoding: str) -> str:
    """A word of the text that is not ASCII, as it was read."""
    words = re.split(r"[\s;,|]+", lines.decode(encoding, "replace"))
    strange = [word.strip("\"'") for word in words if not word.isascii()]
    return f"It holds {strange[0][:40]!r}." if strange else ""


def _detect_delimiter(file: Path, text: str, *, is_whole: bool) -> str:
    """The delimiter by which most lines have as many cells as the first."""
    best: tuple[float, int] = (0.0, 0)
    choice: tuple[str, list[str]] | None = None
    for delimiter in DELIMITERS:
        rows = _parse(text, delimiter, is_whole=is_whole)
        width = len(rows[0]) if rows else 0
        if width < 2:
            continue
        share = sum(len(row) == width for row in rows) / len(rows)
        if (round(share, 1), width) > best:
            best, choice = (round(share, 1), width), (delimiter, rows[0])
    first = text.lstrip("\r\n").splitlines()[0]
    if choice is None or best[0] < _MANY:
        _require_header_first(file, text, first, is_whole=is_whole)
    if choice is None:
        raise DataError(
            f"{file} seems to have one column: its first line, {first[:60]!r}, has no comma, semicolon, tab or"
            " vertical bar between cells. Save it with one of these, names in the first line."
        )
    _require_names(file, choice[1])
    return choice[0]


def _parse(text: str, delimiter: str, *, is_whole: bool) -> list[list[str]]:
    """The rows of a text that are not blank, without the last where the text was cut."""
    try:
        rows = [
            row for row in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter) if row
        ]
    except csv.Error:  # such as a cell of more than 128 KiB, where a quote stays open
        return []
    return rows if is_whole or len(rows) < 2 else rows[:-1]


def _require_header_first(file: Path, text: str, first: str, *, is_whole: bool) -> None:
    """Raise DataError where lines above the header, such as a title, hide it."""
    if first.lower().startswith("sep="):
        raise DataError(
            f"The first line of {file} is {first!r}, a hint for Excel. Delete this line, so that the column"
            " names come first."
        )
    for delimiter in DELIMITERS:
        rows = _parse(text, delimiter, is_whole=is_whole)
        if len(rows) < 3:
            continue
        width, count = Counter(map(len, rows)).most_common(1)[0]
        if width > 1 and count / len(rows) >= _MANY and len(rows[0]) != width:
            raise DataError(
                f"The first line of {file} has {counted(len(rows[0]), 'cell')}, and most lines have {width}. The"
                " first line must name the columns: delete what is above it."
            )


def _require_names(file: Path, header: list[str]) -> None:
    """Raise DataError where the first line holds values, not names."""
    if all(_is_number(cell) for cell in header):
        raise DataError(
            f"The first line of {file} holds numbers, and no names of columns. Add a line with the names."
        )


def _is_number(cell: str) -> bool:
    try:
        float(cell.strip().replace(",", ".") or "x")
    except ValueError:
        return False
    return True
