"""`coupe-file workflow migrate …`: the dossiers of one version to another: what it would do, doing it, undoing it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from statistics import median_low
from typing import Annotated, Any

import typer
from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker

from cli import database, say
from cli.door import REFUSED, Command, Group
from cli.options import Json, pairs
from cli.versions import kept, title
from states.errors import Refused
from workflow import definitions, migration, words
from workflow.migration import Move, Plan, Shift
from workflow.models import DefinitionRow, DossierRow

migrate = typer.Typer(
    cls=Group,
    help="Faire passer les dossiers d'une version à une autre : ce que cela ferait, le faire, revenir.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
SHOWN = 5
States = Annotated[
    list[str] | None,
    typer.Option("--map-state", metavar="ANCIEN=NOUVEAU", help="L'état qui en remplace un autre.", show_default=False),
]
Rungs = Annotated[
    list[str] | None,
    typer.Option(
        "--map-rung", metavar="ANCIEN=NOUVEAU", help="L'échelon qui en remplace un autre.", show_default=False
    ),
]
_HELP = "Une version que la base contient : coupe-file@2 ; le nom seul dit la dernière."
Source = Annotated[str, typer.Argument(metavar="DE", help=_HELP, show_default=False)]
Target = Annotated[str, typer.Argument(metavar="VERS", help=_HELP, show_default=False)]
Limit = Annotated[
    int | None,
    typer.Option(
        "--limit", metavar="N", min=1, help="Combien de dossiers au plus ; relancer continue.", show_default=False
    ),
]


def _move(
    session: Session, source: str, target: str, states: Sequence[str] | None, rungs: Sequence[str] | None
) -> tuple[Move, DefinitionRow, DefinitionRow]:
    old, new = kept(session, source, "DE"), kept(session, target, "VERS")
    return (
        migration.move(
            definitions.get(session, old.id),
            definitions.get(session, new.id),
            states=pairs(states or (), "--map-state"),
            rungs=pairs(rungs or (), "--map-rung"),
        ),
        old,
        new,
    )


def _check_published(row: DefinitionRow) -> None:
    if row.state != "published":
        what = "suspendue" if row.state == "suspended" else "encore un projet"
        command = "resume" if row.state == "suspended" else "publish"
        raise Refused(
            "not_published",
            f"{title(row)} est {what} : aucun dossier n'y est conduit",
            field="VERS",
            accepted=f"coupe-file workflow {command} {row.name}@{row.version}, d'abord",
        )


# --- plan -------------------------------------------------------------------------------------------------------------


@migrate.command(cls=Command)
def plan(source: Source, target: Target, map_state: States = None, map_rung: Rungs = None, json: Json = False) -> None:
    """Dit ce que ferait la migration, dossier par dossier. Rien n'est écrit."""
    with database.sessions() as make:
        with make() as session:
            wanted, old, new = _move(session, source, target, map_state, map_rung)
            total = migration.waiting(session, wanted)
        found: Plan | None = None
        with _bar("Examen", total, hidden=json) as advance:
            for found in migration.plan(make, wanted):
                advance(found.total)
        assert found is not None  # noqa: S101  (a plan yields once at least)
        names = _references(make, [*found.late[:SHOWN], *found.acts[:SHOWN], *(key for key, _ in found.left)])
    if json:
        say.document(_planned(found, wanted, old, new, names))
    else:
        _tell(found, wanted, old, new, names)
    if found.left:
        raise typer.Exit(REFUSED)


def _planned(
    found: Plan, wanted: Move, old: DefinitionRow, new: DefinitionRow, names: dict[int, str]
) -> dict[str, Any]:
    return {
        "from": _of(old), "to": _of(new), "at": found.at, "dossiers": found.total,
        "states": [{"from": a, "to": b, "dossiers": n} for (a, b), n in sorted(found.states.items())],
        "clocks": [
            {"clock": name, "kept": shift.kept, "stopped": shift.stopped, "late_at_once": shift.late, **_span(shift)}
            for name, shift in sorted(found.clocks.items())
        ],
        "clocks_appear": list(found.appear), "clocks_vanish": _vanish(wanted),
        "late_at_once": len(found.late), "act_at_next_wake": len(found.acts), "holds": found.holds,
        "left": [{"reference": names.get(key, str(key)), "why": why} for key, why in found.left],
    }  # fmt: skip


