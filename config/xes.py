"""A log of events read from XES (IEEE 1849), streamed: an event at a time, whatever the size of the file.

An attribute of a trace goes by its key after `case:`, one of an event by its key: the names that the same log has once
exported to CSV. Only those asked for are kept. A document type is refused, and with it every entity.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import IO
from xml.parsers import expat

from config.log_error import LogError

Cell = tuple[str, int]
"""A value, and the line where it stands."""
CHUNK = 1 << 16
MAX_TAG = 2 << 20
MAX_DEPTH = 64
_WHOLE = "un fichier XES entier : <log>, des <trace>, et dans chacune ses attributs, puis ses <event>"
_CUT = frozenset({expat.errors.XML_ERROR_NO_ELEMENTS, expat.errors.XML_ERROR_UNCLOSED_TOKEN,
                  expat.errors.XML_ERROR_PARTIAL_CHAR, expat.errors.XML_ERROR_UNCLOSED_CDATA_SECTION})  # fmt: skip
_FRENCH = {
    expat.errors.XML_ERROR_TAG_MISMATCH: "une balise est fermée par une autre",
    expat.errors.XML_ERROR_INVALID_TOKEN: "signe inattendu ou interdit",
    expat.errors.XML_ERROR_SYNTAX: "ce n'est pas du XML",
    expat.errors.XML_ERROR_JUNK_AFTER_DOC_ELEMENT: "texte après la fin du document",
    expat.errors.XML_ERROR_UNDEFINED_ENTITY: "entité non déclarée",
    expat.errors.XML_ERROR_DUPLICATE_ATTRIBUTE: "attribut XML donné deux fois",
    expat.errors.XML_ERROR_BAD_CHAR_REF: "signe interdit",
    expat.errors.XML_ERROR_UNKNOWN_ENCODING: "encodage inconnu",
    expat.errors.XML_ERROR_INCORRECT_ENCODING: "encodage qui n'est pas celui que le fichier annonce",
    expat.errors.XML_ERROR_UNBOUND_PREFIX: "préfixe d'espace de noms non déclaré",
}


class Reader:
    """The events of a stream; `seen` names the attributes asked for that were met, `empty` counts traces without event."""

    def __init__(self, wanted: Mapping[str, Sequence[str]]) -> None:
        """Ask for attributes: each name, and the roles that it has."""
        self.seen: set[str] = set()
        self.empty = 0
        self._wanted = wanted
        self._open: list[str] = []
        self._trace: dict[str, Cell] = {}
        self._event: dict[str, Cell] = {}
        self._begins = self._events = 0
        self._found: list[tuple[int, dict[str, Cell]]] = []
        self._parser = expat.ParserCreate(namespace_separator=" ")
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.StartDoctypeDeclHandler = self._refuse_doctype

    def events(self, stream: IO[bytes]) -> Iterator[tuple[int, dict[str, Cell]]]:
        """Each event: its line, and the value of each role that it or its trace gives. Raises LogError."""
        fed = read = 0
        while chunk := stream.read(CHUNK):
            self._parse(chunk)
            fed, read = fed + len(chunk), max(read, self._parser.CurrentByteIndex)
            if fed - read > MAX_TAG:
                rule = f"balise ou commentaire de plus de {MAX_TAG >> 20} Mio"
                raise LogError(rule, line=self._parser.CurrentLineNumber, accepted=f"{MAX_TAG >> 20} Mio au plus")
            yield from self._found
            self._found.clear()
        self._parse(b"")
        yield from self._found

    def _parse(self, chunk: bytes) -> None:
        try:
            self._parser.Parse(chunk, not chunk)
        except expat.ExpatError as error:
            words = expat.errors.messages.get(error.code, "")
            if words in _CUT:
                rule = "fichier vide, ou coupé avant sa fin"
            else:
                rule = f"XML illisible ({_FRENCH.get(words, words or error.code)}) en position {error.offset + 1}"
            raise LogError(rule, line=error.lineno, accepted=_WHOLE) from None
        except LogError:
            raise
        except (LookupError, ValueError):  # an encoding unknown, or of several bytes a sign, which expat does not read
            raise LogError("encodage que ce programme ne lit pas", line=1, accepted="du texte en UTF-8") from None

    def _refuse_doctype(self, *_: object) -> None:
        rule = "type de document (<!DOCTYPE …>) refusé : un journal n'en a pas besoin, et ses entités sont dangereuses"
        raise LogError(rule, line=self._parser.CurrentLineNumber, accepted="du XES sans DOCTYPE ni entité")

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        element, line, inside = name.rpartition(" ")[2], self._parser.CurrentLineNumber, self._open
        if len(inside) >= MAX_DEPTH:
            rule = f"plus de {MAX_DEPTH} balises emboîtées"
            raise LogError(rule, line=line, accepted=f"{MAX_DEPTH} niveaux au plus")
        if not inside and element != "log":
            raise LogError(f"la racine est <{element[:60]}>", line=line, accepted=_WHOLE)
        if inside == ["log"]:
            if element == "event":
                raise LogError("événement hors de tout dossier (<trace>)", line=line, accepted=_WHOLE)
            if element == "trace":
                self._trace, self._events = {}, 0
        elif inside == ["log", "trace"]:
            if element == "event":
                self._event, self._begins = {}, line
            else:
                self._keep(self._trace, "case:", attributes, line)
        elif inside == ["log", "trace", "event"]:
            self._keep(self._event, "", attributes, line)
        inside.append(element)

    def _keep(self, cells: dict[str, Cell], prefix: str, attributes: dict[str, str], line: int) -> None:
        name, value = prefix + attributes.get("key", ""), attributes.get("value")
        if name not in self._wanted or value is None:
            return
        if prefix and self._events:
            rule = "attribut du dossier donné après ses événements"
            raise LogError(rule, line=line, column=name, accepted="les attributs d'une <trace> avant ses <event>")
        for role in self._wanted[name]:
            if role in cells:
                raise LogError("attribut donné deux fois", line=line, column=name, accepted="une seule valeur")
            cells[role] = (value, line)
        self.seen.add(name)

    def _end(self, _: str) -> None:
        element = self._open.pop()
        if self._open == ["log", "trace"] and self._begins:
            self._found.append((self._begins, {**self._trace, **self._event}))
            self._begins, self._events = 0, self._events + 1
        elif self._open == ["log"] and element == "trace":
            self.empty += not self._events
