"""`coupe-file report`: where time is lost, computed from the journal; open dossiers count, and no datum is said to be none."""

from __future__ import annotations

import sys
from datetime import datetime, timedelta
from itertools import chain
from pathlib import Path
from typing import Annotated, Any

import typer

from cli import database, say
from cli.blockages import blockages
from cli.door import REFUSED, Command, Group
from cli.effect import effect
from cli.options import As, At, Json, day, moment, reader
from cli.report_options import From, OfDefinition, OfDepartement, OfRung, OfTerritory, OfTopic, OfUnit, To, whole
from states import nzia as european
from states import report as figures
from states.errors import BadInput, shown
from workflow import business_time, counters, export, report_file, sheets
from workflow import report as room
from workflow.report import Asked, Made

report = typer.Typer(
    cls=Group,
    help="Où le temps se perd : promesses tenues ou non, attentes, qui a eu la balle.\n\n"
    "Tout est calculé du journal. Les dossiers ouverts comptent ; sans donnée, rien n'est affirmé.",
    invoke_without_command=True,
    rich_markup_mode=None,
)
NO_DATA = "pas de donnée"
WAITS = {"triage": "Orientation", "first_answer": "Première réponse", "resolution": "Résolution"}
COUNTS = {
    "dossiers": "Dossiers", "open": "ouverts", "open_late": "ouverts en retard", "resolved": "résolus",
    "withdrawn": "retirés par le porteur", "escalated": "avec échelon saisi", "reminded": "avec rappel",
    "vacant": "avec échelon vacant", "reopened": "rouverts",
}  # fmt: skip
TOTALS = {
    "escalations": "Échelons saisis", "escalations_by_clock": "dont par l'horloge", "reminders": "Rappels",
    "vacancies": "Échelons vacants passés", "reopenings": "Réouvertures",
}  # fmt: skip
PARTIES = {"holder": "Porteur", "third_party": "Tiers", "nobody": "Personne"}


@report.callback()
def main(
    ctx: typer.Context,
    since: From = None,
    until: To = None,
    unit: OfUnit = None,
    territory: OfTerritory = None,
    area: OfDepartement = None,
    topic: OfTopic = None,
    rung: OfRung = None,
    version: OfDefinition = None,
    by: Annotated[
        str | None,
        typer.Option(
            "--by",
            metavar="CHOIX",
            help="Une ligne par unit (administration), departement, territory (Territoire d'industrie), topic (sujet), rung (échelon), definition ou month (mois).",
            show_default=False,
            autocompletion=lambda: list(room.GROUPS),
        ),
    ] = None,
    listing: Annotated[
        str | None,
        typer.Option(
            "--list",
            metavar="CHIFFRE",
            help="Les dossiers d'un chiffre, par son nom dans --csv : open_late, triage:waiting, first_answer:closed_late…",
            show_default=False,
        ),
    ] = None,
    at: At = None,
    as_: As = None,
    json: Json = False,
    as_csv: Annotated[
        bool,
        typer.Option("--csv", metavar="", help="Répondre en CSV, pour un tableur.", show_default=False),
    ] = False,
) -> None:
    """Report on what was submitted in a period, as of an instant."""
    if ctx.invoked_subcommand is not None:
        return
    if json and as_csv:
        raise BadInput("format", "deux formes de réponse sont demandées", field="--csv", accepted="--json ou --csv")
    asked = Asked(
        day(since, "--from"), day(until, "--to"), unit, territory, area, topic, rung, version, by
    )  # fmt: skip
    with database.sessions() as make:
        with make() as session:
            actor = reader(session, as_)
        made = room.make(make, asked, actor=actor, at=moment(at), listing=listing or ())
    _check_listing(listing, made)
    if listing is not None:
        _list(made, listing, json=json, as_csv=as_csv)
    elif json:
        say.document(report_file.document(made, asked))
    elif as_csv:
        for line in sheets.as_csv(report_file.lines(made)):
            say.raw(line)
    else:
        told(made, asked)


