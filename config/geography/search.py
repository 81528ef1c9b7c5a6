"""Find a commune by what a person writes: its name, a former name, a postal code, an INSEE code; best matches first."""

from __future__ import annotations

import difflib
import unicodedata
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

from config.geography.france import Commune, France, departement_of, france

MOST, LONGEST = 10, 80
SHORTEST = 2
"""Letters below which a beginning of a name says too little to search."""
_ARTICLES = ("le ", "la ", "les ", "l ")
_SHORT = {"st": "saint", "ste": "sainte", "sts": "saints", "stes": "saintes"}


def _plain(sign: str) -> str:
    """A letter without its accent; what is neither letter nor figure is a space."""
    base = unicodedata.normalize("NFKD", sign.lower())
    kept = "".join(one for one in base if not unicodedata.combining(one))
    return kept if kept.isalnum() else " "


_PLAIN = {number: _plain(chr(number)) for number in range(0x250)}
_PLAIN |= {
    ord(sign): word for sign, word in zip("œŒæÆß’ʼ–—", ("oe", "oe", "ae", "ae", "ss", " ", " ", " ", " "), strict=True)
}


class Match(NamedTuple):
    """A commune found. `why` names a former part or a postal code, when it was found by that."""

    commune: Commune
    why: str = ""

    @property
    def shown(self) -> str:
        """« 64300 Lacq », and why it is offered under another name."""
        return f"{self.commune.code} {self.commune.name}" + (f" ({self.why})" if self.why else "")


class UnknownPlaceError(ValueError):
    """A code that is no commune of today; `matches` are those that were probably meant."""

    def __init__(self, message: str, matches: tuple[Match, ...]) -> None:
        super().__init__(message)
        self.message, self.matches = message, matches


def fold(name: str) -> str:
    """A name without accents, hyphens, apostrophes or capitals; « St » and « Ste » in full."""
    words = unicodedata.normalize("NFC", name).translate(_PLAIN).split()
    return " ".join([_SHORT.get(word, word) for word in words])


def commune(code: str) -> Commune:
    """The commune of today with this INSEE code. Raises UnknownPlaceError: merged, a part of another, unknown."""
    known = france()
    if code in known:
        return known[code]
    shown = code[:60]
    if code in known.former:
        one = known.former[code][0]
        name = f"{one.name} " if one.name else ""
        words = {
            "municipal": f"{name}({shown}) est un arrondissement municipal",
            "déléguée": f"{name}({shown}) est une commune déléguée",
            "associée": f"{name}({shown}) est une commune associée",
            "fusionnée": f"le code {shown} est celui d'une commune fusionnée",
        }[one.how]
        raise UnknownPlaceError(words, (Match(known[one.today]),))
    raise UnknownPlaceError(
        f"aucune commune n'a le code INSEE « {shown} »", tuple(find(code, most=5)) or _near_code(code)
    )


def today(code: str) -> Commune:
    """The commune of today that a code, present or former, stands for. Raises UnknownPlaceError."""
    known = france()
    if code not in known and code in known.former:
        return known[known.former[code][0].today]
    return commune(code)


def find(query: str, *, most: int = MOST) -> list[Match]:
    """The communes that a text may mean, best first, none twice. « (93) » or « 93 » after a name keeps one département."""
    query = query.strip()[:LONGEST]
    whole = fold(query)
    wanted, departement = _departement(whole)
    if not wanted:
        return []
    index = _index()
    within = _taken(_candidates(index, query, wanted), most, departement) if departement else []
    found = within or _taken(_candidates(index, query, whole), most) or _taken(_candidates(index, query, wanted), most)
    return found or _taken(index.spelt(wanted), most)


def _taken(matches: Iterator[Match], most: int, departement: str = "") -> list[Match]:
    found: dict[str, Match] = {}
    for match in matches:
        if departement and departement_of(match.commune.code) != departement:
            continue
        found.setdefault(match.commune.code, match)
        if len(found) >= most:
            break
    return list(found.values())


def _departement(wanted: str) -> tuple[str, str]:
    """A folded query, and the département it ends with, if any."""
    head, _, last = wanted.rpartition(" ")
    code = last.upper()
    return (head, code) if head and code in france().departements else (wanted, "")


