"""Which files are let in: by their name and by their content, which must agree. Nothing is ever unpacked.

What a reader opens by a double click must be what its name says: a program under another name, an archive, a page with
scripts, a document with macros, and a file that is two things at once are refused. An antivirus looks for the rest.
"""

from __future__ import annotations

import codecs
import re
import zipfile
from dataclasses import dataclass
from pathlib import Path

from states.errors import BadInput, shown

FIELD = "file"
LONGEST_NAME, LONGEST_BYTES = 150, 200
HEAD, TAIL = 4096, 4096
MOST_ENTRIES, MOST_UNPACKED = 5_000, 1_000_000_000
MOST_RATIO = 200
"""A document of an office suite says how much it would unpack to: more than this many times its size is a bomb."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of file that is let in: what names end in, what it is served as, how it is recognised."""

    suffixes: tuple[str, ...]
    type: str
    family: str


_OOXML = "application/vnd.openxmlformats-officedocument."
_ODF = "application/vnd.oasis.opendocument."
KINDS = (
    Kind((".pdf",), "application/pdf", "pdf"),
    Kind((".jpg", ".jpeg"), "image/jpeg", "jpeg"),
    Kind((".png",), "image/png", "png"),
    Kind((".tif", ".tiff"), "image/tiff", "tiff"),
    Kind((".odt",), _ODF + "text", "odf"),
    Kind((".ods",), _ODF + "spreadsheet", "odf"),
    Kind((".odp",), _ODF + "presentation", "odf"),
    Kind((".docx",), _OOXML + "wordprocessingml.document", "ooxml"),
    Kind((".xlsx",), _OOXML + "spreadsheetml.sheet", "ooxml"),
    Kind((".pptx",), _OOXML + "presentationml.presentation", "ooxml"),
    Kind((".txt",), "text/plain", "text"),
    Kind((".csv",), "text/csv", "text"),
)
SUFFIXES = ",".join(suffix for kind in KINDS for suffix in kind.suffixes)
"""What a browser is told to offer; a telephone then turns its own kind of photograph into one of these."""
ACCEPTED = SUFFIXES.replace(".", "").replace(",", ", ")
_PARTS = {".docx": "word/document.xml", ".xlsx": "xl/workbook.xml", ".pptx": "ppt/presentation.xml"}
_MAGIC = {
    "pdf": b"%PDF-", "jpeg": b"\xff\xd8\xff", "png": b"\x89PNG\r\n\x1a\n", "odf": b"PK\x03\x04", "ooxml": b"PK\x03\x04",
}  # fmt: skip
_EXPECTED = {"pdf": ".pdf", "jpeg": ".jpg", "png": ".png", "tiff": ".tif", "odf": ".docx", "ooxml": ".docx"}
"""What the library names each by; it tells the packages of office suites apart by their names alone, so that we look inside."""
_ACTIVE = re.compile(rb"<\?php|<script|<html|<!doctype\s+html|<svg|<iframe", re.IGNORECASE)
_TURNED = re.compile("[\u061c\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]")
"""Signs that are not seen, some of which turn what follows: « devis\u202efdp.exe » reads « devisexe.pdf »."""
_CONTROLS = bytes(code for code in range(32) if code not in b"\t\n\r\x0c")


def named(given: str) -> tuple[str, Kind]:
    """The name of a file and the kind that it promises. Raises BadInput."""
    name = given.strip()
    if not name:
        raise BadInput(
            "file_name", "le fichier n'a pas de nom", field=FIELD, accepted=f"un nom qui finit par : {ACCEPTED}"
        )
    if "/" in name or "\\" in name or name in (".", "..") or "\x00" in name:
        raise BadInput(
            "file_name", f"« {shown(name)} » est un chemin", field=FIELD, accepted="un nom de fichier, sans dossier"
        )
    if not name.isprintable() or _TURNED.search(name):
        raise BadInput("file_name", f"« {shown(_TURNED.sub('?', name))} » contient des signes invisibles", field=FIELD,
                       accepted="un nom qui se lit en entier")  # fmt: skip
    if len(name) > LONGEST_NAME or len(name.encode()) > LONGEST_BYTES:
        raise BadInput(
            "file_name",
            f"ce nom est trop long ({len(name)} signes)",
            field=FIELD,
            accepted=f"{LONGEST_NAME} signes au plus",
        )
    if name.startswith((".", "-", "~")) or name.endswith("."):
        raise BadInput("file_name", f"« {shown(name)} » n'est pas un nom de pièce", field=FIELD,
                       accepted="un nom qui commence par une lettre ou un chiffre")  # fmt: skip
    suffix = Path(name).suffix.lower()
    kind = next((kind for kind in KINDS if suffix in kind.suffixes), None)
    if kind is None:
        raise BadInput("file_type", f"« {shown(name)} » n'est pas d'une sorte acceptée", field=FIELD, accepted=ACCEPTED)
    return name, kind