def _check_listing(listing: str | None, made: Made) -> None:
    if listing is None or listing in made.figures:
        return
    known = set(figures.COUNTS) | {f"{wait}:{how}" for wait in figures.WAITS for how in ("over", "waiting")}
    known |= {f"{clock}:{box}" for clock in made.clocks for box in figures.BOXES}
    known |= {f"age:{place}" for place in range(len(figures.AGES) + 1)}
    if listing not in known and not listing.startswith(("court:", "moved:")):
        accepted = ", ".join(sorted(made.figures)[:12]) or "aucun : il n'y a pas de donnée"
        raise BadInput("figure", f"chiffre inconnu : « {shown(listing)} »", field="--list", accepted=accepted)


report.command("effect", cls=Command)(effect)
report.command("blockages", cls=Command)(blockages)


@report.command("verify", cls=Command)
def verify(
    repair: Annotated[
        bool,
        typer.Option(
            "--repair", metavar="", help="Compter de nouveau ce qui diffère, puis vérifier.", show_default=False
        ),
    ] = False,
    json: Json = False,
) -> None:
    """Recalcule du journal tous les compteurs du rapport : aucune différence n'est attendue.

    Le code de sortie est 1 quand il y en a une.
    """
    read, found = 0, list[counters.Difference]()
    with database.sessions() as make:
        mended = counters.repair(make) if repair else None
        for read, wrong in counters.verify(make):  # noqa: B007  (the last count is said)
            found += wrong
    if json:
        said = [{"dossier": one.dossier_id, "text": one.text} for one in found]
        say.document({"dossiers": read, "differences": said, "repaired": mended})
    else:
        for one in found:
            say.entry(f"dossier {one.dossier_id} : {one.text}" if one.dossier_id else one.text, style="red")
        words = say.count(len(found), "différence")
        say.line(f"{say.count(read, 'dossier')}, {words if found else 'aucune différence'}.")
    if found:
        raise typer.Exit(REFUSED)


@report.command("nzia", cls=Command)
def nzia(since: From = None, until: To = None, as_: As = None, json: Json = False) -> None:
    """Le rapport du règlement (UE) 2024/1735 (NZIA), article 42, paragraphe 2, point e), sur les projets de la base.

    Par technologie : procédures engagées, demandes refusées, décisions et leur durée, prolongations comprises ; les procédures en cours à côté, et ce qui manque pour être complet.
    """
    begins, ends = room.period(day(since, "--from"), day(until, "--to"))
    if begins is None or ends is None:
        raise BadInput("period", "la période du rapport est à dire", field="--from", accepted="--from DATE --to DATE")
    with database.sessions() as make:
        with make() as session:
            actor, now = reader(session, as_), business_time.now(session)
        given = room.stream(make, actor=actor, at=min(now, ends))
        found = european.nzia(
            ((reference, facts) for _, reference, facts in given), since=begins, until=ends, now=now, zone=room.ZONE
        )
    said = european.plain(found)
    if json:
        say.document({"from": since, "to": until, "at": min(now, ends), **said})
        return
    _european(said, f"du {begins:%d/%m/%Y} au {ends - timedelta(days=1):%d/%m/%Y}")


def _european(said: dict[str, Any], period: str) -> None:
    say.line(f"Règlement (UE) 2024/1735, article 42(2)(e), {period}", style="bold")
    if not said["technologies"]:
        say.line(f"{NO_DATA.capitalize()} : aucun projet dans cette période.")
    rows = []
    for name, one in said["technologies"].items():
        spread, ages = one["decided"], one["open_ages"]
        rows.append(
            (name, str(one["begun"]), str(one["applications_refused"]), str(one["decisions_approved"]),
             str(one["decisions_refused"]), _range(spread), str(one["extended"]), f"{one['open']} ({_range(ages)})")
        )  # fmt: skip
    heads = ("Technologie", "Engagées", "Demandes refusées", "Accordées", "Refusées", "Durée des décidées")
    say.table((*heads, "Prolongées", "En cours (âge)"), rows)
    say.line("Il manque, pour être complet", style="bold")
    for one in said["missing"]:
        say.line(f"- {one['text']} : {', '.join(one['dossiers'][:20])}")
    for words in said["never_here"]:
        say.line(f"- {words}")


def _range(spread: dict[str, float] | None) -> str:
    if spread is None:
        return NO_DATA
    return f"médiane {spread['median']:g} jours, de {spread['min']:g} à {spread['max']:g}".replace(".", ",")


