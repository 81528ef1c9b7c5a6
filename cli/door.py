"""The front door: every foreseeable error becomes one French sentence and an exit code, and help speaks French or English.

2: what was given cannot be read. 1: what was asked is refused, or a problem was found. 0: done.
"""

from __future__ import annotations

import difflib
import os
import re
import shutil
import sys
from collections.abc import Sequence
from functools import cache
from typing import Any

import typer
from rich.text import Text
from typer import completion, core
from typer.core import TyperCommand, TyperGroup

from cli import say
from config import settings
from config.yamltext import YamlError
from states.errors import BadInput, CoupeFileError, DefinitionError, Refused

OK, REFUSED, BAD_INPUT = 0, 1, 2
HELP = "Montre cette aide."
COMPLETE = "_COUPE_FILE_COMPLETE"
"""The variable by which the script of a shell asks what could come next."""

# What typer itself writes around our help, in French. Our own words are in French where they stand, and in English in
# cli/english.py.
FRENCH = {
    "Arguments": "Ce qu'il faut donner",
    "Options": "Options",
    "Commands": "Commandes",
    "Usage:": "Usage :",
    "COMMAND [ARGS]...": "COMMANDE [ARGUMENTS]...",
    "[default: {}]": "(par défaut : {})",
    "[env var: {}]": "(ou la variable {})",
    "[required]": "(obligatoire)",
    "default: {default}": "par défaut : {default}",
    "env var: {var}": "ou la variable {var}",
    "required": "obligatoire",
    "Missing command.": "il manque une commande",
}
FRAME = (
    "ARGUMENTS_PANEL_TITLE",
    "OPTIONS_PANEL_TITLE",
    "COMMANDS_PANEL_TITLE",
    "REQUIRED_LONG_STRING",
    "DEFAULT_STRING",
    "ENVVAR_STRING",
)


def said(words: str) -> str:
    """Words of our help in the language of the reader. The English is looked up only when it is asked for."""
    if settings.language() == "fr":
        return words
    from cli import english

    return english.WORDS.get(english.key(words), words)


def _typers(words: str) -> str:
    """Words of typer's own in the language of the reader."""
    return FRENCH.get(words, words) if settings.language() == "fr" else words


@cache
def _frame() -> tuple[Any, dict[str, str]]:
    """What draws the panels, loaded for a help alone, and its words as typer has them."""
    from typer import rich_utils

    rich_utils.OptionHighlighter.highlights.append(r"(?P<usage>Usage : )")
    return rich_utils, {name: getattr(rich_utils, name) for name in FRAME}


def speak(command: Any, ctx: Any, *, begun: str = "") -> None:
    """Put what a command's help shows in the language of the reader, with the commands under it whose name begins so."""
    vars(core)["_"] = _typers
    drawn, frame = _frame()
    for name, words in frame.items():
        setattr(drawn, name, _typers(words))
    if isinstance(command, TyperGroup):
        command.subcommand_metavar = _typers(command.subcommand_metavar)
    for parameter in command.get_params(ctx):
        parameter.help, parameter.metavar = said(parameter.help or ""), said(parameter.metavar or "") or None
        if parameter.param_type_name == "argument":
            parameter.display_type_rich = _untyped
        elif parameter.is_flag:
            parameter.metavar = ""
    below = getattr(command, "commands", {})
    for one in (command, *(below[name] for name in below if name.startswith(begun))):
        one.help = said(one.help or "")
        if isinstance(one.rich_help_panel, str):
            one.rich_help_panel = said(one.rich_help_panel)


def _untyped(ctx: Any) -> None:
    """Say nothing of an argument's type: its help says what to give."""


def _write_usage(command: Any, ctx: Any, formatter: Any) -> None:
    """One line: what must be given as such, what may be given between brackets."""
    pieces = [piece[1:-1] if piece.startswith("{") else piece for piece in command.collect_usage_pieces(ctx)]
    formatter.write_usage(ctx.command_path, " ".join(pieces), prefix=f"{_typers('Usage:')} ")


def meaning(words: str) -> str:
    """What completion says of a thing; zsh receives it between apostrophes, so it has none of its own."""
    return said(words).replace("'", "’")