def _of(row: DefinitionRow) -> dict[str, Any]:
    return {"id": row.name, "version": row.version, "digest": row.digest, "state": row.state}


def _vanish(wanted: Move) -> list[str]:
    new = wanted.target.compiled.definition.clocks
    return [name for name in wanted.source.compiled.definition.clocks if name not in new]


def _span(shift: Shift) -> dict[str, Any]:
    """How far the due dates move: how many, and the least, the middle and the most."""
    moved = sorted(shift.moved)
    if not moved:
        return {"moved": 0}
    return {"moved": len(moved), "earliest": moved[0], "median": median_low(moved), "latest": moved[-1]}


def _tell(found: Plan, wanted: Move, old: DefinitionRow, new: DefinitionRow, names: dict[int, str]) -> None:
    before, after = wanted.source.compiled.definition, wanted.target.compiled.definition
    say.line(f"De {title(old)} à {title(new)} : {say.count(found.total, 'dossier')}. Rien n'est écrit.", style="bold")
    if found.states:
        say.table(
            ("État", "Devient", "Dossiers"),
            [(words.state(before, a), words.state(after, b), str(n)) for (a, b), n in sorted(found.states.items())],
        )
    rows = []
    for name, shift in sorted(found.clocks.items()):
        span = _span(shift)
        moves = _moves(span) if shift.moved else "aucune"
        what = "s'arrête : la nouvelle version ne l'a pas" if shift.stopped else "gardé, avec ses suspensions"
        rows.append(
            (words.clock(before, name), what, str(shift.kept + shift.stopped), moves, str(shift.late or "aucun"))
        )
    if rows:
        say.table(("Délai en cours", "Ce qu'il devient", "Dossiers", "Échéances déplacées", "En retard aussitôt"), rows)
    for name in found.appear:
        say.line(f"Délai nouveau : « {words.clock(after, name)} » ; il part au prochain acte qui le lance.")
    if found.holds:
        say.line(
            f"Demandes au porteur en cours : {found.holds} ; elles gardent leur terme et les délais qu'elles suspendent."
        )
    _flag(len(found.late), found.late, names, "en retard aussitôt, par une échéance avancée")
    _flag(len(found.acts), found.acts, names, "où l'horloge agira dès son prochain passage, et pas avant")
    if new.state != "published":
        say.line("La nouvelle version n'est pas publiée : « apply » le demandera.", style="yellow")
    elif new.body["effective"]["from"] > found.at.date().isoformat():
        say.line(
            "La nouvelle version n'est pas encore en vigueur : d'ici là, les dépôts suivent l'ancienne.", style="yellow"
        )
    _left(found.left, names)


def _moves(span: dict[str, Any]) -> str:
    first, middle, last = _by(span["earliest"]), _by(span["median"]), _by(span["latest"])
    if first == last:
        return f"{span['moved']} : {first}"
    return f"{span['moved']} : de {first} à {last} (médiane {middle})"


def _by(length: timedelta) -> str:
    return ("-" if length < timedelta(0) else "+") + say.span(abs(length))


def _flag(count: int, keys: Sequence[int], names: dict[int, str], what: str) -> None:
    if count:
        some = ", ".join(names[key] for key in keys[:SHOWN] if key in names) + (", …" if count > SHOWN else "")
        say.line(f"ATTENTION : {say.count(count, 'dossier')} {what} ({some}).", style="yellow")


