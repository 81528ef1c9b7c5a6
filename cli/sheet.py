"""A CSV file read whole and checked before anything is done with it; an error names its line and its column."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass

from cli.options import bytes_of
from states.errors import BadInput

MAX_BYTES = 20_000_000
MAX_ERRORS = 20


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a sheet: its number in the file, and its cells by column."""

    number: int
    cells: dict[str, str]


class SheetError(BadInput):
    """A file that is refused whole; `problems` lists every (line, column, sentence) found."""

    def __init__(self, name: str, problems: Sequence[tuple[int, str | None, str]]) -> None:
        self.problems = [
            {"file": name, "line": number, "column": column, "message": words} for number, column, words in problems
        ]
        shown = [
            f"ligne {number}" + (f", colonne {column}" if column else "") + f" : {words}"
            for number, column, words in problems[:MAX_ERRORS]
        ]
        if len(problems) == 1:
            message = f"{name}, {shown[0]}"
        else:
            more = [f"… et {len(problems) - MAX_ERRORS} autres"] if len(problems) > MAX_ERRORS else []
            message = f"{name} : {len(problems)} erreurs, rien n'a été écrit\n  " + "\n  ".join([*shown, *more])
        super().__init__("sheet", message)


def read(path: str, *, needed: Sequence[str], optional: Sequence[str] = (), option: str = "--file") -> list[Line]:
    """The lines of a CSV file (UTF-8; `,` or `;`; a header), empty ones left out. Raises SheetError, BadInput."""
    name, (first, header), rest = _parts(path, needed, option)
    _check_header(name, first, header, needed, optional)
    return _lines(name, header, rest)


def read_any(path: str, *, option: str, expected: Sequence[str]) -> tuple[str, list[str], list[Line]]:
    """The same of a file whose columns are not ours: its name, its header, its lines. Raises SheetError, BadInput."""
    csv.field_size_limit(MAX_BYTES)  # an outline of a territory is a cell of a million signs
    name, (_, header), rest = _parts(path, expected, option)
    return name, header, _lines(name, header, rest)


def _parts(
    path: str, needed: Sequence[str], option: str
) -> tuple[str, tuple[int, list[str]], list[tuple[int, list[str]]]]:
    name = "entrée" if path == "-" else path.rpartition("/")[2]
    rows = _rows(name, _decoded(name, bytes_of(option, path, MAX_BYTES)))
    if not rows:
        raise SheetError(
            name,
            [(1, None, f"le fichier est vide ; accepté : un en-tête {','.join(needed)} puis une ligne par élément")],
        )
    (first, header), *rest = rows
    return name, (first, [cell.strip() for cell in header]), rest


def _lines(name: str, header: Sequence[str], rest: Sequence[tuple[int, list[str]]]) -> list[Line]:
    wrong = [
        (
            number,
            None,
            f"{len(cells)} colonnes, l'en-tête en annonce {len(header)}"
            + (" : la ligne est incomplète" if len(cells) < len(header) else ""),
        )
        for number, cells in rest
        if len(cells) != len(header)
    ]
    if wrong:
        raise SheetError(name, wrong)
    return [Line(number, dict(zip(header, (cell.strip() for cell in cells), strict=True))) for number, cells in rest]


def _decoded(name: str, body: bytes) -> str:
    try:
        words = body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        number = body[: error.start].count(b"\n") + 1
        raise SheetError(
            name, [(number, None, "le texte n'est pas en UTF-8 ; accepté : un fichier enregistré en « CSV UTF-8 »")]
        ) from None
    if "\x00" in words:
        number = words[: words.index("\x00")].count("\n") + 1
        raise SheetError(
            name, [(number, None, "caractère interdit U+0000 ; accepté : du texte UTF-8 sans caractère de contrôle")]
        )
    if words.strip() and not words.endswith(("\n", "\r")):
        number = words.count("\n") + 1
        sentence = "le fichier s'arrête sans fin de ligne : il est peut-être coupé ; accepté : un fichier entier, fini par un retour à la ligne"
        raise SheetError(name, [(number, None, sentence)])
    return words


def _rows(name: str, words: str) -> list[tuple[int, list[str]]]:
    """(line where it begins, cells) of every line that is not empty."""
    head = words.partition("\n")[0]
    reader = csv.reader(
        io.StringIO(words, newline=""), delimiter=";" if head.count(";") > head.count(",") else ",", strict=True
    )
    rows: list[tuple[int, list[str]]] = []
    begins = 1
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                rows.append((begins, cells))
            begins = reader.line_num + 1
    except csv.Error as error:
        unclosed = "unexpected end of data" in str(error)
        sentence = (
            "un guillemet ouvert n'est jamais refermé : le fichier est peut-être coupé"
            if unclosed
            else f"CSV illisible ({error})"
        )
        raise SheetError(name, [(begins, None, sentence)]) from None
    return rows


def _check_header(
    name: str, number: int, header: Sequence[str], needed: Sequence[str], optional: Sequence[str]
) -> None:
    known = (*needed, *optional)
    problems: list[tuple[int, str | None, str]] = [
        (number, column, "colonne obligatoire et absente de l'en-tête") for column in needed if column not in header
    ]
    problems += [
        (number, column or "(sans nom)", f"colonne inconnue ; accepté : {', '.join(known)}")
        for column in header
        if column not in known
    ]
    problems += [
        (number, column, "colonne donnée deux fois") for column in dict.fromkeys(header) if header.count(column) > 1
    ]
    if problems:
        raise SheetError(name, problems)