def admitted(name: str, path: Path, head: bytes) -> Kind:
    """The kind of a whole file, by its name and its content. Raises BadInput naming what is wrong and what is accepted."""
    name, kind = named(name)
    if not head:
        raise BadInput(
            "file_empty",
            f"« {shown(name)} » est vide : zéro octet",
            field=FIELD,
            accepted="un fichier qui contient quelque chose",
        )
    found = _seems(head)
    if not head.startswith(_MAGIC.get(kind.family, b"")) or (
        kind.family in _EXPECTED and _EXPECTED[kind.family] not in found
    ):
        raise _other(name, kind, found)
    if kind.family == "text":
        _text(name, path, found)
        return kind
    if kind.family in ("odf", "ooxml"):
        _package(name, path, kind)
        return kind
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - TAIL))
        tail = file.read()
    ended = {"pdf": b"%%EOF", "png": b"IEND"}.get(kind.family, b"")
    if ended not in tail:
        raise BadInput(
            "file_cut",
            f"« {shown(name)} » est incomplet : il n'a pas de fin",
            field=FIELD,
            accepted="le fichier entier",
        )
    if zipfile.is_zipfile(path) or _ACTIVE.search(head[:1024]):
        raise BadInput("file_double", f"« {shown(name)} » est deux fichiers en un", field=FIELD,
                       accepted="le document seul, enregistré de nouveau")  # fmt: skip
    return kind


def _seems(head: bytes) -> list[str]:
    """What a content seems to be, by the suffixes that such files have, the surest first."""
    import puremagic  # noqa: PLC0415  (it reads its tables as it loads, a tenth of a second that few processes need)

    try:
        return [match.extension for match in puremagic.magic_string(head)]
    except (puremagic.PureError, ValueError):
        return []


def _other(name: str, kind: Kind, found: list[str]) -> BadInput:
    seems = f" : il semble être de la sorte {shown(found[0].removeprefix('.'))}" if found and found[0] else ""
    return BadInput(
        "file_content", f"« {shown(name)} » n'est pas ce que dit son nom{seems}", field=FIELD,
        accepted=f"un contenu de la sorte {kind.suffixes[0].removeprefix('.')}",
    )  # fmt: skip


def _text(name: str, path: Path, found: list[str]) -> None:
    """Refuse what is not plain text in UTF-8 or Windows-1252, and what a program would run. Read in blocks."""
    utf8 = codecs.getincrementaldecoder("utf-8")()
    legible, first = True, True
    with path.open("rb") as file:
        while block := file.read(1 << 16):
            if first and (block.startswith(b"#!") or _ACTIVE.search(block[:HEAD])):
                raise _other(name, next(one for one in KINDS if one.family == "text"), found or [".script"])
            first = False
            if block.translate(None, _CONTROLS) != block:
                raise _other(name, next(one for one in KINDS if one.family == "text"), found)
            try:
                utf8.decode(block)
            except UnicodeDecodeError:
                legible = False
    if legible:
        return
    with path.open("rb") as file:
        while block := file.read(1 << 16):
            try:
                block.decode("cp1252")
            except UnicodeDecodeError:
                raise _other(name, next(one for one in KINDS if one.family == "text"), found) from None


def _package(name: str, path: Path, kind: Kind) -> None:
    """Refuse a package that is no document of its kind, holds a program, or would unpack to too much. Its list is read, no more."""
    try:
        with zipfile.ZipFile(path) as package:
            entries = package.infolist()
            start = min((entry.header_offset for entry in entries), default=0)
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        raise _other(name, kind, []) from None
    unpacked = sum(entry.file_size for entry in entries)
    if (
        len(entries) > MOST_ENTRIES
        or unpacked > MOST_UNPACKED
        or unpacked > MOST_RATIO * max(path.stat().st_size, 1000)
    ):
        raise BadInput(
            "file_bomb",
            f"« {shown(name)} » se déplierait en {unpacked} octets",
            field=FIELD,
            accepted="un PDF du même document",
        )
    names = {entry.filename for entry in entries}
    if start or any(entry.flag_bits & 1 for entry in entries):
        raise BadInput("file_double", f"« {shown(name)} » est chiffré, ou deux fichiers en un", field=FIELD,
                       accepted="le document seul, enregistré de nouveau")  # fmt: skip
    if any(_harmful(entry.filename) for entry in entries):
        raise BadInput(
            "file_macro",
            f"« {shown(name)} » contient des macros ou un programme",
            field=FIELD,
            accepted="un PDF du même document",
        )
    if kind.family == "ooxml":
        fine = "[Content_Types].xml" in names and _PARTS[kind.suffixes[0]] in names
    else:  # the first entry of an ODF package is its type, stored as it is (OpenDocument 1.2, part 3, 3.3)
        fine = _first_entry(path) == kind.type.encode()
    if not fine:
        raise _other(name, kind, [".zip"])


_HARMFUL = re.compile(r"(?:^|/)(?:vbaProject\.bin|Basic/.*|Scripts/.*)$|\.(?:exe|dll|js|vbs|bat|cmd|ps1|jar|com|scr|msi|sh|hta|lnk)$", re.IGNORECASE)  # fmt: skip


def _harmful(entry: str) -> bool:
    return _HARMFUL.search(entry) is not None


def _first_entry(path: Path) -> bytes:
    with path.open("rb") as file:
        header = file.read(30)
        length, extra = int.from_bytes(header[26:28], "little"), int.from_bytes(header[28:30], "little")
        size, stored = int.from_bytes(header[18:22], "little"), header[8:10] == b"\0\0"
        if file.read(length) != b"mimetype" or not stored:
            return b""
        file.seek(extra, 1)
        return file.read(min(size, 200))


def suffix(type_: str) -> str:
    """How the name of a file of this type ends; nothing for a type that is not let in."""
    return next((kind.suffixes[0] for kind in KINDS if kind.type == type_), "")
