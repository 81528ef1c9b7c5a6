"""The files of a dossier: joined from its page, and downloaded."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import timedelta

from fastapi import APIRouter, Response
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect

from states.attachment import ATTACH, HOLDER
from states.errors import BadInput, CoupeFileError, Refused
from web import attached, dossier, upload
from web.guard import check_csrf
from web.visit import NotForThisSeat, SignedIn, Visit, go
from workflow import access, attachments, attempts
from workflow.view import load

router = APIRouter(include_in_schema=False)
FILES, PER = 200, timedelta(hours=1)
KEPT = ("audience", "key")


@router.get("/dossiers/{ref}/pieces")
def back(visit: SignedIn, ref: str) -> Response:
    """Where a page that refused a file comes from, for who loads it again."""
    with visit.reading() as session:
        view = load(session, access.find(session, ref, visit.actor), visit.actor)
    return go(f"/dossiers/{view.reference}#pieces")


@router.post("/dossiers/{ref}/pieces")
async def join(visit: SignedIn, ref: str) -> Response:
    """Join a file. Who may not is told before it is read; what is wrong with it is said beside its field."""
    key, refused = await run_in_threadpool(_welcome, visit, ref)

    def check(fields: Mapping[str, str]) -> None:
        assert visit.signed is not None  # noqa: S101  (SignedIn)
        check_csrf(visit.request, fields.get("csrf", ""), visit.signed.csrf)

    limit = attachments.bounds(visit.settings)
    try:
        sent = await upload.received(
            visit.request, attached.vault(visit.settings), limit.file, check=check, keep=refused is None
        )
    except ClientDisconnect:
        return Response(status_code=400)
    except CoupeFileError as error:
        if error.code == "csrf":
            raise
        return await run_in_threadpool(_told, visit, key, {"file": error}, {})
    with sent:
        return await run_in_threadpool(_join, visit, key, sent, refused)


def _welcome(visit: Visit, ref: str) -> tuple[int, CoupeFileError | None]:
    """The dossier, and why it takes no file just now, which is said beside the field. Raises Refused, NotForThisSeat."""
    with visit.make.begin() as session:
        key = access.find(session, ref, visit.actor)
        if visit.actor.role not in access.SEES_TEXTS:
            raise NotForThisSeat
        fine = attempts.allowed(session, "file", str(visit.actor.person), most=FILES, per=PER)
        if not fine:
            return key, Refused("often", "trop de pièces en une heure", field="file", accepted="plus tard")
        try:
            attachments.room(session, key, attachments.bounds(visit.settings), 1)
        except Refused as error:
            return key, error
    return key, None


def _join(visit: Visit, key: int, sent: upload.Sent, refused: CoupeFileError | None) -> Response:
    audience = sent.fields.get("audience") or (HOLDER if visit.actor.role == "holder" else "")
    problems: dict[str, CoupeFileError] = {}
    if refused is not None:
        problems["file"] = refused
    elif sent.long:
        problems["file"] = attachments.too_long(visit.settings.file_bytes)
    elif sent.arrival is None:
        problems["file"] = BadInput("missing", "choisissez un fichier", field="file")
    try:
        attachments.may_add(visit.actor, audience)
    except BadInput as error:
        problems["audience"] = error
    if problems or sent.arrival is None:
        return _told(visit, key, problems, sent.fields)
    try:
        with visit.writing() as session:
            attachments.add(
                session, attached.vault(visit.settings), key, sent.arrival, name=sent.name, audience=audience, actor=visit.actor,
                limit=attachments.bounds(visit.settings), idem=dossier.idem(visit, sent.fields.get("key")),
            )  # fmt: skip
    except CoupeFileError as error:
        return _told(visit, key, {"audience" if error.field == "audience" else "file": error}, sent.fields)
    with visit.reading() as session:
        view = load(session, key, visit.actor)
    return go(f"/dossiers/{view.reference}?fait={ATTACH}#pieces")


def _told(visit: Visit, key: int, problems: Mapping[str, CoupeFileError], fields: Mapping[str, str]) -> Response:
    """The page of the dossier again, with what was wrong beside its field and what was chosen kept."""
    typed = {name: fields[name] for name in KEPT if fields.get(name)}
    refused = [error.code for error in problems.values() if not isinstance(error, BadInput)]
    status = 503 if "storage" in refused else 409 if refused else 422
    with visit.reading() as session:
        view = load(session, key, visit.actor)
        return dossier.page(
            visit, view, attached.section(visit, session, view, problems=problems, typed=typed),
            dossier.beside(session, view), status=status,
        )  # fmt: skip


@router.get("/dossiers/{ref}/pieces/{key}")
def download(visit: SignedIn, ref: str, key: uuid.UUID) -> Response:
    """A file, for who may read it; that they did is kept and shown."""
    if visit.actor.role not in access.SEES_TEXTS:
        raise NotForThisSeat
    with visit.make.begin() as session:
        found = access.find(session, ref, visit.actor)
        file = attachments.taken(session, found, key, visit.actor, scans=visit.settings.clamd is not None)
    return attached.given(visit.settings, file)
