"""`coupe-file route`: who is competent for a topic at a place, rung by rung, and why."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, time
from typing import TYPE_CHECKING, Annotated, Any
from zoneinfo import ZoneInfo

import typer

from cli import database, say
from cli.options import Json
from states.errors import BadInput

if TYPE_CHECKING:
    from states.ladder import Directory, Ladder, Place, Topic, Unit


def route(
    topic: Annotated[
        str | None,
        typer.Option(
            "--topic", metavar="SUJET", help="Le sujet, par son code (--topics les montre).", show_default=False
        ),
    ] = None,
    commune: Annotated[
        str | None,
        typer.Option(
            "--commune",
            metavar="INSEE",
            help="La commune du site : son code INSEE, son nom ou son code postal.",
            show_default=False,
        ),
    ] = None,
    at: Annotated[
        str | None,
        typer.Option(
            "--at",
            metavar="DATE",
            help="Le jour dont on parle, 2026-11-24 ; à défaut, aujourd'hui.",
            show_default=False,
        ),
    ] = None,
    topics: Annotated[
        bool, typer.Option("--topics", metavar="", help="Montrer les sujets et ce qu'ils couvrent.", show_default=False)
    ] = False,
    json: Json = False,
) -> None:
    """Dit qui est compétent pour un sujet à un endroit : chaque échelon, l'administration, et pourquoi celle-là.

    Répond d'après l'annuaire de la base quand il est chargé, en disant où personne n'est en fonction ; sinon d'après celui qui est
    livré, sans pouvoir dire qui est là.
    """
    if topics:
        _topics(json=json)
        return
    from workflow import business_time, places

    if topic is None or commune is None:
        missing = "--topic" if topic is None else "--commune"
        raise BadInput(
            "missing", "obligatoire et absent", field=missing, accepted="un sujet et une commune, ou --topics"
        )
    asked, code = places.topic(topic, field="--topic"), _commune(commune)
    if database.present():
        with database.reading() as session:
            from workflow import directory

            instant = _instant(at) or business_time.now(session)
            found = directory.administrations(session)
            if found is not None:
                place = places.place(code, instant.astimezone(PARIS).date(), found.perimeters, field="--commune")
                ladder = found.directory.ladder(asked, place, instant, found.there)
                _say(asked, place, ladder, found.directory, instant, staffed=True, json=json)
                return
    instant = _instant(at) or business_time.real_now()
    place, shipped = places.place(code, field="--commune"), places.shipped_directory()
    _say(asked, place, shipped.ladder(asked, place, instant), shipped, instant, staffed=False, json=json)


PARIS = ZoneInfo(say.PARIS)


def _instant(at: str | None) -> datetime | None:
    """Noon of the day, in Paris: that day everywhere in the Republic but in the Pacific."""
    if at is None:
        return None
    try:
        return datetime.combine(date.fromisoformat(at), time(12), PARIS)
    except ValueError:
        raise BadInput("date", f"« {at[:40]} » n'est pas une date", field="--at", accepted="AAAA-MM-JJ") from None


def _commune(given: str) -> str:
    """The INSEE code that a text means. Raises BadInput: several communes, none."""
    from config.geography import search
    from config.geography.france import france

    if given in france() or given in france().former:
        return given
    found = search.find(given)
    namesakes = [match for match in found if search.fold(match.commune.name) == search.fold(given)] or found
    if len(namesakes) == 1:
        return namesakes[0].commune.code
    accepted = ", ".join(match.shown for match in namesakes[:5]) or "un code INSEE, un nom ou un code postal"
    sentence = f"plusieurs communes : « {given[:60]} »" if namesakes else f"commune inconnue : « {given[:60]} »"
    raise BadInput("commune", sentence, field="--commune", accepted=accepted)


def _topics(*, json: bool) -> None:
    from workflow import places

    known = places.known_topics().values()
    if json:
        say.document(
            {
                "topics": [
                    {"topic": one.name, "label": one.label, "help": one.help, "confidence": one.confidence}
                    for one in known
                ]
            }
        )
        return
    say.table(("Sujet", "Libellé", "Ce qu'il couvre"), [(one.name, one.label, one.help) for one in known])


def _say(
    topic: Topic, place: Place, ladder: Ladder, directory: Directory, at: datetime, *, staffed: bool, json: bool
) -> None:
    from config.administrations import shipped
    from workflow import words

    consulted, kinds = directory.consulted(topic, place, at), shipped.kinds()
    if json:
        say.document(_document(topic, place, ladder, consulted, at, staffed=staffed))
        return
    say.line(f"{place.name} ({place.commune}) : {topic.label}", style="bold")
    for rung in ladder:
        if rung.same_as is not None:
            say.line(f"{rung.number}  {rung.rule.label} : {rung.reason}.", style="dim")
            continue
        vacant = "" if not rung.vacant else " (vacance : personne n'est en fonction)" if rung.unit else " (vacance)"
        name = f"{rung.unit.name} [{rung.unit.code}]" if rung.unit else "personne"
        say.line(f"{rung.number}  {rung.rule.label} : {name}{vacant}", style="red" if rung.vacant else "")
        may = ", ".join(words.MAY[verb] for verb in rung.rule.may)
        level = words.LEVELS[rung.unit.level if rung.unit else rung.rule.level]
        say.line(f"   Niveau : {level} ; peut {may}.")
        say.line(f"   {rung.reason[:1].upper()}{rung.reason[1:]}.")
        if rung.rule.only_by:
            by = ", ".join(words.ROLES[role] for role in rung.rule.only_by)
            say.line(f"   Condition : saisi par le {by} seul, après les échelons locaux ; {rung.rule.statement}.")
    if consulted:
        told = [
            unit.name if unit else f"{kinds[kind]['label']} (pas d'administration dans l'annuaire)"
            for kind, unit in consulted
        ]
        say.fact("Consultés", " ; ".join(told))
    for lever in topic.levers:
        say.fact("Levier", f"{lever.title} ({lever.basis})")
    say.fact("Fondement", topic.basis + ("" if topic.confidence == "verified" else " ; à confirmer"))
    if not staffed:
        say.aside(
            "Annuaire livré : chargez-le (coupe-file directory import) pour savoir où personne n'est en fonction."
        )


def _document(
    topic: Topic,
    place: Place,
    ladder: Ladder,
    consulted: Sequence[tuple[str, Unit | None]],
    at: datetime,
    *,
    staffed: bool,
) -> dict[str, Any]:
    rungs = [
        {
            "rung": rung.number,
            "name": rung.rule.rung,
            "label": rung.rule.label,
            "level": rung.rule.level,
            "unit": rung.unit.code if rung.unit else None,
            "unit_name": rung.unit.name if rung.unit else None,
            "reason": rung.reason,
            "may": rung.rule.may,
            "same_as": rung.same_as,
            "vacant": rung.vacant if staffed or rung.unit is None else None,
            "only_by": rung.rule.only_by,
            "statement": rung.rule.statement or None,
        }
        for rung in ladder
    ]
    return {
        "topic": topic.name,
        "commune": place.commune,
        "commune_name": place.name,
        "at": at.astimezone(UTC),
        "rungs": rungs,
        "consulted": [{"kind": kind, "unit": unit.code if unit else None} for kind, unit in consulted],
        "levers": [lever._asdict() for lever in topic.levers],
        "basis": topic.basis,
        "confidence": topic.confidence,
    }
