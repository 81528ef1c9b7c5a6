"""Which commands there are, and where each is written: one is loaded, with what it needs, when it is asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from typing import Any

import typer

from cli.door import Command

READ, ACT, FILE = "Lire", "Agir sur un dossier", "Déposer"
OPERATE, SET_UP = "Exploiter et vérifier", "Installer et régler"
VERBS = "les verbes de la définition livrée"
# In the order of the help: the panel, then the module and the name of the function or of the group.
PLACES = {
    "submit": (FILE, "cli.filing", "submit"),
    "show": (READ, "cli.reading", "show"),
    "queue": (READ, "cli.reading", "queue"),
    "journal": (READ, "cli.reading", "journal"),
    "explain": (READ, "cli.explain", "explain"),
    "letter": (READ, "cli.letter", "letter"),
    "report": (READ, "cli.report", "report"),
    "whatif": (READ, "cli.whatif", "whatif"),
    "route": (READ, "cli.route", "route"),
    VERBS: (ACT, "cli.verbs", "own"),
    "act": (ACT, "cli.verbs", "act"),
    "bulk": (ACT, "cli.bulk", "bulk"),
    "invite": (ACT, "cli.invite", "invite"),
    "confide": (ACT, "cli.confide", "confide"),
    "share": (ACT, "cli.people", "share"),
    "leave": (ACT, "cli.people", "leave"),
    "file": (ACT, "cli.files", "files"),
    "sweep": (OPERATE, "cli.operate", "run_sweep"),
    "react": (OPERATE, "cli.operate", "react"),
    "deliver": (OPERATE, "cli.main", "deliver"),
    "scan": (OPERATE, "cli.main", "scan"),
    "verify": (OPERATE, "cli.operate", "prove"),
    "health": (OPERATE, "cli.main", "health"),
    "doctor": (OPERATE, "cli.main", "doctor"),
    "metrics": (OPERATE, "cli.operate", "metrics"),
    "backup": (OPERATE, "cli.copies", "backup"),
    "restore": (OPERATE, "cli.copies", "restore"),
    "replay": (OPERATE, "cli.replay", "replay"),
    "compute": (OPERATE, "cli.compute", "compute"),
    "up": (SET_UP, "cli.up", "up"),
    "web": (OPERATE, "cli.portal", "web"),
    "migrate": (SET_UP, "cli.operate", "migrate"),
    "outbox": (OPERATE, "cli.outbox", "outbox"),
    "webhook": (OPERATE, "cli.webhook", "webhook"),
    "stuck": (OPERATE, "cli.stuck", "stuck"),
    "clock": (OPERATE, "cli.clock", "clock"),
    "directory": (SET_UP, "cli.administrations", "directory"),
    "territories": (SET_UP, "cli.territories", "territories"),
    "absence": (SET_UP, "cli.people", "absence"),
    "reminders": (SET_UP, "cli.people", "reminders"),
    "vacancies": (OPERATE, "cli.people", "vacancies"),
    "calendar": (SET_UP, "cli.calendars", "calendar"),
    "workflow": (SET_UP, "cli.circuits", "workflow"),
}


class Commands(Mapping[str, Any]):
    """The commands by name; the verbs are looked at only for a name that is none of the others."""

    def __init__(self) -> None:
        self._built: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        """Give a command, built on first use. Raises KeyError."""
        if name not in self._built:
            known = name in PLACES and name != VERBS
            self._built[name] = _built(name, PLACES[name][0], _found(name)) if known else self._verb(name)
        return self._built[name]

    def __iter__(self) -> Iterator[str]:
        for name in PLACES:
            if name == VERBS:
                yield from _verbs()
            else:
                yield name

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def _verb(self, name: str) -> Any:
        return _built(name, ACT, _verbs()[name])


def _found(name: str) -> Any:
    _, module, written = PLACES[name]
    return getattr(import_module(module), written)


def _verbs() -> dict[str, Callable[..., None]]:
    return dict(_found(VERBS)())


def _built(name: str, panel: str, written: Any) -> Any:
    """A command or a group as typer makes it of a function or of a Typer."""
    alone = typer.Typer(rich_markup_mode="markdown", pretty_exceptions_enable=False)
    if isinstance(written, typer.Typer):
        alone.add_typer(written, name=name, rich_help_panel=panel)
    else:
        alone.command(name, cls=Command, rich_help_panel=panel)(written)
    return typer.main.get_group(alone).commands[name]
