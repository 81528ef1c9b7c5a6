"""Sign in and out by the OpenID provider: leave for it, come back from it, and say in plain words what went wrong."""

from __future__ import annotations

import hmac
import logging
import secrets

from fastapi import APIRouter, Response

from states.errors import Refused
from web import sign_in
from web.guard import check_csrf
from web.provider import Provider, Unanswered, Unbelieved
from web.visit import Anybody, Form, Posted, SignedIn, Visit, go, inside
from workflow import attempts, identities, sessions

log = logging.getLogger(__name__)
router = APIRouter(include_in_schema=False)
UNAUTHORIZED, FORBIDDEN, BAD_GATEWAY, UNAVAILABLE = 401, 403, 502, 503
FROM_ONE_PLACE = 600
"""A whole administration may come from one address, in the same quarter of an hour; nothing can be guessed here."""
DENIED = "Vous n'êtes pas allé au bout de l'identification. Recommencez, ou entrez autrement."
TOO_LATE = (
    "Cette identification est trop ancienne, a déjà servi, ou a été commencée dans un autre navigateur. Recommencez."
)
SILENT = "Le fournisseur d'identité ne répond pas. Réessayez dans un moment, ou recevez un lien par courriel."
UNSURE = "La réponse du fournisseur d'identité n'a pas pu être vérifiée : personne n'est entré. Recevez un lien par courriel."
REFUSED = {
    "closed": "Ce compte est fermé.",
    "unverified": "Le fournisseur d'identité ne dit pas que votre adresse est vérifiée. Recevez un lien par courriel.",
    "nobody": "Votre identité est reconnue, mais son adresse n'est pas celle d'un compte d'ici. Demandez à être inscrit à l'annuaire.",
    "another": "Ce compte est déjà relié à une autre identité de ce fournisseur. Entrez par un lien, et défaites ce lien dans « Mon compte ».",
}


def provider(visit: Visit) -> Provider:
    """The provider of this portal. Raises Refused when it has none."""
    found: Provider | None = visit.request.app.state.provider
    if found is None:
        raise Refused("unknown", "ce portail n'a pas de fournisseur d'identité")
    return found


@router.post("/connexion/fournisseur")
def leave_for(visit: Anybody, fields: Form) -> Response:
    """To the provider. A page in between, since a form may not lead to another site; what was typed waits here."""
    there = provider(visit)
    sign_in.check(visit, fields)
    host = visit.request.client.host if visit.request.client is not None else ""
    with visit.make.begin() as session:
        if not attempts.allowed(session, "provider", "from", host, most=FROM_ONE_PLACE, per=sign_in.PER):
            raise Refused("often", "trop d'essais : attendez un quart d'heure", accepted="un lien par courriel")
        handle, asked = identities.ask(session, inside(fields.get("then", "/")), fields.get("kept") or "{}")
    try:
        answer = away(visit, there.way_in(asked))
    except (Unanswered, Unbelieved) as error:
        return _failed(visit, error)
    visit.site.cookie(answer, visit.site.leaving, handle, seconds=int(identities.GOOD_FOR.total_seconds()))
    return answer


@router.get("/connexion/fournisseur/retour")
def come_back(visit: Anybody, state: str = "", code: str = "", error: str = "") -> Response:
    """From the provider, with a code for who it has seen."""
    there = provider(visit)
    handle = visit.request.cookies.get(visit.site.leaving, "")
    with visit.make.begin() as session:
        asked = identities.come_back(session, handle) if handle else None
    if asked is None or not hmac.compare_digest(asked.state.encode(), state.encode()):
        return _again(visit, UNAUTHORIZED, TOO_LATE)
    fields = sign_in.kept_fields(asked.kept)
    if error or not code:
        return _again(visit, UNAUTHORIZED, DENIED if error == "access_denied" else UNSURE, asked)
    try:
        found = there.identified(code, asked)
    except (Unanswered, Unbelieved) as failure:
        return _failed(visit, failure, asked)
    try:
        with visit.make.begin() as session:
            person = identities.person(session, there.issuer, found.sub, found.mail)
    except Refused as refusal:
        return _again(visit, FORBIDDEN, REFUSED[refusal.code], asked)
    answer = sign_in.begin(visit, person, asked.then, fields, id_token=found.id_token)
    visit.site.forget(answer, visit.site.leaving)
    return answer


@router.post("/deconnexion")
def leave(visit: Anybody, fields: Form) -> Response:
    """End the session, here and at the provider that let one in."""
    if visit.signed is not None:
        check_csrf(visit.request, fields.get("csrf", ""), visit.signed.csrf)
        with visit.make.begin() as session:
            sessions.end(session, visit.token)
    answer = signed_out(visit, visit.signed.id_token if visit.signed is not None else None)
    visit.site.forget(answer, visit.site.session)
    return answer


@router.post("/compte/identite/fin")
def unlink(visit: SignedIn, fields: Posted) -> Response:
    """Forget which identity of the provider one is."""
    del fields  # checked: it came from our page
    with visit.make.begin() as session:
        identities.unlink(session, provider(visit).issuer, visit.actor.person or 0)
    return go("/compte")


def signed_out(visit: Visit, id_token: str | None) -> Response:
    """Where one goes who has signed out here: to the provider, to sign out there too, if it was it who let them in."""
    there: Provider | None = visit.request.app.state.provider
    if there is None or id_token is None:
        return go("/")
    try:
        address = there.way_out(id_token, secrets.token_urlsafe(identities.SECRET_BYTES))
    except (Unanswered, Unbelieved) as error:
        log.warning("%s: nobody signed out there: %s", there.name, error)
        return go("/")
    return go("/") if address is None else away(visit, address)


def away(visit: Visit, address: str) -> Response:
    """A page that leads to the provider by itself, and has a link for who stays."""
    answer = visit.page("away.html", address=address, name=provider(visit).name)
    answer.headers["Refresh"] = f"0; url={address}"
    return answer


def _failed(visit: Visit, error: Exception, asked: identities.Asked | None = None) -> Response:
    log.warning("%s: %s", provider(visit).name, error)
    silent = isinstance(error, Unanswered)
    return _again(visit, UNAVAILABLE if silent else BAD_GATEWAY, SILENT if silent else UNSURE, asked)


def _again(visit: Visit, status: int, words: str, asked: identities.Asked | None = None) -> Response:
    then, fields = (asked.then, sign_in.kept_fields(asked.kept)) if asked is not None else ("/", {})
    answer = sign_in.page(visit, status=status, then=then, fields=fields, error=words)
    visit.site.forget(answer, visit.site.leaving)
    return answer
