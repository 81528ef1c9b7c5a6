"""Write `units.csv`: the administrations that the rules give for the geography, corrected by the table of exceptions.

The same rules and geography give the same file: python -m config.administrations.derive
"""

from __future__ import annotations

import csv
import io
import sys
import zlib
from collections import Counter
from collections.abc import Container, Iterator, Mapping, Sequence
from typing import Any

from config import yamltext
from config.administrations.shipped import FILE, RULES, kinds
from config.geography.france import Area, France, france, joined
from config.geography.search import fold

COLUMNS = (
    "code", "name", "level", "kinds", "areas", "topics", "parent", "calendar", "mailbox", "telephone", "note",
    "confidence", "source", "valid_from", "valid_to",
)  # fmt: skip
NATIONAL = "*"
FICTION = "01 99 00"
Row = dict[str, str]
Rules = Mapping[str, Any]


class RuleError(ValueError):
    """Rules that contradict themselves or the geography."""


def derived(rules: Rules, known: France) -> list[Row]:
    """The units, in order of the rules. Raises RuleError."""
    places = _Places(rules, known)
    rows: dict[str, Row] = {}
    for row in (*places.families(), *places.explicit()):
        if row["code"] in rows:
            raise RuleError(f"{row['code']} : deux fois")
        rows[row["code"]] = row
    for exception in rules["exceptions"]:
        _correct(rows, exception)
    natures = kinds()
    for row in rows.values():
        _check(row, rows, rules["sources"], natures)
    _telephones(rows, places)
    return [{column: row.get(column, "") for column in COLUMNS} for row in rows.values()]