FORMATS = ("csv", "xlsx", "xes", "ocel")


@report.command("export", cls=Command)
def export_(
    form: Annotated[
        str,
        typer.Argument(
            metavar="FORME",
            help="csv (Excel français), xlsx (deux feuilles), xes ou ocel (OCEL 2.0, JSON) pour la fouille de processus.",
            show_default=False,
            autocompletion=lambda: list(FORMATS),
        ),
    ],
    since: From = None,
    until: To = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", metavar="FICHIER", help="Le fichier à écrire, plutôt que la sortie.", show_default=False
        ),
    ] = None,
    at: At = None,
    as_: As = None,
) -> None:
    """Exporte les dossiers (csv, xlsx) ou le journal (xes, ocel), à la suite, sans texte ni personne."""
    if form not in FORMATS:
        raise BadInput("form", f"forme inconnue : « {shown(form)} »", field="FORME", accepted=", ".join(FORMATS))
    if form == "xlsx" and output is None:
        raise BadInput("output", "un classeur ne s'écrit que dans un fichier", field="--output", accepted="un fichier")
    asked = Asked(day(since, "--from"), day(until, "--to"))
    with database.sessions() as make:
        with make() as session:
            actor, now = reader(session, as_), business_time.now(session)
            wanted, known = room.wanted(session, asked), export.units(session)
            labels = room.labels(session)
        when = moment(at) or now
        if when > now:
            raise BadInput("at", "cet instant est à venir", field="--at", accepted=f"au plus tard {now.isoformat()}")
        rows = ((ref, facts) for _, ref, facts in room.stream(make, actor=actor, at=when) if wanted.dossier(facts))
        if form == "xlsx":
            assert output is not None  # noqa: S101  (refused above)
            with whole(output) as part:
                export.book(part, rows, known, labels, when)
            return
        if form == "csv":
            body = sheets.as_csv(chain([export.DOSSIERS], (export.dossier(ref, one, known, when) for ref, one in rows)))
        else:
            body = export.FORMATS[form](make, actor=actor, at=when, wanted=wanted, known=known)
        if output is None:
            for piece in body:
                sys.stdout.buffer.write(piece.encode())
            sys.stdout.buffer.flush()
            return
        with whole(output) as path, path.open("wb") as file:
            for piece in body:
                file.write(piece.encode())


# --- for a person -----------------------------------------------------------------------------------------------------


def told(made: Made, asked: Asked) -> None:
    """The report for a person."""
    said = figures.plain(made.report)
    say.fact("Dossiers déposés", _period(asked))
    say.fact("Tel que su le", say.short(made.report.now))
    if not said["counts"]["dossiers"] and not said["clocks"]:
        say.line(f"{NO_DATA.capitalize()} : aucun dossier.")
        return
    say.line(" · ".join(f"{words} : {said['counts'][name]}" for name, words in COUNTS.items()))
    say.line(" · ".join(f"{words} : {said['totals'][name]}" for name, words in TOTALS.items()))
    _waits(said)
    for family, title in report_file.FAMILIES.items():
        _clocks(title, [one for one in said["clocks"] if one["family"] == family], made)
    _court(said, made)
    _ages(said)
    if asked.by is not None:
        _groups(made)


def _period(asked: Asked) -> str:
    if asked.first is None and asked.last is None:
        return "depuis toujours"
    begins = "depuis toujours" if asked.first is None else f"du {asked.first:%d/%m/%Y}"
    return begins if asked.last is None else f"{begins} au {asked.last:%d/%m/%Y}"


def _waits(said: dict[str, Any]) -> None:
    say.line()
    say.line("Attentes, dossiers encore en attente compris (Kaplan-Meier, intervalle à 95 %)", style="bold")
    rows = []
    for name, both in said["waits"].items():
        for which, words in (("gross", "brut"), ("net", "net des demandes")):
            found = both[which]
            rows.append(
                (WAITS[name], words, *((NO_DATA, "", "") if found is None else (
                    f"{found['over']} sur {found['waited']}", _quantile(found, "p50"), _quantile(found, "p90"))))
            )  # fmt: skip
    say.table(("Attente", "Temps", "Venue", "Médiane", "90 %"), rows)


