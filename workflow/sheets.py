"""Sheets for people: rows as CSV that French Excel opens, and as XLSX. What people wrote is text, never a formula."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import xlsxwriter

Cell = str | int | float | datetime | date | None
Row = Sequence[Cell]
BOM = "\ufeff"
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
MAX_ROWS = 1_048_576
"""The rows of a sheet; more of them go to another."""
MAX_CELL = 32_767
ZONE = ZoneInfo("Europe/Paris")
_DAY, _INSTANT = "dd/mm/yyyy", "dd/mm/yyyy hh:mm"


def harmless(cell: str) -> str:
    """A cell that no sheet takes for a formula: what begins like one is preceded by an apostrophe."""
    return f"'{cell}" if cell.startswith(FORMULA) else cell


def as_csv(rows: Iterable[Row]) -> Iterator[str]:
    """Lines for French Excel: semicolons, a mark that says UTF-8, decimal commas, instants of Paris."""
    out = io.StringIO()
    writer = csv.writer(out, delimiter=";", lineterminator="\r\n")
    out.write(BOM)
    for row in rows:
        writer.writerow([_said(cell) for cell in row])
        yield out.getvalue()
        out.seek(0)
        out.truncate()


def _said(cell: Cell) -> str | int:
    if isinstance(cell, str):
        return harmless(cell)
    if isinstance(cell, datetime):
        return f"{cell.astimezone(ZONE):%d/%m/%Y %H:%M}"
    if isinstance(cell, date):
        return f"{cell:%d/%m/%Y}"
    if isinstance(cell, float):
        return f"{cell:.4f}".replace(".", ",")
    return "" if cell is None else cell


class Book:
    """An XLSX book written row by row: each row leaves memory when the next one comes. `sheets`: names and headers. With
    `created`, the same rows are the same bytes whenever they are written.
    """

    def __init__(self, path: Path, sheets: Mapping[str, Sequence[str]], *, created: datetime | None = None) -> None:
        options = {
            "constant_memory": True, "strings_to_formulas": False, "strings_to_urls": False, "strings_to_numbers": False,
            "tmpdir": str(path.parent),
        }  # fmt: skip
        self._book: Any = xlsxwriter.Workbook(str(path), options)
        if created is not None:
            self._book.set_properties({"created": created.astimezone(UTC).replace(tzinfo=None)})
        self._bold = self._book.add_format({"bold": True})
        self._formats = {
            True: self._book.add_format({"num_format": _INSTANT}),
            False: self._book.add_format({"num_format": _DAY}),
        }
        self._headers = sheets
        self._open: dict[str, tuple[Any, int, int]] = {}
        for name in sheets:
            self._begin(name, 1)

    def _begin(self, name: str, number: int) -> None:
        sheet = self._book.add_worksheet(name if number == 1 else f"{name} {number}")
        sheet.freeze_panes(1, 0)
        for column, header in enumerate(self._headers[name]):
            sheet.set_column(column, column, max(12, len(header) + 2))
            sheet.write_string(0, column, header, self._bold)
        self._open[name] = sheet, 1, number

    def add(self, name: str, row: Row) -> None:
        """Write one row at the end of a sheet, each cell by its type."""
        sheet, place, number = self._open[name]
        if place == MAX_ROWS:
            self._begin(name, number + 1)
            sheet, place, number = self._open[name]
        for column, cell in enumerate(row):
            self._write(sheet, place, column, cell)
        self._open[name] = sheet, place + 1, number

    def _write(self, sheet: Any, place: int, column: int, cell: Cell) -> None:
        if isinstance(cell, str):
            sheet.write_string(place, column, cell[:MAX_CELL])
        elif isinstance(cell, datetime):
            local = cell.astimezone(ZONE).replace(tzinfo=None)
            sheet.write_datetime(place, column, local, self._formats[True])
        elif isinstance(cell, date):
            sheet.write_datetime(place, column, cell, self._formats[False])
        elif cell is not None:
            sheet.write_number(place, column, cell)

    def close(self) -> None:
        """Put the file together."""
        self._book.close()