def written(rows: Sequence[Row]) -> str:
    """The units as the text of a CSV file."""
    out = io.StringIO(newline="")
    writer = csv.DictWriter(out, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def rules() -> Rules:
    """The shipped rules."""
    read: Rules = yamltext.read(RULES).data
    return read


def _correct(rows: dict[str, Row], exception: Mapping[str, str]) -> None:
    code = exception["unit"]
    if code not in rows:
        raise RuleError(f"exception {code} : aucune règle ne donne cette administration")
    if exception.get("drop"):
        del rows[code]
        return
    rows[code] |= {name: value for name, value in exception.items() if name != "unit"}


def _check(row: Row, rows: Mapping[str, Row], sources: Container[str], natures: Container[str]) -> None:
    where = row["code"]
    if unknown := [kind for kind in row["kinds"].split() if kind not in natures]:
        raise RuleError(f"{where} : nature inconnue {unknown}")
    if row["source"] not in sources:
        raise RuleError(f"{where} : source inconnue {row['source']}")
    if row["source"] == "usage" and row["confidence"] == "verified":
        raise RuleError(f"{where} : vérifié, et sans source")
    if row.get("parent") and row["parent"] not in rows:
        raise RuleError(f"{where} : parent inconnu {row['parent']}")


def _telephones(rows: Mapping[str, Row], places: _Places) -> None:
    taken: set[str] = set()
    for code in sorted(rows):
        row, number = rows[code], zlib.crc32(code.encode()) % 10_000
        prefix = places.telephone(row["areas"])
        while (shown := f"{prefix} {number // 100:02} {number % 100:02}") in taken:
            number = (number + 1) % 10_000
        taken.add(shown)
        row["telephone"] = shown


class _Places:
    """What the families are given for: one after the other, with the words that their names are made of."""

    def __init__(self, rules: Rules, known: France) -> None:
        self.rules, self.known = rules, known
        self.slugs = {code: rules["slugs"].get(code) or slug(area.name) for code, area in known.regions.items()}
        self.seats = {
            code: known[area.seat].arrondissement
            for code, area in known.departements.items()
            if area.seat in known and known[area.seat].arrondissement
        }
        self.main = self._main_departements()

    def families(self) -> Iterator[Row]:
        """One unit for each place that each family covers."""
        apart: dict[str, set[str]] = {}
        for family in self.rules["families"]:
            for words, area, calendar in self._each(family["each"]):
                if not self._covers(family, words, apart):
                    continue
                apart.setdefault(family["code"].partition("-{")[0], set()).add(words["code"])
                row = {
                    name: value.format(**words) for name, value in family.items() if name in ("code", "name", "parent")
                }
                if words.get("alone") and row.get("parent", "").startswith("sgar-"):
                    row["parent"] = ""  # an overseas collectivity is in no region
                yield self._row(family | row, area, calendar)

    def explicit(self) -> Iterator[Row]:
        """The units that no rule gives."""
        for unit in self.rules["units"]:
            yield self._row(unit, unit["areas"], unit.get("calendar") or self.calendar(unit["areas"]))

    def _row(self, given: Mapping[str, Any], areas: str, calendar: str) -> Row:
        kept = {name: given[name] for name in COLUMNS if isinstance(given.get(name), str)}
        about = {
            "areas": areas,
            "calendar": calendar,
            "mailbox": f"{given['code']}@administration.example",
        }
        return about | kept

    def _covers(self, family: Mapping[str, Any], words: Mapping[str, str], apart: Mapping[str, set[str]]) -> bool:
        code = words["code"]
        if code in family.get("except", ()) or code not in family.get("only", (code,)):
            return False
        if family.get("metropole") and not words["metropole"]:
            return False
        return code not in apart.get(family.get("unless", ""), ())

    def _each(self, what: str) -> Iterator[tuple[dict[str, str], str, str]]:
        """(words, areas, calendar) of every place of a sort."""
        yield from {
            "departement": self._departements,
            "seat": self._seats,
            "arrondissement": self._arrondissements,
            "region": self._regions,
            "academie": self._academies,
            "group": self._groups,
        }[what]()

    def _departements(self) -> Iterator[tuple[dict[str, str], str, str]]:
        for code, area in self.known.departements.items():
            yield self._words(code, area), code, self.calendar(code)

    def _words(self, code: str, area: Area) -> dict[str, str]:
        link = int(self.rules["links"].get(code, area.link))
        return {
            "code": code,
            "name": area.name,
            "of": joined(area.name, link),
            "region": self.slugs[area.within],
            "metropole": "" if code.startswith("9") and len(code) > 2 else "yes",  # noqa: PLR2004  (two signs in metropolitan France)
            "alone": "yes" if area.within == code else "",
        }

    def _seats(self) -> Iterator[tuple[dict[str, str], str, str]]:
        for code, seat in self.seats.items():
            yield self._words(code, self.known.departements[code]), f"A{seat}", self.calendar(code)

    def _arrondissements(self) -> Iterator[tuple[dict[str, str], str, str]]:
        others = [area for area in self.known.arrondissements.values() if area.code not in self.seats.values()]
        names = Counter(slug(area.name) for area in others)
        for area in others:
            short = slug(area.name)
            code = short if names[short] == 1 else f"{short}-{area.within}"
            words = {
                "code": area.code,
                "slug": code,
                "name": area.name,
                "of": area.of,
                "departement": area.within,
                "metropole": "yes",
            }
            yield words, f"A{area.code}", self.calendar(area.within)

    def _regions(self) -> Iterator[tuple[dict[str, str], str, str]]:
        for code, area in self.known.regions.items():
            if len(code) > 2:  # noqa: PLR2004  (a collectivity that is in no region has three)
                continue
            link = int(self.rules["links"].get(f"R{code}", area.link))
            inside = [one.code for one in self.known.departements.values() if one.within == code]
            calendar = self.calendar(inside[0]) if len(inside) == 1 else "metropole"
            of = joined(area.name, link)
            metropole = "" if code.startswith("0") else "yes"
            words = {
                "code": f"R{code}",
                "name": area.name,
                "of": of,
                "region": self.slugs[code],
                "metropole": metropole,
            }
            yield words, f"R{code}", calendar

    def _academies(self) -> Iterator[tuple[dict[str, str], str, str]]:
        for code, about in self.rules["academies"].items():
            region = self.slugs[self.known.departements[about["in"][0]].within]
            words = {"code": code, "of": about["name"], "region": region, "metropole": "yes"}
            yield words, " ".join(about["in"]), self.calendar(" ".join(about["in"]))

    def _groups(self) -> Iterator[tuple[dict[str, str], str, str]]:
        for code, group in self.known.groups.items():
            name = f"{group.name} (EPT)" if group.nature == "EPT" else group.name
            yield {"code": code, "name": name, "metropole": "yes"}, code, self.calendar(self.main[code])

    def _main_departements(self) -> dict[str, str]:
        """The département that most communes of each group are in."""
        counted: dict[str, Counter[str]] = {}
        for commune in self.known.communes():
            for group in filter(None, (commune.epci, commune.ept)):
                counted.setdefault(group, Counter())[commune.departement] += 1
        return {group: count.most_common(1)[0][0] for group, count in counted.items()}

    def calendar(self, areas: str) -> str:
        """Whose holidays a unit keeps: those of its first area."""
        first = areas.partition(" ")[0]
        if first == NATIONAL or first.startswith("R"):
            return "metropole"
        code = first.removeprefix("A")
        code = code[:3] if code.startswith(("97", "98")) else code[:2]
        return self.rules["calendars"].get(code) or (code if len(code) > 2 else "metropole")  # noqa: PLR2004

    def telephone(self, areas: str) -> str:
        """The beginning of a fictional number, by region."""
        first = areas.partition(" ")[0]
        departement = self.main.get(first) or first.removeprefix("A")[:2]
        area = self.known.departements.get(departement)
        region = first.removeprefix("R") if first.startswith("R") else area.within if area else ""
        prefix: str = self.rules["telephones"].get(region, FICTION)
        return prefix


def slug(name: str) -> str:
    """A name as part of a code: « provence-alpes-cote-d-azur »."""
    return fold(name).replace(" ", "-")


if __name__ == "__main__":
    found = derived(rules(), france())
    FILE.write_text(written(found), encoding="utf-8")
    sys.stdout.write(f"{FILE.name} : {len(found)} administrations\n")
