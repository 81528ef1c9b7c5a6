"""One's own account: a password, and the tokens of programs that act in one's place."""

from __future__ import annotations

from fastapi import APIRouter, Response

from states.errors import BadInput, Refused
from web import installation
from web.visit import NotForThisSeat, Posted, SignedIn, Visit, go
from workflow import accounts, identities, sessions, tokens

router = APIRouter(include_in_schema=False)


def _page(
    visit: Visit, status: int = 200, *, error: BadInput | None = None, secret: str | None = None, feed: str | None = None
) -> Response:  # fmt: skip
    person = visit.actor.person or 0
    with visit.reading() as session:
        found = tokens.every(session, person)
        seats = accounts.seats(session, person)
        admin = installation.runs(session, visit.actor, visit.settings) is not None
        linked = identities.linked_since(session, visit.settings.oidc_issuer or "", person)
    feeds = [one for one in found if one.scopes == (tokens.CALENDAR,)]
    return visit.page("account.html", status, tokens=[one for one in found if one not in feeds], seats=seats, error=error,
                      feeds=[one for one in feeds if not (one.ended_at or one.over)], secret=secret, feed=feed, admin=admin, linked=linked,
                      scopes=tokens.scopes_of(visit.actor.role), longest=tokens.LONGEST_DAYS, shortest=accounts.SHORTEST)  # fmt: skip


@router.get("/compte")
def show(visit: SignedIn) -> Response:
    """The account."""
    return _page(visit)


@router.post("/compte/mot-de-passe")
def change_password(visit: SignedIn, fields: Posted) -> Response:
    """Another password; every session of the person ends, and this one begins anew."""
    if visit.settings.demo:
        raise Refused("demo", "dans la démonstration, personne n'a de mot de passe")
    actor = visit.actor
    try:
        with visit.make.begin() as session:
            if fields.get("new", "") != fields.get("again", ""):
                raise BadInput("password", "les deux saisies diffèrent", field="again", accepted="deux fois le même")  # noqa: TRY301  (a refusal like the others)
            accounts.set_password(session, actor.person or 0, fields.get("new", ""))
            token = sessions.begin(session, actor.person or 0, actor)
    except BadInput as error:
        return _page(visit, 422, error=error)
    answer = go("/compte")
    visit.site.cookie(answer, visit.site.session, token)
    return answer


@router.post("/compte/jetons")
def make_token(visit: SignedIn, fields: Posted) -> Response:
    """A new token, whose secret is shown this once."""
    days = fields.get("days", "")
    wanted = [scope for scope in tokens.SCOPES if fields.get(f"scope_{scope}")]
    try:
        with visit.make.begin() as session:
            number = int(days) if days.isdecimal() and len(days) < 6 else 0  # noqa: PLR2004  (more is too many days)
            secret = tokens.make(session, visit.actor, fields.get("name", ""), wanted, number)
    except BadInput as error:
        return _page(visit, 422, error=error)
    return _page(visit, secret=secret)


@router.post("/compte/jetons/{key}/fin")
def end_token(visit: SignedIn, key: int, fields: Posted) -> Response:
    """End a token."""
    del fields  # checked: it came from our page
    with visit.make.begin() as session:
        tokens.end(session, key, visit.actor.person or 0)
    return go("/compte")


@router.post("/compte/agenda")
def make_feed(visit: SignedIn, fields: Posted) -> Response:
    """A new secret address for a calendar, shown this once; the one before ends."""
    del fields  # checked: it came from our page
    if visit.actor.role == "manager":
        raise NotForThisSeat
    with visit.make.begin() as session:
        secret = tokens.make_feed(session, visit.actor)
    tongue = "" if visit.language == "fr" else f"?language={visit.language}"
    return _page(visit, feed=f"{visit.site.scheme}://{visit.site.host}/agenda/{secret}.ics{tongue}")
