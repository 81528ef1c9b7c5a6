"""`coupe-file`: every command, put together. The one module of this room that enters `tasks`."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import typer

from cli import database, filing, operate, reading, say, verbs
from cli.administrations import directory
from cli.circuits import workflow
from cli.clock import clock
from cli.compute import compute
from cli.door import Command, Door
from cli.options import Json
from cli.replay import replay
from cli.up import up

RING_SECONDS = 1.0
READ, ACT, FILE, OPERATE, SET_UP = "Lire", verbs.PANEL, "Déposer", "Exploiter et vérifier", "Installer et régler"


class Program(Door):
    """The program, which rings the doorbell once it has answered."""

    def after(self) -> None:
        """Ring for what was committed: best effort, bounded, and without a word. A lost ring costs one tick."""
        if not database.take_written():
            return
        with suppress(Exception):
            redis = database.broker()
            if redis is None:
                return
            os.environ["COUPE_FILE_REDIS_URL"] = redis
            from tasks.clockwork import ring

            bell = threading.Thread(target=_quietly, args=(ring,), daemon=True)
            bell.start()
            bell.join(RING_SECONDS)


def _quietly(ring: Callable[[str], None]) -> None:
    with suppress(Exception):
        ring("react")


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
    context_settings={"help_option_names": ["--help", "-h"], "max_content_width": 110},
)


@app.callback()
def root() -> None:
    """Say what the program is, in its help."""


def deliver(json: Json = False) -> None:
    """Envoie les messages en attente, par le canal que COUPE_FILE_MAIL nomme."""
    from tasks.deliver import deliver_all

    total, chosen = 0, database.settings()
    with database.sessions() as make:
        while done := deliver_all(make, chosen):
            total += done
    if json:
        say.document({"notices": total})
    else:
        say.line(f"{say.count(total, 'message traité', 'messages traités')}.")


def _register(panel: str, name: str, command: Any) -> None:
    app.command(name, cls=Command, rich_help_panel=panel)(command)


_register(FILE, "submit", filing.submit)
_register(READ, "show", reading.show)
_register(READ, "queue", reading.queue)
_register(READ, "journal", reading.journal)
for _name, _command in verbs.own():
    _register(ACT, _name, _command)
_register(ACT, "act", verbs.act)
for _name, _command in (
    ("sweep", operate.run_sweep),
    ("react", operate.react),
    ("deliver", deliver),
    ("verify", operate.prove),
    ("health", operate.health),
    ("replay", replay),
    ("compute", compute),
):
    _register(OPERATE, _name, _command)
app.add_typer(clock, name="clock", rich_help_panel=OPERATE)
_register(SET_UP, "up", up)
_register(SET_UP, "migrate", operate.migrate)
app.add_typer(directory, name="directory", rich_help_panel=SET_UP)
app.add_typer(workflow, name="workflow", rich_help_panel=SET_UP)


def main() -> None:
    """Run the command line."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream.encoding, str) and stream.encoding.lower().replace("-", "") != "utf8":
            stream.reconfigure(errors="replace")  # type: ignore[union-attr]
    app()
