"""The page of a dossier, and the acts that this reader may ask now."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from typing import Any
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Response
from fastapi.responses import HTMLResponse
from sqlalchemy import text
from sqlalchemy.orm import Session

from states.attachment import ATTACH
from states.definition import CONSULT, PASS_ON, Trigger
from states.errors import BadInput, CoupeFileError, Refused, Stale, shown
from states.flags import flags
from web import attached
from web.downloads import pdf_of
from web.visit import NotForThisSeat, Posted, SignedIn, Visit, go
from workflow import (
    access,
    acknowledgements,
    consultations,
    directory,
    dossiers,
    invitations,
    journal_file,
    parties,
    projects,
    words,
)
from workflow.preview import preview
from workflow.view import View, load, written

router = APIRouter(include_in_schema=False)
CLOSING = time(18, 0)
"""When a day that was given as a term ends."""
OTHER = "other"
DONE = {
    ATTACH: "Pièce jointe",
    "invitation": "Inviter à porter le dossier",
    "reprise": "Reprendre l'invitation",
    "renvoi": "Renvoyer l'invitation",
    "rejoint": "Porter ce dossier",
    "confidentialite": "Changer la confidentialité",
}
"""What is said to be done besides the acts of a definition."""
TEXTS_SHOWN = ("title", "blockage", "siret")


@dataclass(frozen=True, slots=True)
class Place:
    """An administration that a dossier may be sent to: its rung, whether anybody is there, and why it is proposed."""

    code: str
    name: str
    rung: str
    staffed: bool
    here: bool
    proposed: bool


@dataclass(frozen=True, slots=True)
class Beside:
    """Who carries a dossier and who is invited to, as far as this reader may know, and what else blocks its project."""

    members: Sequence[parties.Member]
    invited: Sequence[invitations.Invitation]
    linked: Sequence[projects.Linked]


@router.get("/dossiers/{ref}")
def show(visit: SignedIn, ref: str, *, depose: bool = False, fait: str = "") -> HTMLResponse:
    """The dossier: whose court, by when and why, what comes next; then what happened."""
    with visit.reading() as session:
        view = _found(visit, session, ref)
        files, around = attached.section(visit, session, view), beside(session, view)
    return page(visit, view, files, around, deposited=depose, done=fait)


@router.get("/dossiers/{ref}/journal.json")
def journal_of(visit: SignedIn, ref: str) -> Response:
    """The journal as a file, for who may read texts: `coupe-file verify` proves it without us."""
    with visit.reading() as session:
        view = _found(visit, session, ref)
        if not view.sees_texts:
            raise NotForThisSeat
        body = journal_file.written(session, view)
    named = f'attachment; filename="journal-{view.reference}.json"'
    return Response(body, media_type="application/json", headers={"Content-Disposition": named})


@router.get("/dossiers/{ref}/accuses/{seq:int}.pdf")
def acknowledgement(visit: SignedIn, ref: str, seq: int) -> Response:
    """The acknowledgement that an event gave, as PDF, for who may read texts."""
    with visit.reading() as session:
        view = _found(visit, session, ref)
        if not (view.sees_texts and view.named):
            raise NotForThisSeat
        paper = acknowledgements.find(view, seq)
        found = acknowledgements.letter(session, view.id, paper.seq, operator=visit.settings.operator)
    assert found is not None  # noqa: S101  (it was found in this very transaction)
    return pdf_of(*found)


@router.get("/dossiers/{ref}/agir/{name}")
def ask(visit: SignedIn, ref: str, name: str) -> HTMLResponse:
    """The form of an act, with what it will do."""
    with visit.reading() as session:
        view = _found(visit, session, ref)
        trigger = _trigger(view, name)
        return _form(visit, session, view, trigger, {})


@router.post("/dossiers/{ref}/agir/{name}")
def act(visit: SignedIn, ref: str, name: str, fields: Posted) -> Response:
    """Do it, or show what it would do. A refusal keeps what was typed; a stale page is told what has changed."""
    with visit.reading() as session:
        view = _found(visit, session, ref)
        trigger = _trigger(view, name)
        args, problems = args_of(view, trigger, fields)
        if fields.get("do") == "preview" and not problems:
            try:
                decision = preview(session, view.id, name, actor=visit.actor, args=args)
                flagged = [flag.sentence for flag in flags(view.definition, decision, directory.almanac_now(session))]
            except CoupeFileError as error:
                problems = beside_field(trigger, error)
            else:
                return _form(visit, session, view, trigger, fields, moved=_moved(visit, view, decision.after),
                             flagged=flagged)  # fmt: skip
        if problems:
            return _form(visit, session, view, trigger, fields, problems=problems, status=422)
    key = fields.get("key") or None
    try:
        with visit.writing() as session:
            dossiers.one(dossiers.act(session, [view.id], name, actor=visit.actor, args=args, idem=idem(visit, key)))
    except Stale as error:
        with visit.reading() as session:
            view = _found(visit, session, ref)
            changes = visit.say.timeline(view, _since(view, error.seen))
            return _form(visit, session, view, trigger, fields, stale=error, changes=changes, status=409)
    except CoupeFileError as error:
        with visit.reading() as session:
            view = _found(visit, session, ref)
            status = 422 if isinstance(error, BadInput) else 409
            return _form(visit, session, view, trigger, fields, problems=beside_field(trigger, error), status=status)
    return go(f"/dossiers/{view.reference}?fait={name}")


# --- parts ------------------------------------------------------------------------------------------------------------


def _found(visit: Visit, session: Session, ref: str) -> View:
    """The dossier, within the scope of who looks: the query says so."""
    return load(session, access.find(session, ref, visit.actor), visit.actor)


def beside(session: Session, view: View) -> Beside:
    """What stands beside a dossier, for this reader."""
    return Beside(
        parties.members(session, view.id, view.actor) if view.sees_texts else [],
        invitations.listed(session, view.id, view.actor) if view.actor.role == parties.HOLDER else [],
        projects.linked(session, view.id, view.actor),
    )


def page(
    visit: Visit,
    view: View,
    files: attached.Section | None,
    around: Beside,
    *,
    deposited: bool = False,
    done: str = "",
    status: int = 200,
) -> HTMLResponse:
    """The page of a dossier with its files and what stands beside it."""
    texts = {name: written(view, value, name) for name, value in view.dossier.data.items() if isinstance(value, dict)}
    data = {name: value for name, value in view.dossier.data.items() if not isinstance(value, dict)}
    statement = None
    if view.dossier.closed_at is not None:
        found = (
            written(view, event.command.get("args", {}).get("statement"), "statement")
            for event in reversed(view.events)
        )
        statement = next((one for one in found if one), None)
    asked = _asked(view)
    labels = {trigger.name: trigger.label or done for trigger in view.definition.triggers} | DONE
    label = labels.get(done)
    return visit.page(
        "dossier.html", status, files=files, beside=around, view=view, title=view.title, texts=texts, data=data, statement=statement, asked=asked,
        clocks=visit.say.clocks(view), timeline=visit.say.timeline(view), deposited=deposited, done=label,
        late=view.dossier.due_at is not None and view.dossier.due_at < view.now and view.dossier.closed_at is None
        and view.dossier.hold is None, papers=acknowledgements.listed(view) if view.sees_texts and view.named else [],
    )  # fmt: skip


def _asked(view: View) -> str | None:
    from workflow.view import asking  # noqa: PLC0415

    event = asking(view)
    return written(view, event.command["args"].get("reason"), "reason") if event is not None else None


def _trigger(view: View, name: str) -> Trigger:
    """What may be asked here by this reader. Raises Refused, with why not."""
    for trigger in view.allowed:
        if trigger.name == name:
            return trigger
    for trigger, why in view.closed_doors:
        if trigger.name == name:
            raise Refused("now", f"pas maintenant : {why}", field=trigger.label or name)
    raise Refused("unknown", f"« {shown(name)} » ne peut pas être demandé ici")


def _form(
    visit: Visit, session: Session, view: View, trigger: Trigger, typed: Mapping[str, str], *,
    problems: Mapping[str, CoupeFileError] | None = None, moved: Any = None, stale: Stale | None = None,
    changes: Any = (), flagged: Sequence[str] = (), status: int = 200,
) -> HTMLResponse:  # fmt: skip
    rules = view.definition.fields
    names = fields_of(view, trigger)
    return visit.page(
        "act.html", status, view=view, trigger=trigger, names=names, rules=rules, typed=typed, title=view.title,
        problems=problems or {}, moved=moved, flagged=flagged, stale=stale, changes=changes,
        places=services_of(session, view) if trigger.name in (CONSULT, PASS_ON)
        else places_of(visit, session, view) if "to_unit" in names else [],
        people=people_of(session, view) if "to_user" in names else [],
        effects=suspended_by(visit, view) if "motive" in names else {},
        forced="forced" in trigger.optional, seen="seen" in trigger.optional,
    )  # fmt: skip


def fields_of(view: View, trigger: Trigger) -> list[str]:
    """What the form of an act asks for, in order: what the rung above wants to be told is asked like the rest."""
    told = [name for name in trigger.optional if name in view.statement]
    unasked = {"seen", "forced", *told, *words.statement(view.definition)}
    return [*trigger.needs, *told, *(name for name in trigger.optional if name not in unasked)]


def services_of(session: Session, view: View) -> list[Place]:
    """The services that are usually consulted on this topic at this place, but for those that have an open request."""
    asked = {one.unit for one in view.consultations if one.closed_at is None}
    return [
        Place(code, name, "", staffed=True, here=False, proposed=False)
        for code, name, _ in consultations.usual(session, _data(session, view), view.now)
        if code not in asked and (view.unit is None or code != view.unit.code)
    ]


def _data(session: Session, view: View) -> dict[str, Any]:
    """What the dossier says of itself, by which administrations are found: also where the reader may not know it."""
    found: dict[str, Any] = session.execute(
        text("select data from dossiers where id = :id"), {"id": view.id}
    ).scalar_one()
    return found


_UNITS = "select id, code, name from units where id = any(:ids)"


def places_of(visit: Visit, session: Session, view: View) -> list[Place]:
    """The ladder of this topic at this place: who stands on each rung, and the next one up that is staffed, proposed."""
    context = directory.ladder_context(session, _data(session, view), view.now)
    rows = session.execute(text(_UNITS), {"ids": [rung.unit for rung in context.rungs if rung.unit is not None]})
    units = {row.id: (row.code, row.name) for row in rows}
    current = -1 if view.dossier.rung is None else view.dossier.rung
    wanted = next(
        (rung.index for rung in context.rungs if rung.unit in units and rung.staffed and rung.index > current), None
    )
    return [
        Place(
            *units[rung.unit], visit.say.rung(view.definition, rung.index), rung.staffed, rung.unit == view.dossier.unit,
            rung.index == wanted,
        )
        for rung in context.rungs
        if rung.unit in units
    ]  # fmt: skip


_MEMBERS = """
select distinct p.login, p.name from memberships m join persons p on p.id = m.person_id
where m.unit_id = :unit and m.role in ('referent', 'head', 'prefet', 'operator')
  and (m.valid_from is null or m.valid_from <= (select business_now()))
  and (m.valid_to is null or (select business_now()) < m.valid_to) order by p.name
