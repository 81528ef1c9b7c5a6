"""The effect as tables, the same on a page, on paper, in a sheet and in a terminal; and what each of their figures means."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, NamedTuple

from config.geography.france import france
from states.effect import ALL, INSIDE, OUTSIDE, SIDES, STAKES
from states.loss import MEASURABLE
from states.report import BOXES
from workflow.effect import Made
from workflow.report import Asked

DAY = timedelta(days=1).total_seconds()
TITLE = "La promesse est-elle tenue ?"
CAUTION = (
    "Deux groupes de territoires sont mis côte à côte. Ils diffèrent aussi par leurs projets et par leurs services : un écart "
    "entre eux n'est pas, à lui seul, l'effet du label."
)
NOWHERE = "Aucun périmètre de Territoire d'industrie n'est dans la base : tout est compté hors Territoire d'industrie."
LINES = {INSIDE: "Territoires d'industrie", OUTSIDE: "Hors Territoires d'industrie", ALL: "Ensemble"}
BOX_WORDS = {
    "open_in_time": "Dans les délais (ouverts)", "open_late": "En retard (ouverts)", "closed_in_time": "Clos à temps",
    "closed_late": "Clos en retard",
}  # fmt: skip
SIDE_WORDS = {
    "holder": "Porteur", "state": "État", "operators": "Opérateurs", "local": "Collectivités", "third_party": "Tiers",
    "nobody": "Personne",
}  # fmt: skip
STAKE_WORDS = {
    "projects": "Projets qui en déclarent", "jobs": "Emplois déclarés", "invested": "Investissement déclaré (M€)",
    "projects_unblocked": "Projets débloqués", "jobs_unblocked": "Emplois débloqués",
    "invested_unblocked": "Investissement débloqué (M€)",
}  # fmt: skip
HEADS = {
    "line": "Territoire", "dossiers": "Dossiers", "kept": "Promesse tenue", "resolution": "Résolution, médiane",
    "own": "Sa médiane", "outside": "Hors Territoires d'industrie, mêmes sujets", "shorter": "Jours de moins",
    "clock": "Délai légal", "known": "Terminés ou dépassés", "gained": "Jours gagnés", "lost": "Jours perdus",
    "median": "Médiane", "rung": "Échelon saisi", "times": "Dossiers", "before": "Ouverts avant", "after": "Jusqu'à la résolution",
}  # fmt: skip


class Meaning(NamedTuple):
    """What a table is called, what its figures are, and how they are reckoned."""

    title: str
    definition: str
    reckoning: str


MEANINGS = {
    "beside": Meaning(
        "Dans et hors Territoire d'industrie, côte à côte",
        "Un dossier est d'un Territoire d'industrie si la commune de son site est dans le périmètre en vigueur le jour du dépôt.",
        "Les mêmes chiffres que dans les tableaux qui suivent, pour les deux groupes entiers. Un dossier dont la commune est dans "
        "deux territoires compte dans chacun, et une fois dans le groupe.",
    ),
    "promise": Meaning(
        "La promesse, par territoire",
        "La promesse d'un dossier est l'ensemble de ses engagements de service ; les délais légaux n'en sont pas. Il est en retard "
        "dès qu'un seul n'a pas été tenu, ou ne l'est plus. À l'instant de l'échéance on est encore dans les délais.",
        "Promesse tenue : clos à temps, divisé par clos à temps, clos en retard et ouverts en retard. Résolution : du dépôt à la "
        "clôture par une administration ; les dossiers encore ouverts comptent (Kaplan-Meier, intervalle à 95 %), un dossier "
        "retiré par son porteur n'est plus attendu à partir de son retrait.",
    ),
    "court": Meaning(
        "Qui a eu la balle, par territoire",
        "À chaque instant une partie, et une seule, doit agir : le porteur quand une demande qui lui est faite arrête un délai, un "
        "tiers de même, sinon l'unité qui tient le dossier. Une unité est de l'État, d'un opérateur ou d'une collectivité d'après "
        "l'annuaire d'aujourd'hui.",
        "Temps réel de chaque partie, divisé par tout le temps où les dossiers ont été ouverts, à la microseconde.",
    ),
    "usual": Meaning(
        "Par rapport au délai habituel",
        "Le délai habituel est la médiane de la résolution hors Territoires d'industrie, sur les sujets que les deux côtés ont "
        "en commun dans le périmètre demandé. C'est le groupe de comparaison.",
        "Délai habituel moins médiane du territoire : un nombre positif dit un territoire plus rapide. Les bornes sont les plus larges que "
        "les deux intervalles à 95 % permettent ; si elles passent par zéro, l'écart n'est pas établi. La part de chaque sujet "
        "n'est pas corrigée.",
    ),
    "legal": Meaning(
        "Par rapport aux délais légaux",
        "Pour chaque délai légal terminé, l'écart entre sa date et sa fin, prolongations et suspensions comprises dans la date. Un "
        "délai dépassé qui court encore compte pour ce qui est déjà perdu ; un délai qui court à temps n'est pas compté.",
        "Jours gagnés : somme de ce qui a fini avant sa date. Jours perdus : somme de ce qui l'a dépassée. Médiane de tous, les "
        "jours perdus en moins, et l'intervalle de ses rangs à 95 %.",
    ),
    "stakes": Meaning(
        "Emplois et investissements",
        "Ce que les porteurs ont déclaré en déposant ; rien n'est vérifié. Un projet qui a plusieurs dossiers compte une fois, pour "
        "sa déclaration la plus élevée.",
        "Débloqué : tous les dossiers du projet sont clos, et chacun par un déblocage.",
    ),
    "climbs": Meaning(
        "Avant et après une saisine",
        "Pour chaque échelon, les dossiers portés jusqu'à lui, à la première saisine de cet échelon. Les "
        "dossiers restés à leur échelon ne sont pas un groupe de comparaison : ce qui suit la saisine n'est pas dit causé "
        "par elle.",
        "Avant : du dépôt à la saisine. Après : de la saisine à la résolution, dossiers encore ouverts compris (Kaplan-Meier, "
        "intervalle à 95 %).",
    ),
}  # fmt: skip
FEW = "non mesurable (n = %s)"
NO_DATA, NOT_REACHED = "pas de donnée", "pas encore atteint"
SHARE_OF, LENGTH, BETWEEN, NUMBER_OF = (
    "%(share)s de %(known)s",
    "%s j",
    "%(at)s (%(low)s à %(high)s)",
    "%(at)s, n = %(n)s",
)
FATE = tuple(box for box in BOXES if box != "open_in_time")
"""The boxes of what has a fate."""
WAITED = ("resolution:over", "resolution:waiting")
NOT_SHOWN_APART, TIME_OF = "écart non établi", "Part du temps : %s"


def words() -> Iterator[str]:
    """Every word of the tables."""
    yield from (
        TITLE,
        CAUTION,
        NOWHERE,
        FEW,
        NO_DATA,
        NOT_REACHED,
        SHARE_OF,
        LENGTH,
        BETWEEN,
        NUMBER_OF,
        NOT_SHOWN_APART,
        TIME_OF,
    )
    for table in (LINES, BOX_WORDS, SIDE_WORDS, STAKE_WORDS, HEADS):
        yield from table.values()
    for one in MEANINGS.values():
        yield from one


class Cell(NamedTuple):
    """A cell: what is shown, the number that it is, and the dossiers behind it, as figures of the report and filters."""

    text: str
    value: float | int | None = None
    behind: tuple[Sequence[str], Mapping[str, str]] | None = None


@dataclass(frozen=True, slots=True)
class Table:
    """One table: its name, what it means, its heads and its rows, of which the first cell names each."""

    name: str
    meaning: Meaning
    head: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]


class Tables:
    """The tables of an effect, in the words of a reader: `say` turns French into their language."""

    def __init__(self, made: Made, say: Callable[[str], str] = str, *, comma: str = ",") -> None:
        self.made, self._, self.comma = made, say, comma
        self.lines: list[dict[str, Any]] = sorted(made.said["lines"], key=self._order)
        self.by_name = {one["line"]: one for one in self.lines}

    def all(self) -> list[Table]:
        """The tables in their order; one that has no row is left out."""
        found = [
            self._beside(),
            self._promise(),
            self._court(),
            self._usual(),
            self._legal(),
            self._stakes(),
            self._climbs(),
        ]
        return [one for one in found if one.rows]

    # --- words --------------------------------------------------------------------------------------------------------

    def _order(self, one: Mapping[str, Any]) -> tuple[int, str]:
        name = one["line"]
        place = {INSIDE: 0, OUTSIDE: 2, ALL: 4}.get(name, 3 if name.startswith(OUTSIDE) else 1)
        return place, name if place == 3 else self.called(name)  # noqa: PLR2004  (départements in order of codes)

    def called(self, line: str) -> str:
        """What a line is called."""
        return called(line, self.made.territories, self._)

    @staticmethod
    def narrow(line: str) -> dict[str, str]:
        """The filters that narrow a report to a line, by the names of `Asked`."""
        outside, _, area = line.partition(":")
        return {"territory": outside, **({"departement": area} if area else {})} if line else {}

    def days(self, seconds: float | None) -> str:
        """A length in days."""
        return days(seconds, self._, comma=self.comma)

    def _share(self, share: float | None) -> str:
        return self._(NO_DATA) if share is None else f"{100 * share:.0f} %"

    def _median(self, found: Mapping[str, Any], number: int) -> Cell:
        if not number:
            return Cell(self._(NO_DATA))
        if number < MEASURABLE:
            return Cell(self._(FEW) % number)
        if found["median"] is None:
            return Cell(self._(NUMBER_OF) % {"at": self._(NOT_REACHED), "n": number})
        low, high = found["interval"]
        at = self._(BETWEEN) % {"at": self.days(found["median"]), "low": self.days(low), "high": self.days(high)}
        return Cell(self._(NUMBER_OF) % {"at": at, "n": number}, found["median"] / DAY)

    def _wait(self, found: Mapping[str, Any]) -> Cell:
        return self._median(found, found["waited"])

    def _named(self, one: Mapping[str, Any]) -> Cell:
        return Cell(self.called(one["line"]), None, ((), self.narrow(one["line"])))

    def _head(self, *names: str) -> tuple[str, ...]:
        return tuple(
            self._(HEADS.get(name) or BOX_WORDS.get(name) or SIDE_WORDS.get(name) or STAKE_WORDS[name])
            for name in names
        )

    # --- tables -------------------------------------------------------------------------------------------------------

    def _promised(self, one: Mapping[str, Any]) -> Iterator[Cell]:
        narrow = self.narrow(one["line"])
        yield self._count(one["dossiers"], ["dossiers"], narrow)
        for box in BOXES:
            yield self._count(one["boxes"][box], [f"kept:{box}"], narrow)
        fate = one["promised"] - one["boxes"]["open_in_time"]
        if one["kept"] is None:
            yield Cell(self._(FEW) % fate if fate else self._(NO_DATA))
        else:
            said = self._(SHARE_OF) % {"share": self._share(one["kept"]), "known": fate}
            yield Cell(said, one["kept"], ([f"kept:{box}" for box in FATE], narrow))
        yield self._wait(one["resolution"]["gross"])._replace(behind=(WAITED, narrow) if one["dossiers"] else None)

    @staticmethod
    def _count(number: int, figures: Sequence[str], narrow: Mapping[str, str]) -> Cell:
        return Cell(str(number), number, (figures, narrow) if number else None)

    def _promise(self) -> Table:
        rows = tuple((self._named(one), *self._promised(one)) for one in self.lines)
        return Table("promise", MEANINGS["promise"], self._head("line", "dossiers", *BOXES, "kept", "resolution"), rows)

    def _sides(self, one: Mapping[str, Any]) -> Iterator[Cell]:
        for side in SIDES:
            share = one["court"][side]["share"]
            yield Cell(self._share(share), share)

    def _court(self) -> Table:
        rows = tuple((self._named(one), *self._sides(one)) for one in self.lines if one["dossiers"])
        return Table("court", MEANINGS["court"], self._head("line", *SIDES), rows)

    def _beside(self) -> Table:
        """The two groups as columns, a row for each figure."""
        shares = (self._(TIME_OF) % self._(SIDE_WORDS[side]) for side in SIDES)
        names = (*self._head("dossiers", *BOXES, "kept", "resolution"), *shares, *self._head(*STAKES))
        columns = [
            (*self._promised(one), *self._sides(one), *self._staked(one))
            for one in (self.by_name[INSIDE], self.by_name[OUTSIDE])
        ]
        rows = tuple((Cell(name), *cells) for name, *cells in zip(names, *columns, strict=True))
        return Table("beside", MEANINGS["beside"], ("", self._(LINES[INSIDE]), self._(LINES[OUTSIDE])), rows)

    def _usual(self) -> Table:
        rows = []
        for one in self.lines:
            found = one["usual"]
            if found is None or not one["dossiers"]:
                continue
            rows.append(
                (self._named(one), self._wait(found["own"]), self._wait(found["outside"]), self._shorter(found))
            )
        return Table("usual", MEANINGS["usual"], self._head("line", "own", "outside", "shorter"), tuple(rows))

    def _shorter(self, found: Mapping[str, Any]) -> Cell:
        if found["shorter_by"] is None:
            number = min(found["own"]["waited"], found["outside"]["waited"])
            return Cell(self._(FEW) % number if number < MEASURABLE else self._(NOT_REACHED))
        low, high = found["interval"]
        at = {"at": self.days(found["shorter_by"]), "low": self.days(low), "high": self.days(high)}
        said = self._(BETWEEN) % at
        apart = low is not None and high is not None and (low > 0 or high < 0)
        return Cell(said if apart else f"{said}, {self._(NOT_SHOWN_APART)}", found["shorter_by"] / DAY)

    def _legal(self) -> Table:
        rows = tuple(
            (self._named(one), Cell(self._(self.made.clocks.get(found["clock"], found["clock"]))),
             self._count(found["known"], [f"{found['clock']}:{box}" for box in FATE], self.narrow(one["line"])), Cell(self.days(found["gained"]), found["gained"] / DAY),
             Cell(self.days(found["lost"]), found["lost"] / DAY), self._median(found, found["known"]))
            for one in self.lines for found in one["legal"]
        )  # fmt: skip
        return Table("legal", MEANINGS["legal"], self._head("line", "clock", "known", "gained", "lost", "median"), rows)

    def _staked(self, one: Mapping[str, Any]) -> Iterator[Cell]:
        for name in STAKES:
            yield Cell(str(one["stakes"][name]), one["stakes"][name])

    def _stakes(self) -> Table:
        rows = tuple((self._named(one), *self._staked(one)) for one in self.lines if one["stakes"]["projects"])
        return Table("stakes", MEANINGS["stakes"], self._head("line", *STAKES), rows)

    def _climbs(self) -> Table:
        rungs = list(self.made.rungs)
        rows = tuple(
            (self._named(one), Cell(self._(self.made.rungs.get(found["rung"], found["rung"]))),
             Cell(str(found["after"]["waited"]), found["after"]["waited"]), self._wait(found["before"]), self._wait(found["after"]))
            for one in self.lines if one["line"] in LINES
            for found in sorted(one["escalations"], key=lambda each: rungs.index(each["rung"]) if each["rung"] in rungs else -1)
        )  # fmt: skip
        return Table("climbs", MEANINGS["climbs"], self._head("line", "rung", "times", "before", "after"), rows)


def called(line: str, territories: Mapping[str, str], say: Callable[[str], str] = str) -> str:
    """What a line is called: a territory, a département outside them, or a whole group."""
    if line in LINES:
        return say(LINES[line])
    outside, _, area = line.partition(":")
    if outside == OUTSIDE:
        known = france().departements
        return f"{area} {known[area].name}" if area in known else area or say(NO_DATA)
    return territories.get(line, line)


def days(seconds: float | None, say: Callable[[str], str] = str, *, comma: str = ",") -> str:
    """A length in days."""
    return "?" if seconds is None else say(LENGTH) % f"{seconds / DAY:.1f}".replace(".", comma)


def asked_words(asked: Asked) -> list[tuple[str, str]]:
    """What was asked, for a person: nothing where nothing narrows it."""
    labels = {
        "first": "Déposés depuis le", "last": "Déposés jusqu'au", "unit": "Administration", "territory": "Territoire",
        "departement": "Département", "topic": "Sujet", "rung": "Échelon", "version": "Version de la procédure",
    }  # fmt: skip
    found = []
    for name, label in labels.items():
        value = getattr(asked, name)
        if value is not None:
            found.append((label, f"{value:%d/%m/%Y}" if name in ("first", "last") else LINES.get(value, value)))
    return found or [("Périmètre", "tous les dossiers que ce lecteur peut voir")]