def _quantile(found: dict[str, Any], name: str) -> str:
    if found[name] is None:
        return "pas encore atteint"
    low, high = found[f"{name}_interval"]
    return f"{days(found[name])} ({days(low)} à {days(high)})"


def days(seconds: float | None) -> str:
    """A duration in days, as French writes it."""
    return "?" if seconds is None else f"{seconds / timedelta(days=1).total_seconds():.1f} j".replace(".", ",")


def _clocks(title: str, found: list[dict[str, Any]], made: Made) -> None:
    say.line()
    say.line(title, style="bold")
    if not found:
        say.line(f"{NO_DATA.capitalize()}.")
        return
    rows = []
    for one in found:
        kept = NO_DATA if one["kept"] is None else f"{100 * one['kept']:.0f} % de {one['known']}"
        rows.append(
            (made.clocks.get(one["clock"], one["clock"]), *(str(one[box]) for box in figures.BOXES), kept,
             _quantile(one["gross"], "p50"), _quantile(one["net"], "p50"))
        )  # fmt: skip
    heads = ("Délai", "En cours à temps", "En cours dépassé", "Clos à temps", "Clos en retard", "Tenu", "Médiane brute")
    say.table((*heads, "Médiane nette"), rows)


def _court(said: dict[str, Any], made: Made) -> None:
    say.line()
    say.line("Qui a eu la balle", style="bold")
    if not said["court"]:
        say.line(f"{NO_DATA.capitalize()}.")
    rows = []
    for party, one in said["court"].items():
        kind, _, key = party.partition(":")
        name = made.units[int(key)][1] if kind == "unit" else PARTIES[party]
        rows.append((name, days(one["seconds"]), f"{100 * one['share']:.0f} %"))
    say.table(("Partie", "Temps", "Part"), rows)


def _ages(said: dict[str, Any]) -> None:
    say.line()
    say.line("Âge des dossiers ouverts", style="bold")
    say.table(("Âge", "Dossiers"), [(report_file.age(one), str(one["open"])) for one in said["ages"]])


def _groups(made: Made) -> None:
    say.line()
    rows = []
    for name, one in sorted(made.report.groups.items()):
        said = figures.plain(one)
        late = sum(each["open_late"] + each["closed_late"] for each in said["clocks"])
        fate = sum(each["known"] for each in said["clocks"] if each["family"] == "commitment")
        kept = sum(each["closed_in_time"] for each in said["clocks"] if each["family"] == "commitment")
        wait = said["waits"]["resolution"]["gross"]
        rows.append(
            (name or NO_DATA, str(said["counts"]["dossiers"]), str(said["counts"]["open"]), str(said["counts"]["open_late"]),
             str(late), f"{100 * kept / fate:.0f} % de {fate}" if fate else NO_DATA,
             NO_DATA if wait is None else _quantile(wait, "p50"))
        )  # fmt: skip
    say.table(
        ("Groupe", "Dossiers", "Ouverts", "Ouverts en retard", "Promesses en retard", "Engagements tenus", "Résolution, médiane"),
        rows,
    )  # fmt: skip


def _list(made: Made, listing: str, *, json: bool, as_csv: bool) -> None:
    if json:
        found = [{**_listed(one, made), "id": one.id, "times": one.times} for one in made.listed]
        say.document({"at": made.report.now, "figure": listing, "dossiers": found})
        return
    if as_csv:
        for line in sheets.as_csv(report_file.listed(made)):
            say.raw(line)
        return
    rows = [(*map(_cell, _listed(one, made).values()), str(one.times)) for one in made.listed]
    say.fact(listing, say.count(len(rows), "dossier"))
    say.table(report_file.HEADS, rows)


def _listed(one: room.Listed, made: Made) -> dict[str, Any]:
    unit = None if one.unit is None else made.units[one.unit][0]
    return {
        "reference": one.reference, "unit": unit, "phase": one.phase, "topic": one.topic, "commune": one.commune,
        "submitted": one.submitted, "closed": one.closed,
    }  # fmt: skip


def _cell(value: Any) -> str:
    return say.short(value) if isinstance(value, datetime) else "" if value is None else str(value)