"""


def people_of(session: Session, view: View) -> list[tuple[str, str]]:
    """Who may be given a dossier: (login, name) of those who sit in the unit that holds it."""
    rows = session.execute(text(_MEMBERS), {"unit": view.dossier.unit})
    return [(row.login, row.name) for row in rows]


def suspended_by(visit: Visit, view: View) -> dict[str, list[str]]:
    """For each motive of a request, the running clocks that it would suspend."""
    found: dict[str, list[str]] = {}
    for motive in view.definition.fields["motive"].of:
        found[motive] = [
            visit.say.clock(view.definition, name)
            for name, clock in view.dossier.clocks.items()
            if clock.end is None
            and (rule := view.definition.clocks.get(name)) is not None
            and rule.hold.get(motive, rule.hold.get("default", "ignore")) == "pause"
        ]
    return found


def _moved(visit: Visit, view: View, after: Any) -> list[tuple[str, str, str]]:
    """Each running clock with its due date now, and as it would be."""
    say = visit.say
    return [
        (
            say.clock(view.definition, name),
            say.on(view.dossier.clocks[name].due, view.zone) if name in view.dossier.clocks else "",
            say.on(clock.due, view.zone) if clock.end is None else say._("arrêté"),
        )
        for name, clock in after.clocks.items()
        if clock.end is None or view.dossier.clocks.get(name) != clock
    ]


def args_of(
    view: View, trigger: Trigger, fields: Mapping[str, str]
) -> tuple[dict[str, Any], dict[str, CoupeFileError]]:
    """The arguments of an act from its form: a day that was given as a term ends at closing, in the zone of the dossier."""
    args: dict[str, Any] = {}
    problems: dict[str, CoupeFileError] = {}
    for name in (*trigger.needs, *trigger.optional):
        value = fields.get(name, "").strip()
        rule = view.definition.fields[name]
        if rule.type == "unit" and value == OTHER:
            value = fields.get("other_unit", "").strip()
        if rule.type == "instant" and value:
            try:
                day = date.fromisoformat(value)
            except ValueError:
                problems[name] = BadInput(
                    "date", f"« {shown(value)} » n'est pas une date", field=name, accepted="AAAA-MM-JJ"
                )
                continue
            value = datetime.combine(day, CLOSING, tzinfo=ZoneInfo(view.zone)).isoformat()
        if value:
            args[name] = value
        elif name in trigger.needs or (name in view.statement and trigger.name in _climbs(view)):
            problems[name] = BadInput("missing", "ce champ est obligatoire", field=name)
    return args, problems


def _climbs(view: View) -> set[str]:
    return {trigger.name for trigger in view.definition.triggers if "climb" in trigger.effects}


def beside_field(trigger: Trigger, error: CoupeFileError) -> dict[str, CoupeFileError]:
    """A refusal beside the field that it is about, else at the top."""
    known = (*trigger.needs, *trigger.optional)
    field = {"term_passed": "answer_by", "term_too_far": "answer_by", "not_competent": "to_unit", "same_unit": "consulted" if "consulted" in known else "to_unit",
             "rung_reserved": "to_unit", "had_it": "to_unit", "not_a_member": "to_user"}.get(error.code, error.field or "")  # fmt: skip
    return {field if field in known else "": error}


def _since(view: View, seen: int) -> list[Any]:
    """The events after the one that brought the dossier to the version that was seen."""
    last = max((event.seq for event in view.events if event.effect.get("version", seen + 1) <= seen), default=0)
    return [event for event in view.events if event.seq > last]


def idem(visit: Visit, key: str | None) -> str | None:
    """The key of one sending of a form, of this person alone."""
    return f"web:{visit.actor.person}:{key[:64]}" if key and key.isprintable() else None
