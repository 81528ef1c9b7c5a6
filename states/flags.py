"""What is to be said of a request to the holder before it is sent: late, not indispensable, or on a new subject."""

from __future__ import annotations

from typing import NamedTuple

from states.almanac import Almanac
from states.clocks import DUE_STEP
from states.definition import Definition, Law
from states.dossier import Decision, Dossier
from states.legal import add_months
from states.vocabulary import PIECES

EUROPEAN = ("nzia", "crma")


class Flag(NamedTuple):
    """Something that the law says of a request: its code, and a sentence that says the effect and the article."""

    code: str
    sentence: str


def flags(definition: Definition, decision: Decision, almanac: Almanac) -> list[Flag]:
    """What is to be said of the hold that this decision opens; nothing when it opens none."""
    before, after = decision.before, decision.after
    hold = after.hold
    if hold is None or len(after.holds) == len(before.holds):
        return []
    found = []
    if hold.motive == "piece_optional":
        sentence = "La pièce n'est pas indispensable : la demander ne suspend pas l'instruction (CRPA L114-5-1)."
        found.append(Flag("not_indispensable", sentence))
    for name, clock in before.clocks.items():
        rule = definition.clocks.get(name)
        if rule is None or clock.end is not None or clock.rule is None or clock.desk is None:
            continue
        legal = almanac.rules(clock.table).rule(clock.rule)
        by_rule = rule.hold.get(hold.motive, rule.hold.get("default")) == "rule"
        hours = almanac.desk(clock.desk).hours
        if by_rule and legal.hold_within is not None and PIECES in legal.holds:
            last, _ = add_months(hours.local(clock.start).date(), legal.hold_within)
            if hours.local(hold.since).date() > last:
                what = (
                    f"« {rule.label or name} » : demande tardive, les pièces devaient être demandées au plus tard le "
                )
                found.append(Flag("late", f"{what}{last:%d/%m/%Y} ; elle est sans effet sur ce délai ({legal.basis})."))
    return [*found, *_european(definition, before, hold.motive)]


def _european(definition: Definition, before: Dossier, motive: str) -> list[Flag]:
    """European law lets a second request bear on the subjects of the first only, and in the time for completeness."""
    lengths = {name: rule.length for name, rule in definition.clocks.items()}
    for name, clock in before.clocks.items():
        length = lengths.get(name)
        if not isinstance(length, Law) or length.procedure not in EUROPEAN or length.clock != "completude":
            continue
        article = (
            "règl. (UE) 2024/1735, art. 9(10)" if length.procedure == "nzia" else "règl. (UE) 2024/1252, art. 11(6)"
        )
        if motive == "piece_required" and clock.end is None and DUE_STEP in clock.done:
            return [Flag("late", f"La demande vient après l'échéance de complétude : elle est hors délai ({article}).")]
        if any(hold.motive == motive == "piece_required" for hold in before.holds):
            sentence = f"Seconde demande : elle ne peut porter que sur les sujets de la première ({article})."
            return [Flag("second_request", sentence)]
    return []
