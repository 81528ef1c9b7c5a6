"""`coupe-file`: every command, put together. The one module of this room that enters `tasks`."""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Annotated, Any

import typer

from cli import completion, say
from cli.commands import Commands
from cli.door import Door
from cli.options import Json
from config import log_lines

RING_SECONDS = 1.0


class Program(Door):
    """The program, which loads the command that is asked for and rings the doorbell once it has answered."""

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        self.commands: Any = Commands()

    def after(self) -> None:
        """Ring for what was committed: best effort, bounded, and without a word. A lost ring costs one tick."""
        database = sys.modules.get("cli.database")  # what was not loaded wrote nothing
        if database is None or not database.take_written():
            return
        with suppress(Exception):
            redis = database.broker()
            if redis is None:
                return
            os.environ["COUPE_FILE_REDIS_URL"] = redis
            from tasks.bell import ring

            bell = threading.Thread(target=_quietly, args=(ring,), daemon=True)
            bell.start()
            bell.join(RING_SECONDS)


def _quietly(ring: Callable[[str], None]) -> None:
    with suppress(Exception):
        ring("react")


def _trial(*given: Any) -> Any:
    """Call a webhook: the one thing that a command below asks of `tasks`."""
    from tasks.webhooks import trial

    return trial(*given)


app = typer.Typer(
    cls=Program,
    name="coupe-file",
    help=(
        "Le coupe-file administratif : un dossier, un blocage, l'administration compétente, et des délais qui courent.\n\n"
        "Pour commencer : coupe-file directory sample, puis coupe-file submit --help. Chaque commande s'explique par --help ; "
        "--as dit qui agit, --json répond à une machine."
    ),
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["--help", "-h"], "max_content_width": 110, "obj": _trial},
)


def _version(ctx: typer.Context, asked: bool) -> None:
    if asked and not ctx.resilient_parsing:
        from importlib import metadata

        say.line(f"coupe-file {metadata.version('coupe-file')}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            metavar="",
            help="Dire la version du programme.",
            is_eager=True,
            callback=_version,
            show_default=False,
        ),
    ] = False,
    install_completion: completion.Install = None,
    show_completion: completion.Show = None,
) -> None:
    """Say what the program is, in its help."""


def deliver(json: Json = False) -> None:
    """Envoie les messages en attente, par le canal que COUPE_FILE_MAIL nomme, et appelle les webhooks."""
    from cli import database
    from cli.chosen import settings
    from tasks.deliver import deliver_all
    from tasks.webhooks import deliver_webhooks
    from workflow import installation

    total, chosen = 0, settings()
    with database.sessions() as make:
        while done := deliver_all(make, chosen) + deliver_webhooks(make, chosen):
            total += done
        with make() as session:
            held = installation.held(session)
    if json:
        say.document({"notices": total, "held": held})
        return
    say.line(f"{say.count(total, 'message traité', 'messages traités')}.")
    if held:
        say.line(f"Les envois sont retenus : {held}. Pour les laisser partir : coupe-file outbox release", style="red")


def scan(
    again: Annotated[
        bool,
        typer.Option(
            "--again", metavar="", help="Tout examiner de nouveau, après de nouvelles signatures.", show_default=False
        ),
    ] = False,
    json: Json = False,
) -> None:
    """Fait examiner les pièces en attente par l'antivirus que COUPE_FILE_CLAMD nomme.

    Avec --again, une pièce reste fermée jusqu'à ce qu'elle soit de nouveau examinée. Le code de sortie est 1 quand une pièce
    n'a pas pu l'être.
    """
    from cli import database
    from cli.chosen import settings
    from cli.files import vault
    from states.errors import BadInput
    from tasks.scan import scan_all
    from workflow import scans

    total, chosen = 0, settings()
    if chosen.clamd is None:
        raise BadInput(
            "settings",
            "l'antivirus manque",
            field="COUPE_FILE_CLAMD",
            accepted="unix:///chemin/clamd.ctl ou tcp://hôte:3310",
        )
    with database.sessions() as make:
        with make.begin() as session:
            if again:
                scans.again(session)
        while done := scan_all(make, chosen, vault(make)):
            total += done
        with make() as session:
            left = scans.standing(session)
    if json:
        say.document({"scanned": total, "waiting": left.waiting, "infected": left.infected, "why": left.why})
    else:
        say.line(f"{say.count(total, 'pièce examinée', 'pièces examinées')}, {left.infected} malveillantes.")
        if left.waiting:
            say.line(f"{left.waiting} en attente : {left.why or 'un ouvrier les examine'}.", style="red")
    if left.waiting:
        raise typer.Exit(1)


def doctor(json: Json = False) -> None:
    """Examine l'installation : un point par ligne, OK, à corriger ou à décider, avec le remède.

    Le code de sortie est 1 quand un point est à corriger. Aucun message n'est envoyé.
    """
    from cli.doctor import examine
    from tasks import checkup

    examine((checkup.broker, checkup.relay, checkup.clamd, checkup.portal), json=json)


def health(
    worker: Annotated[
        str | None,
        typer.Option(
            "--worker",
            metavar="NOM",
            help="Ne demander qu'à ce worker, qui doit répondre lui-même : son nom Celery, où %h est cette machine.",
            show_default=False,
        ),
    ] = None,
    beat: Annotated[
        bool,
        typer.Option("--beat", metavar="", help="Ne regarder que l'horloge de cette machine.", show_default=False),
    ] = False,
    within: Annotated[
        float,
        typer.Option(
            "--within", min=0.1, max=600, metavar="SECONDES", help="Attente de la réponse du worker, de 0.1 à 600."
        ),
    ] = 65,
    json: Json = False,
) -> None:
    """Dit si tout va bien ; le code de sortie est 1 quand quelque chose demande un regard."""
    if worker is None and not beat:
        from cli import operate

        operate.health(json=json)
        return
    from cli.chosen import settings

    settings()
    from tasks import life

    said: dict[str, Any] = {"ok": True}
    if worker is not None:
        said |= {"worker": worker, "answered_in": life.asked(worker, patience=within)}
    if beat:
        said |= {"sent_ago": life.ticked()}
    if json:
        say.document(said)
        return
    if worker is not None:
        say.line(f"Le worker {worker} a répondu en {said['answered_in']:.1f} s.", style="green")
    if beat:
        say.line(f"L'horloge a envoyé un battement il y a {said['sent_ago']:.0f} s.", style="green")


def main() -> None:
    """Run the command line."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream.encoding, str) and stream.encoding.lower().replace("-", "") != "utf8":
            stream.reconfigure(errors="replace")  # type: ignore[union-attr]
    log_lines.configure(os.environ.get("COUPE_FILE_LOG", "text"), level=logging.WARNING)
    app()
