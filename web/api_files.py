"""The files of a dossier for a program: list, add, download."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any, Literal

from fastapi import APIRouter, Response
from fastapi.responses import FileResponse
from pydantic import BaseModel
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect

from states.attachment import HOLDER
from states.errors import BadInput, Refused
from web import attached, upload
from web.api import PROBLEMS, Bearer, Key, Reads, Reference, Writes, own
from web.files import FILES, PER
from workflow import access, attachments, attempts
from workflow.attachments import File

router = APIRouter(prefix="/api/v1", responses=PROBLEMS, tags=["coupe-file"])


class Read(BaseModel):
    """Somebody downloaded a file: when, in which role and administration."""

    at: datetime
    role: str
    unit: str | None


class Attached(BaseModel):
    """A file of a dossier. Only one that is `ready` can be downloaded; `waiting` is for the antivirus."""

    id: uuid.UUID
    seq: int
    name: str | None
    sha256: str
    bytes: int
    type: str
    audience: Literal["holder", "state", "inside"]
    added_at: datetime
    role: str
    unit: str | None
    standing: Literal["ready", "waiting", "infected", "erased"]
    scanned: bool
    reads: list[Read]


class AttachedList(BaseModel):
    """The files of a dossier that this reader may see; `scans` says whether an antivirus looks at them."""

    reference: str
    scans: bool
    files: list[Attached]


class Joined(BaseModel):
    """A file that was added, now or the first time it was asked."""

    id: uuid.UUID
    seq: int
    sha256: str
    repeated: bool


_FORM: dict[str, Any] = {"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": {
    "type": "object", "required": ["file"], "properties": {
        "audience": {"type": "string", "enum": ["holder", "state", "inside"],
                     "description": "Who may read it: all, its parties and the State, or the administrations. A holder may leave it out; "
                                    "an administration says. Before the file."},
        "file": {"type": "string", "format": "binary"},
    }}}}}}  # fmt: skip


@router.get("/dossiers/{ref}/files")
def listed(caller: Reads, ref: Reference) -> AttachedList:
    """The files of a dossier."""
    scans = _scans(caller)
    with caller.reading() as session:
        key = access.find(session, ref, caller.actor)
        _readable(caller)
        found = attachments.listed(session, key, caller.actor, scans=scans)
    return AttachedList(reference=ref, scans=scans, files=[_said(file) for file in found])


@router.post("/dossiers/{ref}/files", status_code=201, openapi_extra=_FORM)
async def join(caller: Writes, ref: Reference, response: Response, key: Key = None) -> Joined:
    """Join a file to a dossier, in a multipart form; who may not is told before it is read."""
    dossier, limit = await run_in_threadpool(_welcome, caller, ref)
    vault = attached.vault(caller.request.app.state.settings)
    try:
        sent = await upload.received(caller.request, vault, limit.file, check=lambda _: None)
    except ClientDisconnect:
        raise BadInput("form", "l'envoi a été coupé", field="file", accepted="le fichier entier") from None
    with sent:
        done = await run_in_threadpool(_join, caller, dossier, sent, key)
    response.headers["Location"] = f"/api/v1/dossiers/{ref}/files/{done.id}"
    return done


@router.get(
    "/dossiers/{ref}/files/{file}", response_class=FileResponse,
    responses={200: {"description": "The file", "content": {"application/octet-stream": {}}}},
)  # fmt: skip
def download(caller: Reads, ref: Reference, file: uuid.UUID) -> Response:
    """A file; that it was downloaded is kept and shown."""
    with caller.make.begin() as session:
        key = access.find(session, ref, caller.actor)
        _readable(caller)
        found = attachments.taken(session, key, file, caller.actor, scans=_scans(caller))
    return attached.given(caller.request.app.state.settings, found)


# --- parts ------------------------------------------------------------------------------------------------------------


def _scans(caller: Bearer) -> bool:
    return caller.request.app.state.settings.clamd is not None


def _readable(caller: Bearer) -> None:
    if caller.actor.role not in access.SEES_TEXTS:
        raise Refused(
            "role", f"le rôle {caller.actor.role} ne lit pas les pièces", accepted=", ".join(sorted(access.SEES_TEXTS))
        )


def _welcome(caller: Bearer, ref: str) -> tuple[int, attachments.Bounds]:
    limit = attachments.bounds(caller.request.app.state.settings)
    with caller.make.begin() as session:
        key = access.find(session, ref, caller.actor)
        _readable(caller)
        fine = attempts.allowed(session, "file", str(caller.actor.person), most=FILES, per=PER)
        if fine:
            attachments.room(session, key, limit, 1)
    if not fine:
        raise Refused("often", "trop de pièces en une heure", accepted=f"{FILES} par heure")
    return key, limit


def _join(caller: Bearer, dossier: int, sent: upload.Sent, key: str | None) -> Joined:
    settings = caller.request.app.state.settings
    if sent.long:
        raise attachments.too_long(settings.file_bytes)
    if sent.arrival is None:
        raise BadInput("missing", "le fichier manque", field="file", accepted="un fichier")
    audience = sent.fields.get("audience") or (HOLDER if caller.actor.role == "holder" else "")
    with caller.make.begin() as session:
        done = attachments.add(
            session, attached.vault(settings), dossier, sent.arrival, name=sent.name, audience=audience, actor=caller.actor,
            limit=attachments.bounds(settings), idem=own(caller, key),
        )  # fmt: skip
    caller.request.app.state.ring()
    return Joined(id=done.id, seq=done.seq, sha256=sent.arrival.sha256.hex(), repeated=done.repeated)


def _said(file: File) -> Attached:
    return Attached(
        id=file.id, seq=file.seq, name=file.name, sha256=file.sha256.hex(), bytes=file.size, type=file.type,
        audience=file.audience, added_at=file.at, role=file.role, unit=file.unit,
        standing=file.standing, scanned=file.scanned, reads=[Read(at=one.at, role=one.role, unit=one.unit) for one in file.readers],
    )  # fmt: skip
