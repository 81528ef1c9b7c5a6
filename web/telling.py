"""What the pages of the report say of its figures: tables, drawings, and the sentence of each, in the language of the reader."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from states import loss, survival
from states.counters import FLOW, LATE_BY, MOVED
from states.effect import OUTSIDE
from states.loss import MEASURABLE, Loss, Most
from states.report import BOXES, COMMITMENT, WAITS, Report
from states.survival import Curve
from web import pictures
from web.pictures import Bar, Cell, Line, Picture, Stop
from web.speech import Speech
from workflow.report_choices import Choices
from workflow.sums import Figure, Of, Sums

FAMILIES = (COMMITMENT, "legal")
LATE = ("open_late", "closed_late")
MOST_BARS, MOST_ROWS, MOST_MONTHS = 12, 20, 12
DAY = timedelta(days=1)
_STEPS = (1, 2, 5, 7, 10, 14, 30, 60, 90, 180, 365)
_BINS = 8
Link = Callable[..., str]
"""The address of the dossiers behind some figures, `chiffre`, with other filters; or, with `page`, of another page."""


@dataclass(frozen=True, slots=True)
class Row:
    """The boxes of one clock or one group: cells in the order of `BOXES`, how many have a fate, the share kept."""

    name: Cell
    boxes: tuple[Cell, ...]
    kept: str
    lost: str


class Telling:
    """The words and drawings of one reader's report."""

    def __init__(self, say: Speech, choices: Choices, link: Link) -> None:
        self.say, self._, self.many = say, say._, say.many
        self.choices, self.link = choices, link

    # --- numbers ------------------------------------------------------------------------------------------------------

    def number(self, value: float) -> str:
        """A number with one decimal, as the language writes it."""
        said = f"{value:.1f}"
        return said.replace(".", ",") if self.say.language == "fr" else said

    def days(self, lasted: timedelta | float | None) -> str:
        """A duration in days; seconds when it is a number."""
        if lasted is None:
            return "?"
        seconds = lasted.total_seconds() if isinstance(lasted, timedelta) else lasted
        return self._("%s j") % self.number(seconds / DAY.total_seconds())

    def share(self, value: float | None) -> str:
        """A share in percent; that there is no datum, where there is none."""
        return self._("pas de donnée") if value is None else f"{100 * value:.0f} %"

    # --- names --------------------------------------------------------------------------------------------------------

    def unit(self, number: int) -> str:
        """The name of an administration."""
        return self.choices.numbers.get(number, ("", self._("Aucune administration")))[1]

    def party(self, party: str) -> str:
        """Who had the ball."""
        kind, _, key = party.partition(":")
        if kind == "unit":
            return self.unit(int(key))
        return {"holder": self._("Le porteur"), "third_party": self._("Un tiers")}.get(party, self._("Personne"))

    def rung(self, name: str) -> str:
        """The label of a rung."""
        return self._(self.choices.rungs.get(name, name)) if name else self._("Aucun échelon")

    def _stop(self, name: str) -> str:
        return self.rung(name) if name else self._("Dépôt, sans échelon")

    def clock(self, name: str) -> str:
        """The label of a clock."""
        return self._(self.choices.clocks.get(name, name))

    def group(self, by: str, value: Any) -> tuple[str, dict[str, str] | None]:
        """What a group is called, and the filters that narrow to it; None where none does."""
        if by == "month":
            last = (value.replace(day=28) + 4 * DAY).replace(day=1) - DAY
            return f"{value:%Y-%m}", {"du": value.isoformat(), "au": last.isoformat()}
        if not value and by == "territory":
            return self._("Hors Territoire d'industrie"), {"territoire": OUTSIDE}
        if not value:
            return self._("pas de donnée"), None
        if by == "unit":
            code, name = self.choices.numbers.get(value, ("", ""))
            return name, {"administration": code}
        called: dict[str, tuple[str, Callable[[str], str]]] = {
            "departement": ("departement", lambda code: f"{code} {self.choices.departements.get(code, '')}".strip()),
            "territory": ("territoire", lambda code: self.choices.territories.get(code, code)),
            "topic": ("sujet", self.say.topic),
            "rung": ("echelon", self.rung),
            "definition": ("version", lambda code: self._(self.choices.versions.get(code, code))),
        }
        field, name_of = called[by]
        return name_of(value), {field: value}

    # --- the boxes ----------------------------------------------------------------------------------------------------

    def boxes(self, whole: Mapping[Figure, int], family: str) -> list[Row]:
        """The four boxes of each clock of a family."""
        names = sorted({clock for kind, clock, _ in whole if kind == family}, key=self.clock)
        return [
            self._row(Cell(self.clock(clock)), {name: whole.get((family, clock, name), 0) for name in (*BOXES, LATE_BY)}, [clock], {})
            for clock in names
        ]  # fmt: skip

    def _row(
        self, name: Cell, found: Mapping[str, int], clocks: Sequence[str], narrow: Mapping[str, str] | None
    ) -> Row:
        cells = []
        for box in BOXES:
            number = found.get(box, 0)
            figures = [f"{clock}:{box}" for clock in clocks]
            led = bool(number) and narrow is not None
            cells.append(Cell(str(number), self.link(chiffre=figures, **(narrow or {})) if led else None))
        fate = sum(found.get(box, 0) for box in BOXES) - found.get("open_in_time", 0)
        kept = self._("pas de donnée")
        if 0 < fate < MEASURABLE:
            kept = self._("non mesurable (n = %s)") % fate
        elif fate:
            kept = self._("%(share)s de %(known)s") % {
                "share": self.share(found.get("closed_in_time", 0) / fate),
                "known": fate,
            }
        return Row(name, tuple(cells), kept, self.days(found.get(LATE_BY, 0) / 1e6))

    def legend(self) -> list[tuple[str, str]]:
        """What the textures of the boxes mean."""
        words = {
            "closed_in_time": self._("clos à temps"), "open_in_time": self._("en cours, à temps"),
            "open_late": self._("en cours, dépassé"), "closed_late": self._("clos en retard"),
        }  # fmt: skip
        return [(texture, words[texture]) for texture in pictures.TEXTURES]

    def clocks_picture(self, whole: Mapping[Figure, int], family: str) -> Picture | None:
        """The boxes of the clocks of a family, as bars."""
        rows = self.boxes(whole, family)
        return self._boxes_picture(f"b-{family}", self._("Délai"), rows) if rows else None

    def _boxes_picture(self, key: str, head: str, rows: Sequence[Row]) -> Picture:
        numbers = [dict(zip(BOXES, (int(cell.text) for cell in row.boxes), strict=True)) for row in rows]
        total: Counter[str] = Counter()
        for one in numbers:
            total.update(one)
        late = sum(total[box] for box in LATE)
        said = self._("Sur %(all)s promesses, %(kept)s ont été tenues, %(late)s sont ou ont été en retard, %(open)s courent à temps.") % {
            "all": total.total(), "kept": total["closed_in_time"], "late": late, "open": total["open_in_time"],
        }  # fmt: skip
        if late:
            place = max(range(len(rows)), key=lambda index: sum(numbers[index][box] for box in LATE))
            most = {"name": rows[place].name.text, "late": sum(numbers[place][box] for box in LATE)}
            said += " " + self._("Le plus de retards : %(name)s, %(late)s.") % most
        lines = [
            Bar(row.name.text, [(box, one[box]) for box in pictures.TEXTURES], row.kept)
            for row, one in list(zip(rows, numbers, strict=True))[:MOST_BARS]
        ]
        cells = tuple((row.name, *row.boxes, Cell(row.kept), Cell(row.lost)) for row in rows)
        return Picture(pictures.bars(key, lines, said, legend=self.legend()), said, self._heads(head), cells)

    def _heads(self, first: str) -> tuple[str, ...]:
        return (first, self._("En cours, à temps"), self._("En cours, dépassé"), self._("Clos à temps"), self._("Clos en retard"),
                self._("Tenus"), self._("Au-delà des échéances"))  # fmt: skip

    def groups_picture(self, sums: Sums, by: str, family: str) -> Picture | None:
        """The four boxes of each group, those with most that is late first; months in their order."""
        clocks: set[str] = set()
        found: dict[Any, Counter[str]] = {}
        for (value,), figures in sums.by(by, families=(family,)).items():
            into = found.setdefault(value, Counter())
            for (_, clock, measure), number in figures.items():
                clocks.add(clock)
                into[measure] += number
        if not found:
            return None
        late = {value: sum(one[box] for box in LATE) for value, one in found.items()}
        order = sorted(
            found, key=lambda value: value if by == "month" else (-late[value], -found[value].total(), str(value))
        )
        rows = []
        for value in order:
            name, narrow = self.group(by, value)
            page = self.link(page=True, **narrow) if narrow is not None else None
            rows.append(self._row(Cell(name, page), found[value], sorted(clocks), narrow))
        return self._boxes_picture(f"g-{family}", self.by(by), rows)

    def by(self, by: str) -> str:
        """What a grouping is called."""
        return {
            "unit": self._("Administration"), "departement": self._("Département"), "territory": self._("Territoire d'industrie"),
            "topic": self._("Sujet"), "rung": self._("Échelon"), "definition": self._("Version de la procédure"),
            "month": self._("Mois du dépôt"),
        }[by]  # fmt: skip

    # --- where time is lost -------------------------------------------------------------------------------------------

    def most(self, most: Most | None, found: Sequence[Loss]) -> list[str]:
        """Who loses most time, and where: or that it cannot be said."""
        if most is None:
            if not found:
                return [self._("Pas de donnée : aucun engagement dans ce périmètre.")]
            largest = max(one.promises for one in found)
            if largest < MEASURABLE:
                return [self._("Non mesurable : aucune administration n'a %(least)s engagements dans ce périmètre (n = %(n)s au plus).")
                        % {"least": MEASURABLE, "n": largest}]  # fmt: skip
            return [self._("Aucun temps perdu au-delà des échéances par une administration mesurable.")]
        one = most.loss
        said = [
            self._("Parmi les administrations mesurables, %(unit)s perd le plus de temps : %(days)s au-delà de ses échéances, soit %(share)s du temps perdu, sur %(n)s engagements dont %(late)s en retard.")
            % {"unit": self.unit(one.unit), "days": self.days(one.lost), "share": self.share(most.share), "n": one.promises, "late": one.late},
            self._("Surtout à l'échelon « %(rung)s » (%(rung_share)s) et sur « %(clock)s » (%(clock_share)s).")
            % {"rung": self.rung(most.rung), "rung_share": self._part(one.rungs, most.rung),
               "clock": self.clock(most.clock), "clock_share": self._part(one.clocks, most.clock)},
        ]  # fmt: skip
        if most.court is not None:
            said.append(
                self._("Elle a eu la balle %(court)s du temps des dossiers de ce périmètre ; le porteur ou un tiers, %(held)s.")
                % {"court": self.share(most.court), "held": self.share(most.held)}
            )  # fmt: skip
        return said

    def _part(self, found: Counter[str], name: str) -> str:
        return self.share(found[name] / found.total())

    def losses(self, found: Sequence[Loss], clocks: Sequence[str], court: Mapping[str, int]) -> Picture | None:
        """The time that each administration has lost past its dates; not compared below the least that is measured."""
        measured = [one for one in found if one.measurable]
        whole = sum(court.values())
        rows = []
        for one in sorted(found, key=lambda one: not one.measurable):
            name, narrow = self.group("unit", one.unit)
            late = [f"{clock}:{box}" for clock in clocks for box in LATE]
            led = self.link(chiffre=late, **(narrow or {})) if one.late else None
            few = self._("non mesurable (n = %s)") % one.promises
            had = court.get(f"unit:{one.unit}", 0) / whole if whole else None
            rows.append(
                (Cell(name, self.link(page=True, **(narrow or {}))), Cell(str(one.promises)), Cell(str(one.late), led),
                 Cell(self.days(one.lost) if one.measurable else few),
                 Cell(self.rung(one.rungs.most_common(1)[0][0]) if one.lost >= loss.LEAST else ""), Cell(self.share(had)))
            )  # fmt: skip
        if not found:
            return None
        lost = [one for one in measured if one.lost >= loss.LEAST][:MOST_BARS]
        if lost:
            said = self._("%(unit)s est en tête avec %(days)s ; %(n)s administrations sont mesurables, %(few)s ne le sont pas.") % {
                "unit": self.unit(lost[0].unit), "days": self.days(lost[0].lost), "n": len(measured), "few": len(found) - len(measured),
            }  # fmt: skip
        else:
            said = self._("Aucune administration mesurable n'a perdu de temps au-delà de ses échéances.")
        lines = [Bar(self.unit(one.unit), [("plain", one.lost.total_seconds())], self.days(one.lost)) for one in lost]
        head = (self._("Administration"), self._("Engagements"), self._("dont en retard"), self._("Temps perdu"),
                self._("Surtout à l'échelon"), self._("A eu la balle"))  # fmt: skip
        return Picture(pictures.bars("loss", lines, said), said, head, tuple(rows))

    # --- who had the ball ---------------------------------------------------------------------------------------------

    def court(self, court: Mapping[str, int]) -> Picture | None:
        """How much of the time each party had the ball."""
        whole = sum(court.values())
        if not whole:
            return None
        parties = list(court.items())
        lines = [
            Bar(self.party(party), [("plain", lasted)], self.share(lasted / whole))
            for party, lasted in parties[:MOST_BARS]
        ]
        first, lasted = parties[0]
        outside = court.get("holder", 0) + court.get("third_party", 0)
        said = self._("%(party)s a eu la balle le plus longtemps, %(share)s du temps ; le porteur et les tiers, %(outside)s.") % {
            "party": self.party(first), "share": self.share(lasted / whole), "outside": self.share(outside / whole),
        }  # fmt: skip
        rows = tuple(
            (Cell(self.party(party), self.link(chiffre=[f"court:{party}"])), Cell(self.days(lasted / 1e6)), Cell(self.share(lasted / whole)))
            for party, lasted in parties
        )  # fmt: skip
        return Picture(
            pictures.bars("court", lines, said), said, (self._("Partie"), self._("Temps"), self._("Part")), rows
        )

    # --- where and when -----------------------------------------------------------------------------------------------

    def heat(self, sums: Sums, clocks: Sequence[str]) -> Picture | None:
        """The share of commitments that are or were late, by place and month of submission."""
        by = "departement" if sums.kept else "territory"
        found: dict[str, dict[date, tuple[int, int]]] = {}
        for (place, month), figures in sums.by(by, "month", families=FAMILIES).items():
            promised = Counter[str]()
            for (family, _, box), number in figures.items():
                promised[box] += number if family == COMMITMENT else 0
            late = sum(promised[box] for box in LATE)
            fate = late + promised["closed_in_time"]
            if not fate + promised["open_in_time"]:
                continue
            found.setdefault(place, {})[month] = late, fate
        every = sorted({month for one in found.values() for month in one})
        if not every:
            return None
        months = _months(every[0], every[-1])[-MOST_MONTHS:]
        total = {place: sum(late for late, _ in one.values()) for place, one in found.items()}
        places = sorted(found, key=lambda place: (-total[place], place))[:MOST_ROWS]
        grid = [(place or "–", [_ratio(found[place].get(month)) for month in months]) for place in places]
        rows = []
        for place in places:
            name, narrow = self.group(by, place)
            cells = [Cell(name, self.link(page=True, **narrow) if narrow else None)]
            for month in months:
                late, fate = found[place].get(month, (0, 0))
                behind = [f"{clock}:{box}" for clock in clocks for box in LATE]
                _, within = self.group("month", month)
                led = self.link(chiffre=behind, **narrow, **(within or {})) if late and narrow is not None else None
                cells.append(
                    Cell(self._("%(late)s sur %(known)s") % {"late": late, "known": fate} if fate else "–", led)
                )
            rows.append(tuple(cells))
        said = self._worst(by, [(late / fate, place, month, late, fate) for place in places for month, (late, fate) in found[place].items()
                                if fate and month in months])  # fmt: skip
        if len(found) > len(places):
            said += " " + self._("Les %(shown)s lieux qui ont le plus de retards, sur %(all)s.") % {
                "shown": len(places),
                "all": len(found),
            }
        head = (self.by(by), *(f"{month:%Y-%m}" for month in months))
        return Picture(pictures.heat(head[1:], grid, said), said, head, tuple(rows))

    def _worst(self, by: str, known: Sequence[tuple[float, str, date, int, int]]) -> str:
        measured = [one for one in known if one[4] >= MEASURABLE]
        if not measured:
            return self._("Aucune case n'a %s engagements dont le sort est connu : rien ne s'y compare.") % MEASURABLE
        share, place, month, late, fate = max(measured)
        if not late:
            return self._("Aucun retard dans une case mesurable.")
        return self._("La case la plus haute : %(place)s, %(month)s, %(share)s en retard (%(late)s sur %(known)s).") % {
            "place": self.group(by, place)[0], "month": f"{month:%Y-%m}", "share": self.share(share), "late": late, "known": fate,
        }  # fmt: skip

    # --- from rung to rung --------------------------------------------------------------------------------------------

    def flow(self, moved: Mapping[Figure, int]) -> Picture | None:
        """How many dossiers went from each rung to the next, and where they stand."""
        moves = {tuple(clock.split(">", 1)): number for (family, clock, measure), number in moved.items()
                 if (family, measure) == (FLOW, MOVED) and number}  # fmt: skip
        if not moves:
            return None
        ladder = list(self.choices.rungs)
        names = {name for one in moves for name in one if not name.startswith("=")}
        order = sorted(names, key=lambda name: (ladder.index(name) if name in ladder else -1, name))
        if not any(begin == "" and end.startswith("=") for begin, end in moves):
            order = [name for name in order if name]
        ends = {
            "=open": self._("ouverts : %s"),
            "=resolved": self._("résolus : %s"),
            "=withdrawn": self._("retirés : %s"),
        }
        stops = [
            Stop(
                self._stop(name),
                " · ".join(words % moves[name, end] for end, words in ends.items() if (name, end) in moves),
            )
            for name in order
        ]
        arrows = [(order.index(begin), order.index(end), number) for (begin, end), number in sorted(moves.items())
                  if begin in order and end in order]  # fmt: skip
        climbs = {pair: number for pair, number in moves.items() if pair[0] and not pair[1].startswith("=")}
        if climbs:
            (begin, end), number = max(climbs.items(), key=lambda item: (item[1], item[0]))
            words = {"begin": self.rung(begin), "end": self.rung(end), "n": number}
            said = self._("Le passage le plus fréquent : de « %(begin)s » à « %(end)s », %(n)s fois.") % words
        else:
            said = self._("Aucun dossier n'est passé d'un échelon à un autre.")
        to = {"": self._("dépôt"), "=open": self._("encore ouverts"), "=resolved": self._("résolus"), "=withdrawn": self._("retirés par le porteur")}  # fmt: skip
        rows = tuple(
            (Cell(to[begin] if not begin else self.rung(begin)), Cell(to.get(end) or self.rung(end)),
             Cell(str(number), self.link(chiffre=[f"moved:{begin}>{end}"])))
            for (begin, end), number in sorted(moves.items(), key=lambda item: -item[1])
        )  # fmt: skip
        return Picture(pictures.flow(stops, arrows, said), said, (self._("De"), self._("À"), self._("Dossiers")), rows)

    # --- waits --------------------------------------------------------------------------------------------------------

    def wait(self, name: str) -> str:
        """What a wait is called."""
        return {
            "triage": self._("Orientation"),
            "first_answer": self._("Première réponse"),
            "resolution": self._("Résolution"),
        }[name]

    def quantile(self, found: Mapping[str, Any] | None, name: str) -> str:
        """A quantile with its interval, or that it is not reached, that too few waited, or that there is no datum."""
        if found is None:
            return self._("pas de donnée")
        if found["waited"] < MEASURABLE:
            return self._("non mesurable (n = %s)") % int(found["waited"])
        if found[name] is None:
            return self._("pas encore atteint")
        low, high = found[f"{name}_interval"]
        words = {"at": self.days(found[name]), "low": self.days(low), "high": self.days(high)}
        return self._("%(at)s (%(low)s à %(high)s)") % words

    def curve(self, name: str, report: Report) -> Picture | None:
        """The share that still waits, by day, gross with its interval and net beside it."""
        gross, net = report.curve(name), report.curve(name, "net")
        if not gross.total:
            return None
        longest = max(lasted for lasted, _ in report.waits[name]["gross"])
        until = max(longest / DAY, 1.0)
        lines = [
            Line(self._("brut et son intervalle"), _steps(gross)),
            Line(self._("net des demandes"), _steps(net)),
        ]
        median = gross.quantile(0.5)
        if median.at is None:
            said = self._("La médiane n'est pas atteinte : après %(days)s, %(share)s attendent encore.") % {
                "days": self.days(longest), "share": self.share((gross.at(longest) or (None,))[0]),
            }  # fmt: skip
        else:
            after = (gross.at(30 * DAY) or (None,))[0]
            said = self._("La moitié attend %(days)s ou moins ; %(share)s attendent encore après 30 jours.") % {
                "days": self.days(median.at), "share": self.share(after),
            }  # fmt: skip
        head = (
            self._("Après (jours)"),
            self._("Attendaient"),
            self._("Venus"),
            self._("Attendent encore"),
            self._("Intervalle à 95 %"),
        )
        rows = tuple(
            (Cell(self.number(step.time / DAY)), Cell(str(step.at_risk)), Cell(str(step.events)), Cell(self.share(step.waiting)),
             Cell(f"{self.share(step.low)} – {self.share(step.high)}"))
            for step in _thinned(gross.steps)
        )  # fmt: skip
        return Picture(pictures.curves(lines, said, unit=self._("jours"), until=until), said, head, rows)

    def histogram(self, name: str, report: Report) -> Picture | None:
        """How many waits lasted how many days, and how many last."""
        lasted = report.waits[name]["gross"]
        if not lasted:
            return None
        longest = max(wait for wait, _ in lasted) / DAY
        step = next((one for one in _STEPS if longest < one * _BINS), _STEPS[-1])
        found = Counter((min(int(wait / DAY // step), _BINS - 1), over) for wait, over in lasted)
        bins = [(found[place, True], found[place, False]) for place in range(_BINS)]
        tallest = max(range(_BINS), key=lambda place: sum(bins[place]))
        last = bins[-1] != (0, 0) and longest >= step * _BINS
        labels = [f"{place * step}{'+' if last and place == _BINS - 1 else ''}" for place in range(_BINS)]
        said = self._("Sur %(all)s attentes, %(over)s sont finies ; la colonne la plus haute, de %(begin)s à %(end)s jours, en a %(n)s.") % {
            "all": len(lasted), "over": sum(over for _, over in lasted), "begin": tallest * step, "end": (tallest + 1) * step,
            "n": sum(bins[tallest]),
        }  # fmt: skip
        legend = self._("finies"), self._("durent encore")
        svg = pictures.histogram(f"h-{name}", [(label, *one) for label, one in zip(labels, bins, strict=True)], said,
                                 legend=legend, unit=self._("jours, à partir de"))  # fmt: skip
        rows = tuple(
            (Cell(label), Cell(str(over)), Cell(str(waiting)))
            for label, (over, waiting) in zip(labels, bins, strict=True)
        )
        return Picture(svg, said, (self._("Jours, à partir de"), *legend), rows)

    def ages(self, ages: Sequence[Mapping[str, Any]]) -> Picture | None:
        """How old the open dossiers are."""
        total = sum(one["open"] for one in ages)
        if not total:
            return None
        lines, rows = [], []
        for place, one in enumerate(ages):
            words = self._("de %(begin)s à %(end)s jours") % {"begin": one["from_days"], "end": one["to_days"]}
            if one["to_days"] is None:
                words = self._("%s jours et plus") % one["from_days"]
            lines.append(Bar(words, [("plain", one["open"])], str(one["open"])))
            rows.append(
                (Cell(words), Cell(str(one["open"]), self.link(chiffre=[f"age:{place}"]) if one["open"] else None))
            )
        old = sum(one["open"] for one in ages if one["from_days"] >= 90)  # noqa: PLR2004  (the months of a quarter)
        said = self._("Sur %(all)s dossiers ouverts, %(old)s le sont depuis 90 jours ou plus.") % {
            "all": total,
            "old": old,
        }
        return Picture(
            pictures.bars("ages", lines, said), said, (self._("Âge"), self._("Dossiers ouverts")), tuple(rows)
        )

    def waits(self, plain: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
        """The lines of the table of waits."""
        for name in WAITS:
            for which, words in (("gross", self._("brut")), ("net", self._("net des demandes"))):
                found = plain["waits"][name][which]
                came = self._("pas de donnée")
                if found is not None:
                    came = self._("%(over)s sur %(waited)s") % found
                yield self.wait(name), words, came, self.quantile(found, "p50"), self.quantile(found, "p90")


def _ratio(found: tuple[int, int] | None) -> float | str | None:
    """A share; of fewer than are measured, the two numbers; of none, nothing."""
    if not found or not found[1]:
        return None
    return found[0] / found[1] if found[1] >= MEASURABLE else f"{found[0]}/{found[1]}"


def _months(first: date, last: date) -> list[date]:
    found = [first]
    while found[-1] < last:
        found.append((found[-1].replace(day=28) + 4 * DAY).replace(day=1))
    return found


def _steps(curve: Curve) -> list[tuple[float, float, float, float]]:
    return [(step.time / DAY, step.waiting, step.low, step.high) for step in curve.steps]


def _thinned(steps: Sequence[survival.Step], most: int = 60) -> Sequence[survival.Step]:
    """At most so many steps, the last one among them."""
    if len(steps) <= most:
        return steps
    return [steps[round(place * (len(steps) - 1) / (most - 1))] for place in range(most)]


def clocks_of(whole: Mapping[Figure, int], family: str) -> list[str]:
    """The clocks of a family that there are figures of."""
    return sorted({clock for kind, clock, _ in whole if kind == family})


def losing(sums: Sums) -> tuple[list[Loss], dict[str, int], Mapping[Figure, int]]:
    """What each administration has lost, who had the ball, and the whole."""
    by_unit: Mapping[Of, Counter[Figure]] = sums.by("unit", "rung")  # read once, the finer first
    whole: Mapping[Figure, int] = sums.by().get((), Counter())
    return loss.losses({(unit, rung): one for (unit, rung), one in by_unit.items()}), loss.parties(whole), whole
