"""The definitions that come with the program, and how a definition file is read."""

from __future__ import annotations

import difflib
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import config
from cli import say
from config import yamltext
from states.definition import Definition, parse
from states.errors import BadInput, DefinitionError

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

FOLDER = Path(config.__file__).parent / "workflows"
OWN = "coupe-file"


@cache
def files() -> dict[str, Path]:
    """The file of the latest shipped version of each definition, by name."""
    found: dict[str, tuple[int, Path]] = {}
    for path in FOLDER.glob("*.v*.yaml"):
        name, _, version = path.name.removesuffix(".yaml").rpartition(".v")
        if version.isdecimal() and int(version) > found.get(name, (0, path))[0]:
            found[name] = (int(version), path)
    return {name: found[name][1] for name in sorted(found)}


@cache
def own() -> Definition:
    """The shipped definition of the coupe-file itself."""
    return parse(yamltext.read(files()[OWN]).data)


def document(name: str) -> tuple[str, yamltext.Document]:
    """A definition file, or a shipped definition by name. Raises BadInput, YamlError."""
    path = files().get(name, Path(name))
    try:
        return path.name, yamltext.read(path)
    except FileNotFoundError:
        near = difflib.get_close_matches(name, files(), n=3, cutoff=0.4) or list(files())
        raise BadInput(
            "file",
            f"fichier introuvable : « {name[:200]} »",
            field="définition",
            accepted=f"un fichier YAML, ou {', '.join(near)}",
        ) from None
    except OSError as error:
        raise BadInput(
            "file", f"{path.name} : illisible ({error.strerror})", field="définition", accepted="un fichier YAML"
        ) from None
    except RecursionError:
        raise BadInput(
            "yaml", f"{path.name} : trop de niveaux imbriqués", field="définition", accepted="un fichier YAML ordinaire"
        ) from None


def problems(read: yamltext.Document) -> list[dict[str, Any]]:
    """What the validator refuses in a document, each with its line; none when it is sound."""
    try:
        parse(read.data)
    except DefinitionError as error:
        found = [
            {"line": read.line(place), "place": ".".join(place), "message": words} for place, words in error.problems
        ]
        return sorted(found, key=lambda problem: int(str(problem["line"])))
    return []


class Unsound(DefinitionError):
    """A definition that is refused, with the line of each problem."""

    def __init__(self, name: str, problems: list[dict[str, Any]]) -> None:
        super().__init__([((one["place"],), one["message"]) for one in problems])
        self.lines = problems
        self.message = f"{name} : définition refusée ({counted(problems)})\n" + "\n".join(sentences(name, problems))


def counted(problems: list[dict[str, Any]]) -> str:
    """« 2 problèmes »."""
    return say.count(len(problems), "problème")


def sentences(name: str, problems: list[dict[str, Any]]) -> list[str]:
    """Each problem of a file with its line, its place and what is wrong."""
    return [f"  {name}, ligne {one['line']} : {one['place'] or 'la définition'} : {one['message']}" for one in problems]


def sound(name: str) -> tuple[str, Any]:
    """The name and the data of a definition that the validator accepts. Raises Unsound, BadInput, YamlError."""
    shown, read = document(name)
    found = problems(read)
    if found:
        raise Unsound(shown, found)
    return shown, read.data


def keep_missing(session: Session) -> list[str]:
    """Keep each shipped definition that the database has no version of, as a draft; returns their names."""
    from sqlalchemy import select

    from workflow import definitions
    from workflow.models import DefinitionRow

    there = set(session.execute(select(DefinitionRow.name)).scalars())
    missing = [name for name in files() if name not in there]
    for name in missing:
        definitions.add(session, yamltext.read(files()[name]).data)
    return missing
