"""Pack the official administrative divisions of a year into `france.tsv.gz`.

The folder given is that of the npm package `@etalab/decoupage-administratif`, unpacked (`npm pack` fetches it). The same
folder gives the same bytes: python -m config.geography.pack FOLDER
"""

from __future__ import annotations

import gzip
import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from config.geography.france import FILE, departement_of

Rows = Sequence[Mapping[str, Any]]
FORMER = {"commune-deleguee": "déléguée", "commune-associee": "associée"}


def packed(folder: Path) -> bytes:
    """The bytes of the packed file. Raises OSError, ValueError: not the package, or data that contradict themselves."""
    read = {name: json.loads((folder / "data" / f"{name}.json").read_text(encoding="utf-8")) for name in _FILES}
    version = json.loads((folder / "package.json").read_text(encoding="utf-8"))["version"]
    text = "\n".join(_lines(version, **read)) + "\n"
    return gzip.compress(text.encode(), compresslevel=9, mtime=0)


_FILES = ("communes", "arrondissements", "departements", "regions", "epci", "ept")
# The version of the package names the year of its data (its README, « Millésimes »).
_YEARS = {"5": 2025, "6": 2026}


def _lines(
    version: str, *, communes: Rows, arrondissements: Rows, departements: Rows, regions: Rows, epci: Rows, ept: Rows
) -> Iterator[str]:
    today = [row for row in communes if row["type"] == "commune-actuelle"]
    yield _line("#", "source", "Découpage administratif, Etalab (INSEE, DGCL, La Poste), Licence Ouverte 2.0")
    yield _line("#", "package", f"@etalab/decoupage-administratif {version}")
    yield _line("#", "year", _YEARS[version.partition(".")[0]])
    yield from (_line("R", *_named(row), row["chefLieu"]) for row in _sorted(regions))
    yield from (_line("D", *_named(row), row["chefLieu"], row["region"]) for row in _sorted(departements))
    yield from (_line("A", *_named(row), row["chefLieu"], row["departement"]) for row in _sorted(arrondissements))
    yield from (_line("E", row["code"], row["type"], row["nom"]) for row in _sorted(epci))
    yield from (_line("E", row["code"], "EPT", row["nom"]) for row in _sorted(ept))
    group, inner = _members(epci), _members(ept)
    for row in _sorted(today):
        code = row["code"]
        if departement_of(code) != row["departement"]:
            message = f"{code} : le code ne dit pas le département {row['departement']}"
            raise ValueError(message)
        postal = " ".join(row.get("codesPostaux", ()))
        within = (row.get("arrondissement") or "", group.get(code, ""), inner.get(code, ""))
        yield _line("C", code, row["nom"], row.get("typeLiaison") or 0, *within, postal, row.get("population") or 0)
    yield from _former(communes, today)


def _former(communes: Rows, today: Rows) -> Iterator[str]:
    """Codes that are no longer those of a commune: what each is part of today, and its name where it is known."""
    seen = {row["code"] for row in today}
    for row in _sorted([row for row in communes if row["type"] == "arrondissement-municipal"]):
        seen.add(row["code"])
        postal = " ".join(row.get("codesPostaux", ()))
        yield _line("F", row["code"], row["commune"], "municipal", row["nom"], postal)
    for row in _sorted([row for row in communes if row["type"] in FORMER]):
        # The seat of a new commune keeps its code: the name alone is remembered.
        seen.add(row["code"])
        yield _line("F", row["code"], row["chefLieu"], FORMER[row["type"]], row["nom"], "")
    for row in today:
        yield from (
            _line("F", code, row["code"], "fusionnée", "", "")
            for code in row.get("anciensCodes", ())
            if code not in seen
        )


def _members(groups: Rows) -> dict[str, str]:
    return {member["code"]: group["code"] for group in groups for member in group["membres"]}


def _named(row: Mapping[str, Any]) -> tuple[str, str, int]:
    return row["code"], row["nom"], row["typeLiaison"]


def _sorted(rows: Rows) -> Iterable[Mapping[str, Any]]:
    return sorted(rows, key=lambda row: str(row["code"]))


def _line(*cells: object) -> str:
    return "\t".join(str(cell) for cell in cells)


if __name__ == "__main__":
    FILE.write_bytes(packed(Path(sys.argv[1])))
    sys.stdout.write(f"{FILE.name} : {FILE.stat().st_size} octets\n")
