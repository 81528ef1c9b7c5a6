"""France as values: communes, arrondissements, départements, regions, groups of communes, of one year.

The file is read at the first question. A commune is made from its line when it is asked for: nobody needs 35,000 of them.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

FILE = Path(__file__).parent / "france.tsv.gz"


def departement_of(commune: str) -> str:
    """The code of a commune's département: two signs, three overseas."""
    return commune[:3] if commune.startswith(("97", "98")) else commune[:2]


# INSEE, « type de nom en clair »: 0 and 1 have no article, 2 le, 3 la, 4 les, 5 l', 6 aux, 7 las, 8 los.
_OF = ("de ", "d'", "du ", "de la ", "des ", "de l'", "des ", "de las ", "de los ")
_CONSONANTS = "BCDFGJKLMNPQRSTVWXZ"
_CONTRACTED = (("Le ", "du "), ("Les ", "des "), ("La ", "de La "), ("L'", "de L'"))


def joined(name: str, link: int) -> str:
    """A name after « de »; an article that the name itself has is contracted: « du Havre », « de La Réunion »."""
    for article, words in _CONTRACTED:
        if name.startswith(article):
            return words + name.removeprefix(article)
    bare = (
        link == 1 and name[0] in _CONSONANTS
    )  # so INSEE has Nouvelle-Aquitaine, which is not « d'Nouvelle-Aquitaine »
    return _OF[0 if bare else link] + name


class Area(NamedTuple):
    """A region, a département or an arrondissement: its code, name, the commune of its seat, and the code of what it is in.

    `link` is the INSEE code of how its name is joined (TNCC); `of` joins it.
    """

    code: str
    name: str
    link: int
    seat: str
    within: str = ""

    @property
    def of(self) -> str:
        """« de l'Ain », « du Cher », « des Landes », « de Saône-et-Loire »."""
        return joined(self.name, self.link)


class Group(NamedTuple):
    """A group of communes (EPCI, or EPT of Greater Paris): its SIREN, its nature (CC, CA, CU, METRO, MET69, EPT), its name."""

    code: str
    nature: str
    name: str


class Commune(NamedTuple):
    """A commune of today. `arrondissement` and `epci` are empty where there is none; `ept` outside Greater Paris."""

    code: str
    name: str
    link: int
    arrondissement: str
    departement: str
    region: str
    epci: str
    ept: str
    postal: tuple[str, ...]
    population: int

    @property
    def of(self) -> str:
        """« de Lacq », « d'Orthez », « du Havre »."""
        return joined(self.name, self.link)


class Former(NamedTuple):
    """A code that is no commune today: what it is part of, how (déléguée, associée, fusionnée, municipal), its name if known."""

    code: str
    today: str
    how: str
    name: str
    postal: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class France:
    """The divisions of one year; every mapping is by code and is not to be changed."""

    year: int
    source: str
    regions: Mapping[str, Area]
    departements: Mapping[str, Area]
    arrondissements: Mapping[str, Area]
    groups: Mapping[str, Group]
    former: Mapping[str, tuple[Former, ...]]
    """By former code. A code that a commune of today also has names the part that gave it its seat."""
    _lines: Mapping[str, str]

    def __contains__(self, code: str) -> bool:
        return code in self._lines

    def __len__(self) -> int:
        return len(self._lines)

    def __getitem__(self, code: str) -> Commune:
        """The commune of today that has this code. Raises KeyError."""
        name, link, arrondissement, epci, ept, postal, population = self._lines[code].split("\t")
        departement = departement_of(code)
        region = self.departements[departement].within
        people, numbers = int(population), tuple(postal.split())
        return Commune(code, name, int(link), arrondissement, departement, region, epci, ept, numbers, people)

    def codes(self) -> Iterator[str]:
        """The codes of the communes of today, in order."""
        return iter(self._lines)

    def communes(self) -> Iterator[Commune]:
        """Every commune of today."""
        return (self[code] for code in self._lines)


@cache
def france() -> France:
    """The shipped divisions, read once."""
    return read(gzip.decompress(FILE.read_bytes()).decode())


def read(text: str) -> France:
    """The divisions written in a text that `config.geography.pack` made."""
    about: dict[str, str] = {}
    areas: dict[str, dict[str, Area]] = {"R": {}, "D": {}, "A": {}}
    groups: dict[str, Group] = {}
    lines: dict[str, str] = {}
    former: dict[str, tuple[Former, ...]] = {}
    for line in text.splitlines():
        kind, code, rest = line.split("\t", 2)
        if kind == "C":
            lines[code] = rest
        elif kind == "F":
            today, how, name, postal = rest.split("\t")
            former[code] = (*former.get(code, ()), Former(code, today, how, name, tuple(postal.split())))
        elif kind == "E":
            groups[code] = Group(code, *rest.split("\t"))
        elif kind == "#":
            about[code] = rest
        else:
            name, link, *others = rest.split("\t")
            areas[kind][code] = Area(code, name, int(link), *others)
    frozen = MappingProxyType
    return France(
        int(about["year"]),
        f"{about['source']} ; {about['package']}",
        frozen(areas["R"]),
        frozen(areas["D"]),
        frozen(areas["A"]),
        frozen(groups),
        frozen(former),
        frozen(lines),
    )