def _offered(items: list[Any]) -> list[Any]:
    for item in items:
        item.help = meaning(item.help or "")
    return items


class Command(TyperCommand):
    """A command whose help is in one language throughout: the reader's."""

    def get_help_option(self, ctx: Any) -> Any:
        """Give `--help`, in our words."""
        return _ours(super().get_help_option(ctx))

    def format_usage(self, ctx: Any, formatter: Any) -> None:
        """Write how the command is called."""
        _write_usage(self, ctx, formatter)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the help in panels; on a narrow terminal, where panels would cut words, as plain lines."""
        speak(self, ctx)
        super(TyperCommand, self).format_help(ctx, formatter) if _narrow() else super().format_help(ctx, formatter)

    def shell_complete(self, ctx: Any, incomplete: str) -> list[Any]:
        """Offer the options."""
        speak(self, ctx)
        return _offered(super().shell_complete(ctx, incomplete))


class Group(TyperGroup):
    """A group of commands; an unknown one is answered with those that come near."""

    def get_help_option(self, ctx: Any) -> Any:
        """Give `--help`, in our words."""
        return _ours(super().get_help_option(ctx))

    def format_usage(self, ctx: Any, formatter: Any) -> None:
        """Write how the group is called."""
        _write_usage(self, ctx, formatter)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the help in panels; on a narrow terminal, where panels would cut words, as plain lines."""
        speak(self, ctx)
        super(TyperGroup, self).format_help(ctx, formatter) if _narrow() else super().format_help(ctx, formatter)

    def shell_complete(self, ctx: Any, incomplete: str) -> list[Any]:
        """Offer the commands and the options."""
        speak(self, ctx, begun=incomplete)
        return _offered(super().shell_complete(ctx, incomplete))

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002  (typer's signature)
        """Name the commands, without loading any."""
        return list(self.commands)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find a command, or say which ones exist."""
        if args and not args[0].startswith("-") and args[0] not in self.commands and not ctx.resilient_parsing:
            near = difflib.get_close_matches(args[0], self.commands, n=3, cutoff=0.5) or list(self.commands)
            raise BadInput(
                "command", f"commande inconnue : « {args[0][:60]} »", field="commande", accepted=", ".join(near)
            )
        return super().resolve_command(ctx, args)


class Door(Group):
    """The whole program."""

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        windows_expand_args: bool = True,
        **extra: Any,
    ) -> Any:
        """Run one command, say what went wrong if something did, and leave with its exit code."""
        given = list(sys.argv[1:] if args is None else args)
        extra |= {"windows_expand_args": windows_expand_args, "complete_var": complete_var, "standalone_mode": False}
        code = OK
        if COMPLETE in os.environ:
            completion.get_completion_inspect_parameters()  # makes the shells known to typer
        try:
            refuse_broken(given)
            code = super().main(given, prog_name or "coupe-file", **extra) or OK
            sys.stdout.flush()
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            code = REFUSED
        except Exception as error:
            said = explain(error)
            if said is None:
                raise
            code = report(said, error, json="--json" in given, option=self._option(said, given))
        finally:
            self.after()
        if not standalone_mode:
            return code
        sys.exit(code)

    def _option(self, said: CoupeFileError, given: Sequence[str]) -> str | None:
        """The option by which the command that was run takes the field that an error names."""
        command: Any = self.commands.get(given[0]) if given else None
        wanted = "--" + (said.field or "").replace("_", "-")
        return wanted if command is not None and any(wanted in parameter.opts for parameter in command.params) else None

    def after(self) -> None:
        """Do what comes after the answer was given; nothing here."""


def _ours(option: Any) -> Any:
    if option is not None:
        option.help, option.metavar = said(HELP), ""
    return option


def _narrow() -> bool:
    return shutil.get_terminal_size().columns < say.NARROW


def refuse_broken(args: Sequence[str]) -> None:
    """Refuse arguments that are not text: a NUL, or bytes that are not UTF-8, before anything is looked at."""
    last = "argument"
    for given in (*args, os.environ.get("COUPE_FILE_AS", "")):
        name, _, _ = given.partition("=")
        where = name if given.startswith("--") and name != given else last
        try:
            given.encode("utf-8")
        except UnicodeEncodeError as error:
            message = f"octet qui n'est pas de l'UTF-8 en position {error.start - (len(where) + 1 if where == name else 0) + 1}"
            raise BadInput("encoding", message, field=where, accepted="du texte UTF-8") from None
        if "\x00" in given:
            raise BadInput(
                "encoding",
                "caractère interdit U+0000",
                field=where,
                accepted="du texte UTF-8 sans caractère de contrôle",
            )
        last = given if given.startswith("--") else "argument"


# --- what went wrong, in a sentence -----------------------------------------------------------------------------------


def explain(error: Exception) -> CoupeFileError | None:
    """The sentence for an error that could be foreseen; None for one of ours to mend."""
    if isinstance(error, CoupeFileError):
        return error
    if isinstance(error, YamlError):
        return BadInput("yaml", str(error))
    if isinstance(error, typer.TyperException):
        return _usage(error)
    if type(error).__module__.partition(".")[0] in ("sqlalchemy", "psycopg"):
        from workflow.unavailable import explain as explain_database

        return explain_database(error)
    if type(error).__name__ == "LocalError":
        return Refused("local", f"la base embarquée ne peut pas servir : {error}")
    return None


def _usage(error: Any) -> CoupeFileError:
    """What typer refuses, said in French: the option, the rule, what would be accepted."""
    kind, parameter = type(error).__name__, getattr(error, "param", None)
    name = (
        (parameter.opts[-1] if parameter.opts[-1].startswith("-") else parameter.display_name_raw)
        if parameter
        else None
    )
    if kind == "NoSuchOption":
        known = (
            [opt for param in error.ctx.command.get_params(error.ctx) for opt in param.opts if opt.startswith("--")]
            if error.ctx
            else []
        )
        near = difflib.get_close_matches(error.option_name, known, n=3, cutoff=0.6) or known
        return BadInput("option", "option inconnue ici", field=error.option_name, accepted=", ".join(near) or None)
    if kind == "MissingParameter":
        return BadInput("missing", "obligatoire et absent", field=name, accepted=getattr(parameter, "help", None))
    if kind == "BadOptionUsage":
        words = "cette option n'attend pas de valeur" if "does not take" in error.message else "la valeur manque"
        return BadInput("option", words, field=error.option_name)
    if parameter is not None:
        return BadInput(
            "value", "valeur illisible ou hors bornes", field=name, accepted=getattr(parameter, "help", None)
        )
    extra = re.match(r"Got unexpected extra argument\S* \((.*)\)", error.message)
    if extra:
        return BadInput(
            "argument", f"argument en trop : {extra[1]}", accepted="un texte de plusieurs mots entre guillemets"
        )
    return BadInput("usage", FRENCH.get(error.message, error.format_message()))


def report(said: CoupeFileError, error: Exception, *, json: bool, option: str | None = None) -> int:
    """Print an error, as JSON on stdout or as a sentence on stderr; returns the exit code."""
    bad = isinstance(said, (BadInput, DefinitionError))
    if type(error).__name__ == "NoArgsIsHelpError":
        return BAD_INPUT  # the help itself has just been printed
    if json:
        say.document({"error": {**said.as_dict(), **_more(said)}})
        return BAD_INPUT if bad else REFUSED
    out = say.console(stderr=True)
    out.print(Text.assemble(("Erreur : ", "bold red"), say.safe(_sentence(said, option))))
    context = getattr(error, "ctx", None)
    if context is not None:
        out.print(Text(f"Aide : {context.command_path} --help", style="dim"))
    return BAD_INPUT if bad else REFUSED


def _sentence(said: CoupeFileError, option: str | None) -> str:
    """« field or option » : the rule. Accepté : what would be."""
    where = f"« {option or said.field} » : " if said.field else ""
    hint = f" Accepté : {said.accepted.rstrip('.')}." if said.accepted else ""
    return f"{where}{said.message.rstrip('.')}{'' if said.message.endswith(('…', '?')) else '.'}{hint}"


def _more(said: CoupeFileError) -> dict[str, Any]:
    if isinstance(said, DefinitionError):
        return {"problems": [{"place": ".".join(place), "message": words} for place, words in said.problems]}
    problems = getattr(said, "problems", None)
    return {"problems": problems} if problems is not None else {}
