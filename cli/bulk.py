"""`coupe-file bulk`: one act on several dossiers, each in its own transaction, with a result for each."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from cli import database, say
from cli.options import As, DryRun, Given, Json, Key, Verb, pairs, person
from states.errors import CoupeFileError
from workflow import bulk as several
from workflow import words
from workflow.bulk import Done, Foreseen, Item, Seat

REFUSED = 1
BECAME = {"done": "fait", "repeated": "déjà fait sous cette clé", "changed": "changé entre-temps", "refused": "refusé"}


def bulk(
    trigger: Verb,
    refs: Annotated[
        list[str],
        typer.Argument(
            metavar="DOSSIER...",
            help="Les références des dossiers (cent au plus), ou - pour les lire à l'entrée standard.",
            show_default=False,
        ),
    ],
    given: Given = None,
    as_: As = None,
    key: Key = None,
    dry_run: DryRun = False,
    json: Json = False,
) -> None:
    """Demande la même chose pour plusieurs dossiers, chacun à part.

    Ce qui est refusé à l'un n'empêche rien pour les autres. Code de sortie 1 si un dossier au moins n'a pas été fait.
    """
    args = pairs(given or [], "--set")
    named = sys.stdin.read().split() if refs == ["-"] else refs
    items = [Item(reference, args=args) for reference in dict.fromkeys(named)]
    with database.sessions() as make:
        with make() as session:
            actor = person(session, as_)
            if dry_run:
                chosen = several.look(session, [item.reference for item in items], actor)
                foreseen = several.foresee(session, chosen, trigger, {item.reference: item for item in items})
        if not dry_run:
            done = several.act(make, items, trigger, actor=actor, idem=key)
    if dry_run:
        _foreseen(foreseen, trigger, json=json)
        left = any(one.error is not None for one in foreseen)
    else:
        database.wrote()
        _done(done, trigger, json=json)
        left = any(one.error is not None for one in done)
    if left:
        raise typer.Exit(REFUSED)


def _done(done: list[Done], trigger: str, *, json: bool) -> None:
    if json:
        results: list[dict[str, Any]] = []
        for one in done:
            said: dict[str, Any] = {"reference": one.reference, "became": one.became}
            if one.result is not None:
                said |= {"event": one.result.seq, "state": one.result.state, "kinds": one.result.kinds}
            results.append(said | _problem(one.error))
        say.document({"trigger": trigger, "results": results})
        return
    say.table(("Dossier", "Résultat", "Pourquoi"), [
        (one.reference, BECAME[one.became], str(one.error) if one.error is not None else "") for one in done
    ])  # fmt: skip


def _foreseen(foreseen: list[Foreseen], trigger: str, *, json: bool) -> None:
    if json:
        results = []
        for one in foreseen:
            clocks = [{"clock": move.clock, "before": move.before, "after": move.after} for move in one.moves]
            told = [{"seat": seat.seat, "unit": seat.unit} for seat in one.told]
            possible = one.decision is not None
            results.append({"reference": one.chosen.reference, "possible": possible, "clocks": clocks, "told": told,
                            **_problem(one.error)})  # fmt: skip
        say.document({"dry_run": True, "trigger": trigger, "results": results})
        return
    say.line("Rien n'est fait.", style="bold")
    say.table(("Dossier", "Échéances", "Passe à", "Prévenus"), [_told(one) for one in foreseen])


def _told(one: Foreseen) -> tuple[str, ...]:
    view = one.chosen.view
    if one.decision is None or view is None:
        return (one.chosen.reference, f"refusé : {one.error}", "", "")
    moves = [
        f"{words.clock(view.definition, move.clock)} : "
        + (say.short(move.after, view.zone) if move.after is not None else "arrêté")
        for move in one.moves
    ]
    return (
        one.chosen.reference,
        " ; ".join(moves) or "aucune ne change",
        one.to or "",
        ", ".join(map(_seat, one.told)),
    )


def _seat(seat: Seat) -> str:
    if seat.name is None:
        return words.ROLES[seat.seat]
    of = {"head": "chef de service, ", "assignee": "instructeur, "}.get(seat.seat, "")
    return f"{of}{seat.name}"


def _problem(error: CoupeFileError | None) -> dict[str, Any]:
    return {"error": error.as_dict()} if error is not None else {}
