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
from cli.chosen import settings
from cli.door import REFUSED, Command, Group
from cli.effect import effect
from cli.options import As, At, Json, day, moment, reader
from cli.report_options import From, OfDefinition, OfDepartement, OfRung, OfTerritory, OfTopic, OfUnit, To, whole
from states import nzia as european
from states import report as figures
from states.errors import BadInput, shown
from workflow import business_time, counters, export, nzia_file, report_file, report_paper, sheets
from workflow import report as room
from workflow.report import Asked, Made
from workflow.report_file import NO_DATA
from workflow.typeset import Part

report = typer.Typer(
    cls=Group,
    help="Où le temps se perd : promesses tenues ou non, attentes, qui a eu la balle.\n\n"
    "Tout est calculé du journal. Les dossiers ouverts comptent ; sans donnée, rien n'est affirmé.",
    invoke_without_command=True,
    rich_markup_mode=None,
)


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
    known |= {f"kept:{box}" for box in figures.BOXES}
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
def nzia(
    since: From = None,
    until: To = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", metavar="FICHIER", help="Le fichier à écrire : .xlsx ou .pdf.", show_default=False),
    ] = None,
    as_: As = None,
    json: Json = False,
) -> None:
    """Le rapport du règlement (UE) 2024/1735 (NZIA), article 42, paragraphe 2, point e), sur les projets de la base.

    Par technologie : procédures engagées, demandes refusées, décisions et leur durée, prolongations comprises ; les procédures en cours à côté, et ce qui manque pour être complet.
    """
    begins, ends = room.period(day(since, "--from"), day(until, "--to"))
    if begins is None or ends is None:
        raise BadInput("period", "la période du rapport est à dire", field="--from", accepted="--from DATE --to DATE")
    if output is not None and output.suffix not in nzia_file.FORMS:
        words = f"« {shown(output.name)} » ne dit pas de forme connue"
        raise BadInput("output", words, field="--output", accepted="un nom qui finit par .xlsx ou .pdf")
    with database.sessions() as make:
        with make() as session:
            actor, now = reader(session, as_), business_time.now(session)
        given = room.stream(make, actor=actor, at=min(now, ends))
        found = european.nzia(
            ((reference, facts) for _, reference, facts in given), since=begins, until=ends, now=now, zone=room.ZONE
        )
    said, at = european.plain(found), min(now, ends)
    period = f"du {begins:%d/%m/%Y} au {ends - timedelta(days=1):%d/%m/%Y}"
    if output is not None:
        with whole(output) as part:
            nzia_file.write(part, said, period, at, output.suffix, operator=settings().operator)
        say.line(f"{nzia_file.TITLE} : {output}")
    elif json:
        say.document({"from": since, "to": until, "at": at, **said})
    else:
        say.line(f"{nzia_file.ARTICLE}, {period}", style="bold")
        for one in nzia_file.parts(said):
            _part(one)


FORMATS = ("csv", "xlsx", "pdf", "xes", "ocel")
BOUND = ("xlsx", "pdf")
"""What is written only to a file."""


@report.command("export", cls=Command)
def export_(
    form: Annotated[
        str,
        typer.Argument(
            metavar="FORME",
            help="csv (Excel français), xlsx (deux feuilles), pdf (le rapport sur papier), xes ou ocel (OCEL 2.0, JSON) pour la fouille de processus.",
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
    """Exporte les dossiers (csv, xlsx), le journal (xes, ocel) ou le rapport (pdf), sans texte ni personne."""
    if form not in FORMATS:
        raise BadInput("form", f"forme inconnue : « {shown(form)} »", field="FORME", accepted=", ".join(FORMATS))
    if form in BOUND and output is None:
        raise BadInput("output", "cette forme ne s'écrit que dans un fichier", field="--output", accepted="un fichier")
    asked = Asked(day(since, "--from"), day(until, "--to"))
    with database.sessions() as make:
        with make() as session:
            actor, now = reader(session, as_), business_time.now(session)
            wanted, known = room.wanted(session, asked), export.units(session)
            labels, coded = room.labels(session), room.unnamed(session, actor)
        when = moment(at) or now
        if when > now:
            raise BadInput("at", "cet instant est à venir", field="--at", accepted=f"au plus tard {now.isoformat()}")
        if form == "pdf":
            assert output is not None  # noqa: S101  (refused above)
            made = room.make(make, asked, actor=actor, at=when)
            with whole(output) as part:
                part.write_bytes(report_paper.pdf(made, asked, operator=settings().operator))
            return
        every = room.stream(make, actor=actor, at=when)
        rows = ((ref, room.told(facts, coded, key)) for key, ref, facts in every if wanted.dossier(facts))
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
    say.fact("Dossiers déposés", report_file.period(asked))
    say.fact("Tel que su le", say.short(made.report.now))
    if not said["counts"]["dossiers"] and not said["clocks"]:
        say.line(f"{NO_DATA.capitalize()} : aucun dossier.")
        return
    say.line(" · ".join(f"{words} : {said['counts'][name]}" for name, words in report_paper.COUNTS.items()))
    say.line(" · ".join(f"{words} : {said['totals'][name]}" for name, words in report_paper.TOTALS.items()))
    for part in report_paper.parts(made, asked, said):
        _part(part)


def _part(part: Part) -> None:
    say.line()
    say.line(part.title, style="bold")
    if part.rows:
        say.table(part.head, part.rows)
    for words in (*part.paragraphs, *(f"- {item}" for item in part.items)):
        say.line(words)


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
