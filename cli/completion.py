"""Completion by the shell: the two options that set it up, and the values that are known without a database."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

import typer
from typer import completion

from cli import say
from cli.door import COMPLETE, meaning
from states.errors import Refused


class Shell(StrEnum):
    """A shell that completes the command line."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


def _install(ctx: typer.Context, shell: Shell | None) -> None:
    if shell is None or ctx.resilient_parsing:
        return
    try:
        _, path = completion.install(shell=shell.value, prog_name="coupe-file", complete_var=COMPLETE)  # type: ignore[attr-defined]
    except (OSError, UnicodeError) as error:
        why = getattr(error, "strerror", None) or "un fichier de réglages n'est pas du texte UTF-8"
        raise Refused("completion", f"la complétion ne peut pas être installée : {why}") from None
    say.line(f"Complétion de {shell.value} installée dans {path}. Elle vaut dans les terminaux ouverts ensuite.")
    raise typer.Exit


def _show(ctx: typer.Context, shell: Shell | None) -> None:
    if shell is None or ctx.resilient_parsing:
        return
    script = completion.get_completion_script(  # type: ignore[attr-defined]
        prog_name="coupe-file", complete_var=COMPLETE, shell=shell.value
    )
    say.entry(script)
    raise typer.Exit


Install = Annotated[
    Shell | None,
    typer.Option(
        "--install-completion",
        metavar="SHELL",
        help="Installer pour votre compte la complétion des commandes : bash, zsh ou fish.",
        is_eager=True,
        callback=_install,
        show_default=False,
    ),
]
Show = Annotated[
    Shell | None,
    typer.Option(
        "--show-completion",
        metavar="SHELL",
        help="Écrire la complétion de bash, zsh ou fish, pour la placer vous-même.",
        is_eager=True,
        callback=_show,
        show_default=False,
    ),
]

# --- values -----------------------------------------------------------------------------------------------------------


def verbs() -> list[tuple[str, str]]:
    """The triggers of the shipped coupe-file that a person may ask, and their labels."""
    from cli import shipped

    asked = [trigger for trigger in shipped.own().triggers if set(trigger.by) - {"system"}]
    return [(trigger.name, meaning(trigger.label or trigger.name)) for trigger in asked]


def definitions() -> list[str]:
    """The names of the shipped definitions; where a file may be given, the shell offers files after them."""
    from cli import shipped

    return list(shipped.files())


def choices(of: tuple[str, ...]) -> Any:
    """What offers the choices of a field, and what each means."""

    def offer() -> list[tuple[str, str]]:
        from workflow import words

        return [(value, meaning(words.choice(value))) for value in of]

    return offer
