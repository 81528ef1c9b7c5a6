"""`coupe-file workflow …`: definitions, as files and in the database."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from sqlalchemy import text

from cli import database, say, shipped
from cli.door import BAD_INPUT, Command, Group
from cli.options import Json
from states.definition import parse
from states.diagram import mermaid
from states.errors import CoupeFileError, DefinitionError
from workflow import definitions

workflow = typer.Typer(
    cls=Group,
    help="Les définitions : les vérifier, les dessiner, les charger.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
STATES = {"draft": "projet", "published": "publiée", "suspended": "suspendue"}
Named = Annotated[
    str,
    typer.Argument(metavar="FICHIER", help="Un fichier YAML, ou le nom d'une définition livrée.", show_default=False),
]


class Unsound(DefinitionError):
    """A definition that is refused, with the line of each problem."""

    def __init__(self, name: str, problems: list[dict[str, Any]]) -> None:
        super().__init__([((one["place"],), one["message"]) for one in problems])
        self.lines = problems
        self.message = f"{name} : définition refusée ({_count(problems)})\n" + "\n".join(_sentences(name, problems))


def _count(problems: list[dict[str, Any]]) -> str:
    return say.count(len(problems), "problème")


def _sentences(name: str, problems: list[dict[str, Any]]) -> list[str]:
    return [f"  {name}, ligne {one['line']} : {one['place'] or 'la définition'} : {one['message']}" for one in problems]


def _sound(name: str) -> tuple[str, Any]:
    """The name and the data of a definition that the validator accepts. Raises Unsound, BadInput, YamlError."""
    shown, read = shipped.document(name)
    problems = shipped.problems(read)
    if problems:
        raise Unsound(shown, problems)
    return shown, read.data


@workflow.command(cls=Command)
def validate(
    names: Annotated[
        list[str],
        typer.Argument(
            metavar="FICHIER…", help="Des fichiers YAML, ou des noms de définitions livrées.", show_default=False
        ),
    ],
    json: Json = False,
) -> None:
    """Vérifie des définitions : chaque problème avec sa ligne. Le code de sortie est 2 quand l'une est refusée."""
    results = [_validated(name) for name in names]
    refused = [one for one in results if one["problems"]]
    if json:
        say.document({"ok": not refused, "files": results})
    else:
        for one in results:
            if one["problems"]:
                out = say.console(stderr=True)
                out.print(say.safe(f"{one['file']} : refusée ({_count(one['problems'])})"), style="red")
                for words in _sentences(one["file"], one["problems"]):
                    out.print(say.safe(words))
            else:
                say.line(f"{one['file']} : valide ({one['id']}, version {one['version']}).", style="green")
    if refused:
        raise typer.Exit(BAD_INPUT)


def _validated(name: str) -> dict[str, Any]:
    from config.yamltext import YamlError

    try:
        shown, read = shipped.document(name)
    except YamlError as error:
        words = str(error)
        number = words.partition("ligne ")[2].partition(" ")[0]
        return {
            "file": name.rpartition("/")[2],
            "problems": [{"line": int(number) if number.isdecimal() else 1, "place": "", "message": words}],
        }
    except CoupeFileError as error:
        return {"file": name.rpartition("/")[2], "problems": [{"line": 1, "place": "", "message": str(error)}]}
    problems = shipped.problems(read)
    if problems:
        return {"file": shown, "problems": problems}
    definition = parse(read.data)
    return {
        "file": shown,
        "id": definition.id,
        "version": definition.version,
        "digest": definition.digest(),
        "problems": [],
    }


@workflow.command(cls=Command)
def diagram(name: Named = shipped.OWN, json: Json = False) -> None:
    """Dessine une définition (Mermaid)."""
    shown, data = _sound(name)
    drawn = mermaid(parse(data))
    if json:
        say.document({"file": shown, "mermaid": drawn})
    else:
        say.raw(drawn)


_LIST = """
select d.name, d.version, d.state, d.digest, d.body ->> 'title' as title, d.body -> 'effective' ->> 'from' as since, d.why, d.id,
       (select count(*) from dossiers x where x.definition_id = d.id) as dossiers
from definitions d order by d.name, d.version, d.id
"""


@workflow.command("list", cls=Command)
def listed(json: Json = False) -> None:
    """Montre les définitions que la base contient."""
    with database.reading() as session:
        rows = [dict(row._mapping) for row in session.execute(text(_LIST))]  # noqa: SLF001  (SQLAlchemy's public name)
    if json:
        say.document({"definitions": rows})
        return
    if not rows:
        say.line(f"Aucune définition : « coupe-file workflow load {shipped.OWN} » charge celle qui est livrée.")
        return
    headers = ("Définition", "Version", "État", "En vigueur le", "Dossiers", "Empreinte")
    say.table(
        headers,
        [
            (
                row["name"],
                str(row["version"]),
                STATES[row["state"]] + (f" : {row['why']}" if row["why"] else ""),
                row["since"],
                str(row["dossiers"]),
                row["digest"][:12],
            )
            for row in rows
        ],
    )


@workflow.command(cls=Command)
def load(name: Named, json: Json = False) -> None:
    """Garde une définition dans la base, comme projet ; la même deux fois n'en fait qu'une."""
    shown, data = _sound(name)
    with database.writing() as session:
        before = set(session.execute(text("select id from definitions")).scalars())
        loaded = definitions.add(session, data)
    definition = loaded.compiled.definition
    if json:
        said = {
            "id": definition.id,
            "version": definition.version,
            "digest": loaded.digest,
            "new": loaded.id not in before,
        }
        say.document({"file": shown, **said})
    elif loaded.id in before:
        say.line(f"{definition.id}, version {definition.version} : déjà dans la base, à l'identique.", style="green")
    else:
        say.line(
            f"{definition.id}, version {definition.version} : gardée comme projet (empreinte {loaded.digest[:12]}).",
            style="green",
        )
