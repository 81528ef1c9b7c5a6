"""`coupe-file invite`: who carries a dossier, who is invited to, and how one comes and goes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from cli import completion, database, say
from cli.options import As, Json, Ref, person
from states.errors import BadInput
from workflow import words
from workflow.access import find

if TYPE_CHECKING:
    from collections.abc import Sequence

    from workflow.invitations import Invitation
    from workflow.parties import Member

SIDES = ("elected", "company")
Mail = Annotated[
    str | None,
    typer.Argument(
        metavar="ADRESSE", help="L'adresse de la personne (sans adresse : qui porte le dossier, et qui y est invité).",
        show_default=False,
    ),
]  # fmt: skip
Side = Annotated[
    str | None,
    typer.Option(
        "--side", metavar="CHOIX", help="elected (du côté de l'élu) ou company (du côté de l'entreprise).",
        show_default=False, autocompletion=completion.choices(SIDES),
    ),
]  # fmt: skip
TakeBack = Annotated[
    int | None, typer.Option("--take-back", metavar="ID", help="Reprendre une invitation.", show_default=False)
]
Again = Annotated[
    int | None,
    typer.Option("--again", metavar="ID", help="Renvoyer une invitation, une seule fois.", show_default=False),
]
Quit = Annotated[bool, typer.Option("--quit", metavar="", help="Ne plus porter le dossier.", show_default=False)]


def invite(
    ref: Ref,
    mail: Mail = None,
    side: Side = None,
    take_back: TakeBack = None,
    again: Again = None,
    quit_: Quit = False,
    as_: As = None,
    json: Json = False,
) -> None:
    """Invite une personne, par courriel, à porter un dossier avec vous : les droits sont les mêmes.

    Le courriel donne un lien qui sert une fois, pendant quatorze jours. La dernière personne qui porte un dossier ne peut pas le
    quitter.
    """
    from workflow import invitations, parties

    asked = [mail is not None, take_back is not None, again is not None, quit_]
    if sum(asked) > 1 or (side is not None) != (mail is not None):
        raise BadInput(
            "one", "une chose à la fois", field="--side",
            accepted="ADRESSE avec --side, ou --take-back, ou --again, ou --quit, ou rien pour la liste",
        )  # fmt: skip
    with database.writing() if any(asked) else database.reading() as session:
        actor = person(session, as_)
        key = find(session, ref, actor)
        done = None
        if mail is not None:
            made = invitations.invite(session, key, actor, mail=mail, side=side or "")
            done = f"Déjà invitée : {mail}." if made.repeated else f"Invitation {made.id} : le courriel va partir."
        elif take_back is not None:
            done = f"Invitation {invitations.take_back(session, key, actor, take_back).id} reprise."
        elif again is not None:
            done = f"Invitation {invitations.send_again(session, key, actor, again).id} : le courriel va repartir."
        elif quit_:
            parties.leave(session, key, actor)
            done = "Vous ne portez plus ce dossier."
        people = [] if quit_ else parties.members(session, key, actor)
        found = [] if quit_ else invitations.listed(session, key, actor)
    if json:
        say.document({"parties": [one.name for one in people], "invitations": [_said(one) for one in found]})
        return
    if done is not None:
        say.line(done, style="green")
    if not quit_:
        _list(people, found)


def _said(one: Invitation) -> dict[str, object]:
    return {
        "id": one.id, "side": one.side, "mail": one.mail, "inviter": one.inviter, "asked_at": one.asked_at,
        "ends_at": one.ends_at, "status": one.became, "name": one.name, "may_be_sent_again": one.again and one.open,
    }  # fmt: skip


def _list(people: Sequence[Member], found: Sequence[Invitation]) -> None:
    say.fact("Porté par", " ; ".join(one.name for one in people))
    if found:
        say.table(
            ("N°", "Qui", "Côté", "Invitation", "De"),
            [
                (str(one.id), one.name or one.mail or "", words.choice(one.side), words.BECAME[one.became], one.inviter)
                for one in found
            ],
        )
