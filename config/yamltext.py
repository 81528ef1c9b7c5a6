"""YAML read as text: every scalar is the string that was written, and every place knows its line.

PyYAML's own conversions read `on` as true, `18:00` as 1080 and commune `01004` as 516: the schema converts instead.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

Place = tuple[str, ...]
MAX_BYTES = 1_000_000


class YamlError(ValueError):
    """Not YAML that can be read here; the message names the line."""


@dataclass(frozen=True, slots=True)
class Document:
    """A parsed document and the line (from 1) of each place in it."""

    data: Any
    lines: dict[Place, int]

    def line(self, place: Place) -> int:
        """The line of a place, or of the nearest one above it."""
        while place and place not in self.lines:
            place = place[:-1]
        return self.lines.get(place, 1)


def read(path: Path) -> Document:
    """The document in a file. Raises YamlError: not UTF-8, too large, not YAML, a key twice, an alias."""
    raw = path.read_bytes()
    if len(raw) > MAX_BYTES:
        message = f"{path.name} : {len(raw)} octets ; accepté : {MAX_BYTES} au plus"
        raise YamlError(message)
    try:
        return parse(raw.decode("utf-8"))
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        message = f"{path.name}, ligne {line} : le texte n'est pas en UTF-8"
        raise YamlError(message) from None
    except YamlError as error:
        message = f"{path.name}, {error}"
        raise YamlError(message) from None


def parse(text: str) -> Document:
    """The document in a text. Raises YamlError."""
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except RecursionError:
        message = "ligne 1 : trop de niveaux emboîtés"
        raise YamlError(message) from None
    except yaml.reader.ReaderError as error:
        message = f"ligne {text[: error.position].count(chr(10)) + 1} : caractère interdit {error.character!r}"
        raise YamlError(message) from None
    except yaml.MarkedYAMLError as error:
        line = (error.problem_mark.line + 1) if error.problem_mark else 1
        message = f"ligne {line} : {error.problem or 'YAML illisible'}"
        raise YamlError(message) from None
    except yaml.YAMLError as error:
        message = f"ligne 1 : {error}"
        raise YamlError(message) from None
    lines: dict[Place, int] = {}
    try:
        return Document(_value(node, (), lines, set()), lines)
    except RecursionError:
        message = "ligne 1 : trop de niveaux emboîtés"
        raise YamlError(message) from None


def write(data: Any) -> str:
    """The text of a document, which `parse` reads as the same values, each scalar as it is written."""
    return yaml.dump(data, Dumper=_Plain, sort_keys=False, allow_unicode=True, default_flow_style=None, width=110)


class _Plain(yaml.SafeDumper):
    """What is said twice is written twice: no anchor."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002  (PyYAML's own signature)
        return True


def _value(node: yaml.Node | None, place: Place, lines: dict[Place, int], seen: set[int]) -> Any:
    if node is None:
        return None
    line = node.start_mark.line + 1
    lines.setdefault(place, line)
    if id(node) in seen:
        message = f"ligne {line} : les alias YAML (*nom) ne sont pas acceptés ici"
        raise YamlError(message)
    seen.add(id(node))
    if isinstance(node, yaml.MappingNode):
        return _mapping(node, place, lines, seen)
    if isinstance(node, yaml.SequenceNode):
        return [_value(item, (*place, str(index)), lines, seen) for index, item in enumerate(node.value)]
    if any(unicodedata.category(sign) in ("Cc", "Cs") and sign not in "\n\r\t" for sign in node.value):
        message = f"ligne {line} : caractère de contrôle interdit"
        raise YamlError(message)
    return None if node.tag == "tag:yaml.org,2002:null" and not node.value else node.value


def _mapping(node: yaml.MappingNode, place: Place, lines: dict[Place, int], seen: set[int]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for key, value in node.value:
        line = key.start_mark.line + 1
        if not isinstance(key, yaml.ScalarNode):
            message = f"ligne {line} : une clé doit être un mot"
            raise YamlError(message)
        if id(key) in seen:
            message = f"ligne {line} : les alias YAML (*nom) ne sont pas acceptés ici"
            raise YamlError(message)
        seen.add(id(key))
        if key.value in result:
            message = f"ligne {line} : la clé « {key.value} » est donnée deux fois"
            raise YamlError(message)
        lines[(*place, key.value)] = line
        result[key.value] = _value(value, (*place, key.value), lines, seen)
    return result