def _candidates(index: _Index, query: str, wanted: str) -> Iterator[Match]:
    """Codes first, those that are no more last among them, then names: the same, beginning alike, having words that begin alike."""
    known = index.known
    code = query.upper()
    if code in known:
        yield Match(known[code])
    for number, why in index.postal.get(query, ()):
        yield Match(known[number], why)
    for one in known.former.get(code, ()) if code not in known else ():
        yield index.formerly(one.today, one.name or code, one.how)
    if len(wanted) < SHORTEST:
        return
    yield from index.ranked(index.named(wanted))
    yield from index.ranked(index.beginning(wanted))
    yield from index.ranked(index.wording(wanted.split()))


def _near_code(code: str) -> tuple[Match, ...]:
    known = france()
    within = departement_of(code)
    near = difflib.get_close_matches(
        code, [one for one in known.codes() if departement_of(one) == within], n=3, cutoff=0.6
    )
    return tuple(Match(known[one]) for one in near)


@dataclass(frozen=True, slots=True)
class _Index:
    """Folded names in order, each with the code of its commune and the name of the part it belongs to ("" if its own)."""

    known: France
    names: list[tuple[str, str, str]]
    words: dict[str, list[int]]
    """Places in `names` by the first three letters of each word but the first."""
    shapes: dict[str, list[int]]
    """Places in `names` by first letter."""
    postal: dict[str, list[tuple[str, str]]]
    people: dict[str, int]

    def formerly(self, today: str, name: str, how: str) -> Match:
        """Give a commune of today for what is now a part of it."""
        return Match(self.known[today], f"{name}, {_HOW[how]}")

    def named(self, wanted: str) -> list[int]:
        return [place for place in self._from(wanted) if self.names[place][0] == wanted]

    def beginning(self, wanted: str) -> list[int]:
        return list(self._from(wanted))

    def _from(self, wanted: str) -> Iterator[int]:
        place = bisect_left(self.names, (wanted,))
        while place < len(self.names) and self.names[place][0].startswith(wanted):
            yield place
            place += 1

    def wording(self, wanted: list[str]) -> list[int]:
        """Names in which each word asked for begins some word."""
        key = max(wanted, key=len)
        places = self.words.get(key[:3], ()) if len(key) > SHORTEST else ()
        return [
            place
            for place in places
            if all(any(word.startswith(one) for word in self.names[place][0].split()) for one in wanted)
        ]

    def spelt(self, wanted: str) -> Iterator[Match]:
        """Names spelt nearly so, that begin with the same letter."""
        near = {
            self.names[place][0]
            for place in self.shapes.get(wanted[0], ())
            if abs(len(self.names[place][0]) - len(wanted)) <= SHORTEST
        }
        for name in difflib.get_close_matches(wanted, sorted(near), n=5, cutoff=0.75):
            yield from self.ranked(self.named(name))

    def ranked(self, places: list[int]) -> Iterator[Match]:
        """Own names before names of parts, then the most populous first."""
        for place in sorted(places, key=lambda place: (bool(self.names[place][2]), -self.people[self.names[place][1]])):
            _, code, part = self.names[place]
            yield Match(self.known[code], part)


_HOW = {
    "municipal": "arrondissement municipal",
    "déléguée": "commune déléguée",
    "associée": "commune associée",
    "fusionnée": "ancien code",
}


@cache
def _index() -> _Index:
    known = france()
    names: list[tuple[str, str, str]] = []
    postal: dict[str, list[tuple[str, str]]] = {}
    people: dict[str, int] = {}
    for one in known.communes():
        people[one.code] = one.population
        names += [(name, one.code, "") for name in _spellings(one.name)]
        for number in one.postal:
            postal.setdefault(number, []).append((one.code, f"code postal {number}"))
    for parts in known.former.values():
        for part in parts:
            why = f"{part.name}, {_HOW[part.how]}"
            if part.name and fold(part.name) != fold(known[part.today].name):
                names += [(name, part.today, why) for name in _spellings(part.name)]
    for numbers in postal.values():
        numbers.sort(key=lambda item: -people[item[0]])
    names.sort()
    words: dict[str, list[int]] = {}
    shapes: dict[str, list[int]] = {}
    for place, (name, _, _) in enumerate(names):
        shapes.setdefault(name[:1], []).append(place)
        for key in {word[:3] for word in name.split() if len(word) > SHORTEST}:
            words.setdefault(key, []).append(place)
    return _Index(known, names, words, shapes, postal, people)


def _spellings(name: str) -> Iterator[str]:
    """A folded name, and the same without its article."""
    folded = fold(name)
    yield folded
    for article in _ARTICLES:
        if folded.startswith(article):
            yield folded.removeprefix(article)
