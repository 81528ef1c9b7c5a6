"""`coupe-file workflow …`: definitions, as files and in the database. Their life is in `versions` and `crossing`."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from sqlalchemy import text

from cli import completion, crossing, database, say, shipped, versions
from cli.door import BAD_INPUT, Command, Group
from cli.options import Json
from states.definition import parse
from states.diagram import mermaid
from states.errors import CoupeFileError
from workflow import definitions

workflow = typer.Typer(
    cls=Group,
    help="Les définitions : les vérifier, les dessiner, les publier, les comparer, faire passer les dossiers d'une version à l'autre.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
Named = Annotated[
    str,
    typer.Argument(
        metavar="FICHIER",
        help="Un fichier YAML, ou le nom d'une définition livrée.",
        show_default=False,
        autocompletion=completion.definitions,
    ),
]


@workflow.command(cls=Command)
def validate(
    names: Annotated[
        list[str],
        typer.Argument(
            metavar="FICHIER",
            help="Des fichiers YAML, ou des noms de définitions livrées.",
            show_default=False,
            autocompletion=completion.definitions,
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
                out.print(say.safe(f"{one['file']} : refusée ({shipped.counted(one['problems'])})"), style="red")
                for words in shipped.sentences(one["file"], one["problems"]):
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
    shown, data = shipped.sound(name)
    drawn = mermaid(parse(data))
    if json:
        say.document({"file": shown, "mermaid": drawn})
    else:
        say.raw(drawn)


_LIST = """
select d.name, d.version, d.state, d.digest, d.published_at, d.body ->> 'title' as title, d.body -> 'effective' ->> 'from' as since, d.why, d.id,
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
                versions.standing(row["state"], row["why"], published=row["published_at"] is not None),
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
    shown, data = shipped.sound(name)
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


for _name, _command in (
    ("publish", versions.publish),
    ("show", versions.show),
    ("diff", versions.diff),
    ("suspend", versions.suspend),
    ("resume", versions.resume),
):
    workflow.command(_name, cls=Command)(_command)
workflow.add_typer(crossing.migrate, name="migrate")
