"""The files of a dossier as its page shows them, and how one is given: never to be opened in the portal's own name."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from fastapi.responses import FileResponse
from sqlalchemy.orm import Session

from config.settings import Settings
from states.errors import CoupeFileError, Refused
from web.visit import Visit
from workflow import access, admission, attachments
from workflow.attachments import File, Reader
from workflow.vault import Vault
from workflow.view import View

POLICY = "sandbox; default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
_PLAIN = re.compile(r"[^A-Za-z0-9._ -]")


@dataclass(frozen=True, slots=True)
class Line:
    """A file, who joined it, and who has downloaded it, the last time for each."""

    file: File
    by: str
    readers: tuple[tuple[str, Any], ...]


@dataclass(frozen=True, slots=True)
class Section:
    """The files of a dossier, whether this reader may add one, and what was wrong with the one that was sent."""

    lines: tuple[Line, ...]
    adds: bool
    scans: bool
    accepted: str
    suffixes: str
    limit: attachments.Bounds
    problems: Mapping[str, CoupeFileError]
    typed: Mapping[str, str]


def section(
    visit: Visit, session: Session, view: View, *, problems: Mapping[str, CoupeFileError] | None = None,
    typed: Mapping[str, str] | None = None,
) -> Section | None:  # fmt: skip
    """The files of a dossier for who may read them; None for who may not."""
    if visit.actor.role not in access.SEES_TEXTS:
        return None
    scans = visit.settings.clamd is not None
    found = attachments.listed(session, view.id, visit.actor, scans=scans)
    return Section(
        tuple(Line(file, who(visit, file.person, file.person_name, file.unit, file.role), _readers(visit, file)) for file in found),
        view.dossier.closed_at is None and access.may_act(visit.actor, view.dossier.units), scans, admission.ACCEPTED, admission.SUFFIXES, attachments.bounds(visit.settings), problems or {}, typed or {},
    )  # fmt: skip


def _readers(visit: Visit, file: File) -> tuple[tuple[str, Any], ...]:
    last: dict[str, Any] = {}
    for reader in file.readers:
        last[_reader(visit, reader)] = reader.at
    return tuple(last.items())


def _reader(visit: Visit, one: Reader) -> str:
    return who(visit, one.person, one.name, one.unit, one.role)


def who(visit: Visit, person: int | None, name: str | None, unit: str | None, role: str) -> str:
    """Who did something; to a holder an administration is its name, not that of an agent."""
    if person is not None and person == visit.actor.person:
        return str(visit.say._("vous"))
    if visit.actor.role == "holder" and unit:
        return unit
    return ", ".join(filter(None, (name, unit))) or visit.say.role(role)


def vault(settings: Settings) -> Vault:
    """The folder of files of this installation."""
    return Vault(settings.files_folder())


def given(settings: Settings, file: File) -> FileResponse:
    """A file, to be kept by who asked, and that no browser runs in our name. Raises Refused when its bytes are lost."""
    path = vault(settings).path(file.sha256)
    if not path.is_file():
        raise Refused(
            "storage",
            "le fichier de cette pièce manque : l'exploitant doit le reprendre de sa sauvegarde",
            field="file",
        )
    name = file.name or f"piece-{file.seq}{admission.suffix(file.type)}"
    headers = {
        "content-disposition": disposition(name),
        "content-security-policy": POLICY,
        "x-content-type-options": "nosniff",
    }
    return FileResponse(path, media_type=file.type, headers=headers)


def disposition(name: str) -> str:
    """A name for who saves a file (RFC 6266): in plain letters, and as it is."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    return f"attachment; filename=\"{_PLAIN.sub('_', plain)}\"; filename*=UTF-8''{quote(name, safe='')}"