def _left(left: Sequence[tuple[int, str]], names: dict[int, str]) -> None:
    if left:
        say.line(
            f"{say.count(len(left), 'dossier')} ne peuvent pas passer :"
            if len(left) > 1
            else "1 dossier ne peut pas passer :",
            style="red",
        )
        for key, why in left[:SHOWN]:
            say.line(f"  {names.get(key, key)} : {why}")
        if len(left) > SHOWN:
            say.line(f"  … et {len(left) - SHOWN} autres.")


# --- apply and undo ---------------------------------------------------------------------------------------------------


@migrate.command(cls=Command)
def apply(
    source: Source,
    target: Target,
    map_state: States = None,
    map_rung: Rungs = None,
    limit: Limit = None,
    json: Json = False,
) -> None:
    """Fait passer les dossiers à la nouvelle version, par lots, sans rien déclencher ; interrompue, la relancer continue."""
    with database.sessions() as make:
        with make() as session:
            wanted, old, new = _move(session, source, target, map_state, map_rung)
            _check_published(new)
        _run(make, wanted, old, new, limit, json=json)


@migrate.command(cls=Command)
def undo(source: Source, target: Target, limit: Limit = None, json: Json = False) -> None:
    """Défait « migrate apply DE VERS » : les dossiers reviennent à la première version, avec les échéances qu'ils y auraient."""
    with database.sessions() as make:
        with make() as session:
            old, new = kept(session, source, "DE"), kept(session, target, "VERS")
            wanted = migration.back(definitions.get(session, old.id), definitions.get(session, new.id))
        _run(make, wanted, new, old, limit, json=json)


def _run(
    make: sessionmaker[Session], wanted: Move, old: DefinitionRow, new: DefinitionRow, limit: int | None, *, json: bool
) -> None:
    with make() as session:
        total = migration.waiting(session, wanted)
    done, left, foreign = 0, dict[int, str](), set[int]()
    with _bar("Migration", total if limit is None else min(total, limit), hidden=json) as advance:
        for moved in migration.run(make, wanted, limit=limit):
            done += len(moved.done)
            left = {key: why for key, why in left.items() if key not in moved.done} | dict(moved.left)
            foreign.update(moved.foreign)
            if moved.done:
                database.wrote()
            advance(done)
    with make() as session:
        rest = migration.waiting(session, wanted)
    names = _references(make, left)
    if json:
        stayed = [{"reference": names.get(key, str(key)), "why": why} for key, why in left.items()]
        say.document(
            {
                "from": _of(old),
                "to": _of(new),
                "moved": done,
                "left": stayed,
                "never_moved": len(foreign),
                "remaining": rest,
            }
        )
    else:
        verb = "revenu" if wanted.back else "passé"
        said = say.count(done, f"dossier {verb}", f"dossiers {verb}s")
        say.line(f"De {title(old)} à {title(new)} : {said}.", style="green")
        if foreign:
            say.line(f"{say.count(len(foreign), 'dossier')} n'étaient pas venus de {title(new)} : ils restent." if len(foreign) > 1
                     else f"1 dossier n'était pas venu de {title(new)} : il reste.")  # fmt: skip
        _left(list(left.items()), names)
        others = rest - len(left) - len(foreign)
        if others > 0:
            say.line(f"Restent {say.count(others, 'dossier')} : relancez la même commande pour continuer.")
    if left:
        raise typer.Exit(REFUSED)


@contextmanager
def _bar(what: str, total: int, *, hidden: bool) -> Iterator[Callable[[int], None]]:
    """A progress bar on stderr, on a terminal only; gives the function that says how far it is."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    disable = hidden or not sys.stderr.isatty()
    with Progress(*columns, console=say.console(stderr=True), transient=True, disable=disable) as progress:
        task = progress.add_task("", total=total)
        yield lambda completed: progress.update(task, completed=completed)


def _references(make: sessionmaker[Session], keys: Any) -> dict[int, str]:
    with make() as session:
        rows = session.execute(select(DossierRow.id, DossierRow.reference).where(DossierRow.id.in_(list(keys))))
        return {row.id: row.reference for row in rows}
