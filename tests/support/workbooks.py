"""Excel files for tests, written without a package for it: one sheet of texts, numbers, booleans and dates."""

from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape
from zipfile import ZipFile

_MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_DOCUMENT = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006"
_TYPES = f"""<Types xmlns="{_PACKAGE}/content-types">
<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>
<Default Extension="xml" ContentType="application/xml"/>
<Override PartName="/xl/workbook.xml"
 ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml"/>
<Override PartName="/xl/worksheets/sheet1.xml"
 ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.worksheet+xml"/></Types>"""
_WORKBOOK = f"""<workbook xmlns="{_MAIN}" xmlns:r="{_DOCUMENT}">
<sheets><sheet name="Rows" sheetId="1" r:id="r1"/></sheets></workbook>"""


def write_workbook(path: Path, rows: Sequence[Sequence[Any]]) -> Path:
    """Writes rows of cells as the only sheet of an .xlsx file; returns its path. None is an empty cell."""
    lines = [
        f'<row r="{number}">{"".join(_cell(number, at, cell) for at, cell in enumerate(row))}</row>'
        for number, row in enumerate(rows, 1)
    ]
    sheet = f'<worksheet xmlns="{_MAIN}"><sheetData>{"".join(lines)}</sheetData></worksheet>'
    with ZipFile(path, "w") as file:
        file.writestr("[Content_Types].xml", _TYPES)
        file.writestr("_rels/.rels", _relationships("officeDocument", "xl/workbook.xml"))
        file.writestr("xl/workbook.xml", _WORKBOOK)
        file.writestr(
            "xl/_rels/workbook.xml.rels", _relationships("worksheet", "worksheets/sheet1.xml")
        )
        file.writestr("xl/worksheets/sheet1.xml", sheet)
    return path


def _relationships(kind: str, target: str) -> str:
    relationship = f'<Relationship Id="r1" Type="{_DOCUMENT}/{kind}" Target="{target}"/>'
    return f'<Relationships xmlns="{_PACKAGE}/relationships">{relationship}</Relationships>'


def _cell(row: int, at: int, cell: Any) -> str:
    position = f'r="{chr(ord("A") + at)}{row}"'
    if cell is None:
        return ""
    if isinstance(cell, bool):
        return f'<c {position} t="b"><v>{int(cell)}</v></c>'
    if isinstance(cell, int | float):
        return f"<c {position}><v>{cell}</v></c>"
    if isinstance(cell, date):
        return f'<c {position} t="d"><v>{cell.isoformat()}T00:00:00</v></c>'
    return f'<c {position} t="inlineStr"><is><t>{escape(cell)}</t></is></c>'
