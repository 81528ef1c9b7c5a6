"""Several dossiers at once: choose an act, see what it would do to each, do it, and read what became of each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Query
from fastapi.responses import HTMLResponse
from sqlalchemy.orm import Session

from states.definition import CONSULT, PASS_ON, Trigger
from states.errors import BadInput, CoupeFileError, Refused, shown
from web import dossier
from web.visit import DeskVisit, Posted, Visit
from workflow import bulk
from workflow.bulk import Chosen, Foreseen, Item
from workflow.view import View

router = APIRouter(include_in_schema=False)
TICKED = "dossier."
"""A dossier that is ticked in a form: its reference follows, and the value is the version that was seen."""


@router.get("/file/ensemble")
def choose(
    visit: DeskVisit, d: Annotated[list[str] | None, Query(max_length=bulk.MOST)] = None, verbe: str | None = None
) -> HTMLResponse:
    """The dossiers that were ticked, and the acts that are allowed on all or some of them; with `verbe`, its form."""
    with visit.reading() as session:
        chosen = bulk.look(session, d or [], visit.actor)
        if verbe:
            return _form(visit, session, chosen, verbe, {})
    acts: dict[str, list[View]] = {}
    for view in _seen(chosen):
        for trigger in view.allowed:
            acts.setdefault(trigger.name, []).append(view)
    there = urlencode([("d", one.reference) for one in chosen])
    links = [
        (visit.say.act(views[0].definition, name), len(views), f"/file/ensemble?{there}&{urlencode({'verbe': name})}")
        for name, views in acts.items()
    ]
    return visit.page("bulk.html", chosen=chosen, links=links, titles=_titles(chosen))


@router.post("/file/ensemble/{name}")
def ask(visit: DeskVisit, name: str, fields: Posted) -> HTMLResponse:
    """Show what it would do to each, or do it: each apart, once under the key of this sending."""
    ticked = {field.removeprefix(TICKED): value for field, value in fields.items() if field.startswith(TICKED)}
    with visit.reading() as session:
        chosen = bulk.look(session, ticked, visit.actor)
        if fields.get("do") == "act":
            items = {one.reference: _item(one, name, fields, ticked[one.reference])[0] for one in chosen}
        else:
            return _form(visit, session, chosen, name, fields, look=fields.get("do") == "preview")
    done = bulk.act(
        visit.make, list(items.values()), name, actor=visit.actor, idem=dossier.idem(visit, fields.get("key"))
    )
    visit.ring()
    left = [one.reference for one in done if one.error is not None]
    typed = {
        field: value for field, value in fields.items() if not field.startswith(TICKED) and field not in ("key", "do")
    }
    label = next((visit.say.act(view.definition, name) for view in _seen(chosen)), name)
    return visit.page(
        "bulk_done.html", done=done, left=left, typed=typed, name=name, label=label, titles=_titles(chosen)
    )


# --- parts ------------------------------------------------------------------------------------------------------------


def _seen(chosen: Sequence[Chosen]) -> list[View]:
    return [one.view for one in chosen if one.view is not None]


def _titles(chosen: Sequence[Chosen]) -> dict[str, str | None]:
    found = {}
    for view in _seen(chosen):
        found[view.reference] = view.title
    return found


def _rule(view: View, name: str) -> Trigger | None:
    return next((trigger for trigger in view.definition.triggers if trigger.name == name), None)


def _item(
    one: Chosen, name: str, fields: Mapping[str, str], version: str = ""
) -> tuple[Item, dict[str, CoupeFileError]]:
    """What is asked of a dossier by this form, in its own time zone, and what is wrong with it."""
    rule = _rule(one.view, name) if one.view is not None else None
    args, problems = dossier.args_of(one.view, rule, fields) if one.view is not None and rule is not None else ({}, {})
    seen = int(version) if version.isascii() and version.isdecimal() and len(version) < 10 else None  # noqa: PLR2004
    return Item(one.reference, seen, args), problems


def _form(
    visit: Visit, session: Session, chosen: Sequence[Chosen], name: str, typed: Mapping[str, str], *, look: bool = False
) -> HTMLResponse:
    """The form of an act on several dossiers, with why it is not for some; with `look`, what it would do to each.

    Raises Refused when it is allowed on none.
    """
    lead = next((view for view in _seen(chosen) if any(one.name == name for one in view.allowed)), None)
    if lead is None:
        sentence = f"« {_label(visit, chosen, name)} » n'est possible maintenant sur aucun des dossiers choisis"
        raise Refused("now", sentence)
    rule = next(one for one in lead.allowed if one.name == name)
    problems: dict[str, CoupeFileError] = {}
    foreseen: list[Foreseen] = []
    if look:
        items = {one.reference: _item(one, name, typed) for one in chosen}
        problems = next(wrong for item, wrong in items.values() if item.reference == _named(chosen, lead))
        if not problems:
            foreseen = bulk.foresee(session, chosen, name, {key: item for key, (item, _) in items.items()})
            wrong = next((one.error for one in foreseen if one.chosen.view is lead), None)
            if isinstance(wrong, BadInput):
                problems, foreseen = dossier.beside_field(rule, wrong), []
    names = dossier.fields_of(lead, rule)
    able = [view for view in _seen(chosen) if any(one.name == name for one in view.allowed)]
    return visit.page(
        "bulk_form.html", 422 if problems else 200, view=lead, trigger=rule, names=names, rules=lead.definition.fields,
        typed=typed, problems=problems, chosen=chosen, foreseen=foreseen, titles=_titles(chosen), ticked=TICKED,
        shut={one.reference: _shut(one, name) for one in chosen}, forced="forced" in rule.optional,
        places=_once(place for view in able for place in dossier.services_of(session, view)) if name in (CONSULT, PASS_ON)
        else _places(visit, session, able) if "to_unit" in names else [],
        people=_people(session, able) if "to_user" in names else [],
        effects=_suspended(visit, able) if "motive" in names else {},
    )  # fmt: skip


def _named(chosen: Sequence[Chosen], view: View) -> str:
    return next(one.reference for one in chosen if one.view is view)


def _label(visit: Visit, chosen: Sequence[Chosen], name: str) -> str:
    found = next((view.definition for view in _seen(chosen) if _rule(view, name) is not None), None)
    return visit.say.act(found, name) if found is not None else shown(name)


def _shut(one: Chosen, name: str) -> str | None:
    """Why this act is not for this dossier now; None when it is."""
    if one.view is None:
        return one.error.message if one.error is not None else ""
    if any(trigger.name == name for trigger in one.view.allowed):
        return None
    why = next((why for trigger, why in one.view.closed_doors if trigger.name == name), None)
    return why or "pas à cette étape, ou pas dans votre rôle"


def _once(places: Iterable[dossier.Place]) -> list[dossier.Place]:
    return list({place.code: place for place in places}.values())


def _places(visit: Visit, session: Session, views: Sequence[View]) -> list[dossier.Place]:
    """Every administration on the ladders of these dossiers; one is proposed when it is the next one up of all."""
    ladders = [dossier.places_of(visit, session, view) for view in views]
    proposed = [{place.code for place in ladder if place.proposed} for ladder in ladders]
    return [
        replace(place, here=False, proposed=all(place.code in one for one in proposed))
        for place in _once(place for ladder in ladders for place in ladder)
    ]


def _people(session: Session, views: Sequence[View]) -> list[tuple[str, str]]:
    """Who may be given all of these dossiers."""
    first, *rest = [dossier.people_of(session, view) for view in views]
    return [person for person in first if all(person in others for others in rest)]


def _suspended(visit: Visit, views: Sequence[View]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for view in views:
        for motive, labels in dossier.suspended_by(visit, view).items():
            found[motive] = list(dict.fromkeys([*found.get(motive, []), *labels]))
    return found
