"""The closed vocabulary of definitions: guards, which refuse and say why, and effects, which change the draft.

A guard returns None to let through, or a (code, French sentence). An effect changes the draft by `put`, so that
whatever it does stands in the event.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

from states import clocks
from states.clocks import DUE_STEP
from states.definition import Law, RungRule
from states.dossier import SYSTEM, Clock, Hold, Rung
from states.legal import add_months

if TYPE_CHECKING:
    from states.draft import Draft

Refusal = tuple[str, str] | None


def rung_above(draft: Draft) -> tuple[Rung | None, list[int]]:
    """The next rung up with somebody on it that this actor may climb to, and the vacant rungs passed over."""
    rules, current = draft.definition.ladder, -1 if draft.dossier.rung is None else draft.dossier.rung
    vacant: list[int] = []
    for rung in draft.context.rungs:
        if rung.index <= current or rung.index >= len(rules):
            continue
        rule = rules[rung.index]
        if (draft.actor.role == SYSTEM.role and not rule.auto) or (
            rule.only_by and draft.actor.role not in rule.only_by
        ):
            continue
        if rung.unit is None or not rung.staffed:
            vacant.append(rung.index)
            continue
        return rung, vacant
    return None, vacant


def _rung_of(draft: Draft, unit: int | None) -> int | None:
    return None if unit is None else next((rung.index for rung in draft.context.rungs if rung.unit == unit), None)


def _rung_above_open(draft: Draft) -> Refusal:
    if rung_above(draft)[0] is None:
        return "ladder_exhausted", "aucun échelon au-dessus ne peut être saisi : l'échelle est épuisée"
    return None


def _no_rung_above(draft: Draft) -> Refusal:
    rung, _ = rung_above(draft)
    if rung is not None:
        return "rung_above", f"un échelon peut encore être saisi (échelon {rung.index})"
    return None


def _asked_above(draft: Draft) -> RungRule | None:
    rung, _ = rung_above(draft)
    return None if rung is None else draft.definition.ladder[rung.index]


def _lower_rungs_first(draft: Draft) -> Refusal:
    above, ladder = _asked_above(draft), draft.definition.ladder
    if above is None or not above.after:
        return None
    missing = [
        ladder[rung.index].label or ladder[rung.index].rung
        for rung in draft.context.rungs
        if rung.index < len(ladder) and ladder[rung.index].rung in above.after
        and rung.unit is not None and rung.staffed and rung.unit not in draft.dossier.units
    ]  # fmt: skip
    if missing:
        sentence = (
            f"« {above.label or above.rung} » vient après les échelons locaux ; à saisir d'abord : {', '.join(missing)}"
        )
        return "lower_rungs_first", sentence
    return None


def _statement_given(draft: Draft) -> Refusal:
    """What the next rung asks to be told is all there, and what no one there reads is not asked of anybody."""
    above = _asked_above(draft)
    if above is None or not draft.args:
        return None
    asked, known = above.needs or (), draft.definition.fields
    missing = [f"{known[name].label} ({name})" for name in asked if name not in draft.args]
    if missing:
        return "statement", f"« {above.label or above.rung} » demande un exposé ; il manque : {' ; '.join(missing)}"
    idle = [name for rung in draft.definition.ladder for name in rung.needs or () if name not in asked]
    given = [name for name in idle if name in draft.args]
    if given:
        return "no_statement", f"« {above.label or above.rung} » ne demande pas d'exposé ; de trop : {', '.join(given)}"
    return None


def _no_open_hold(draft: Draft) -> Refusal:
    hold = draft.dossier.hold
    if hold is not None:
        return "hold_open", f"une demande au porteur est déjà en cours jusqu'au {hold.until:%d/%m/%Y %H:%M} UTC"
    return None


def _answer_by_ahead(draft: Draft) -> Refusal:
    until, longest = datetime.fromisoformat(draft.args["answer_by"]), draft.definition.longest_hold.delta
    if until <= draft.at:
        return "term_passed", "le terme laissé au porteur (answer_by) est déjà passé"
    if until - draft.at > longest:
        return "term_too_far", f"le terme laissé au porteur (answer_by) est à plus de {longest.days} jours"
    return None


def _hold_open(draft: Draft) -> Refusal:
    return None if draft.dossier.hold is not None else ("no_hold", "aucune demande au porteur n'est en cours")


def _member_of_unit(draft: Draft) -> Refusal:
    if draft.args["to_user"] not in draft.context.members:
        return (
            "not_a_member",
            "cette personne n'est pas en fonction dans l'administration qui tient le dossier, ou est absente",
        )
    return None


def _actor_there(draft: Draft) -> Refusal:
    if draft.actor.person not in draft.context.members:
        return (
            "not_a_member",
            "vous n'êtes pas en fonction dans l'administration qui tient le dossier, ou y êtes noté absent",
        )
    return None


def _assigned(draft: Draft) -> Refusal:
    return None if draft.dossier.assignee is not None else ("not_assigned", "personne ne suit ce dossier")


def _unassigned(draft: Draft) -> Refusal:
    """Two people never work one dossier unknowingly: what somebody has is assigned, not taken."""
    if draft.dossier.assignee == draft.actor.person and draft.actor.person is not None:
        return "yours", "vous suivez déjà ce dossier"
    if draft.dossier.assignee is not None:
        return "taken", "quelqu'un suit déjà ce dossier : qu'il le rende, ou qu'il soit attribué"
    return None


def _another_unit(draft: Draft) -> Refusal:
    if draft.args["to_unit"] == draft.dossier.unit:
        return "same_unit", "cette administration tient déjà le dossier"
    return None


def _consults_another_unit(draft: Draft) -> Refusal:
    if draft.args["consulted"] == draft.dossier.unit:
        return "same_unit", "cette administration tient le dossier : elle n'a pas à s'en demander l'avis"
    return None


def _actor_holds(draft: Draft) -> Refusal:
    if draft.actor.unit != draft.dossier.unit:
        return "passed_on", "cette demande a été transmise à un autre service, qui la tient désormais"
    return None


def _not_yet_asked(draft: Draft) -> Refusal:
    """A request goes to each service once: none is sent round between services without an answer."""
    if draft.args["to_unit"] in draft.dossier.units:
        return "had_it", "ce service a déjà eu cette demande : il reste à y répondre, ou à la transmettre à un autre"
    return None


def _unit_competent_or_forced(draft: Draft) -> Refusal:
    rung = _rung_of(draft, draft.args["to_unit"])
    if rung is not None and rung < len(draft.definition.ladder):
        only = draft.definition.ladder[rung].only_by
        if only and draft.actor.role not in only:
            return "rung_reserved", f"cet échelon n'est saisi que par : {', '.join(only)}"
    if rung is None and not draft.args.get("forced"):
        return (
            "not_competent",
            "cette administration n'est pas compétente pour ce sujet en ce lieu (forced pour passer outre)",
        )
    return None


def _actor_below_current_rung(draft: Draft) -> Refusal:
    own = _rung_of(draft, draft.actor.unit)
    if own is None or draft.dossier.rung is None or own >= draft.dossier.rung:
        return "not_below", "seul un échelon inférieur à celui qui est saisi peut reprendre le dossier"
    return None


def _within_reopen_window(draft: Draft) -> Refusal:
    window = draft.definition.reopen_window.delta
    closed = draft.dossier.closed_at
    if closed is not None and draft.at > closed + window:
        return (
            "too_late",
            f"le délai de réouverture ({window.days} jours) est passé : un nouveau dossier peut être déposé",
        )
    return None


def _place_on_rung(draft: Draft) -> None:
    unit = draft.args["to_unit"]
    found = _rung_of(draft, unit)
    draft.facts["rung"] = found
    if found is None:
        found = draft.dossier.rung if draft.dossier.rung is not None else 0
    _give_to(draft, unit, found)


def _give_to(draft: Draft, unit: int | None, rung: int) -> None:
    draft.put("unit", unit)
    draft.put("rung", rung)
    if draft.dossier.assignee is not None:
        draft.put("assignee", None)
    if unit is not None and unit not in draft.dossier.units:
        draft.put("units", (*draft.dossier.units, unit))


def _climb(draft: Draft) -> None:
    rung, vacant = rung_above(draft)
    assert rung is not None  # noqa: S101  (rung_above_open stands before every climb: the validator demands it)
    draft.facts["rung"] = rung.index
    if vacant:
        draft.facts["vacant"] = vacant
    _give_to(draft, rung.unit, rung.index)


def _descend(draft: Draft) -> None:
    own = _rung_of(draft, draft.actor.unit)
    assert own is not None  # noqa: S101  (actor_below_current_rung)
    draft.facts["rung"] = own
    _give_to(draft, draft.actor.unit, own)


def _assign(draft: Draft) -> None:
    draft.put("assignee", draft.args["to_user"])


def _take(draft: Draft) -> None:
    draft.put("assignee", draft.actor.person)


def _release(draft: Draft) -> None:
    draft.facts["released"] = draft.dossier.assignee
    draft.put("assignee", None)


def _pin_route(draft: Draft) -> None:
    draft.put("pinned", True)  # noqa: FBT003  (a column and its value)


def _open_hold(draft: Draft) -> None:
    motive, until = draft.args["motive"], datetime.fromisoformat(draft.args["answer_by"])
    # Every clock of the definition, those that start during the hold included.
    touches = {name: held(draft, name, motive) for name in draft.definition.clocks}
    draft.put("holds", (*draft.dossier.holds, Hold(motive, draft.effective, until, touches)))
    draft.rate_clocks()


def held(draft: Draft, name: str, motive: str) -> str:
    """What a hold of this motive that begins now does to a clock: as declared, or as the clock's legal rule says."""
    rule, clock = draft.definition.clocks[name], draft.dossier.clocks.get(name)
    how = rule.hold.get(motive, rule.hold.get("default", "ignore"))
    if how != "rule":
        return how
    if clock is None or clock.rule is None or clock.desk is None:
        return "ignore"
    almanac = draft.context.almanac
    legal_rule, hours = almanac.rules(clock.table).rule(clock.rule), almanac.desk(clock.desk).hours
    if legal_rule.hold_within is not None:
        last, _ = add_months(hours.local(clock.start).date(), legal_rule.hold_within)
        if hours.local(draft.effective).date() > last:
            return "ignore"
    return legal_rule.holds.get(PIECES, "ignore")


PIECES = "pieces"
"""The motive by which the table of legal rules calls missing pieces."""


def _clock_extendable(draft: Draft) -> Refusal:
    name, wanted = draft.args["clock"], draft.args["extension"]
    rule, clock = draft.definition.clocks[name], draft.dossier.clocks.get(name)
    if clock is None or clock.end is not None:
        return "not_running", f"le délai « {rule.label or name} » ne court pas"
    if DUE_STEP in clock.done:
        return "expired", f"le délai « {rule.label or name} » est expiré : il ne se prolonge qu'avant son terme"
    known = tuple(rule.extensions or ())
    if clock.rule is not None:
        known = draft.context.almanac.rules(clock.table).rule(clock.rule).extensions
    if wanted not in known:
        return (
            "extension",
            f"« {wanted} » ne prolonge pas ce délai ; accepté : {', '.join(known) or 'aucune prolongation'}",
        )
    if wanted in clock.extended:
        return "extended", "ce délai a déjà été prolongé à ce titre"
    return _too_late_to_extend(draft, clock, wanted)


def _too_late_to_extend(draft: Draft, clock: Clock, wanted: str) -> Refusal:
    """An extension that the law wants notified early is none when it is not."""
    almanac = draft.context.almanac
    extension = almanac.rules(clock.table).extensions.get(wanted) if clock.rule is not None else None
    if extension is None or extension.within is None or clock.desk is None:
        return None
    hours = almanac.desk(clock.desk).hours
    last, _ = add_months(hours.local(clock.start).date(), extension.within)
    if hours.local(draft.effective).date() > last:
        return (
            "too_late",
            f"« {extension.title} » devait être décidée au plus tard le {last:%d/%m/%Y} : le délai ne change pas",
        )
    return None


def _clock_correctable(draft: Draft) -> Refusal:
    name = draft.args["clock"]
    rule, clock = draft.definition.clocks[name], draft.dossier.clocks.get(name)
    if clock is None or clock.end is not None:
        return "not_running", f"le délai « {rule.label or name} » ne court pas"
    if datetime.fromisoformat(draft.args["started"]) > draft.at:
        return "future", "le départ corrigé (started) est à venir"
    return None


def _extend_clock(draft: Draft) -> None:
    name = draft.args["clock"]
    clock = draft.dossier.clocks[name]
    _again(draft, name, clock._replace(extended=(*clock.extended, draft.args["extension"])))


def _correct_clock(draft: Draft) -> None:
    name = draft.args["clock"]
    clock, started = draft.dossier.clocks[name], datetime.fromisoformat(draft.args["started"])
    if (
        draft.definition.clocks[name].by_days
        and clock.desk is not None
        and isinstance(draft.definition.clocks[name].length, Law)
    ):
        hours = draft.context.almanac.desk(clock.desk).hours
        started = hours.reached(hours.local(started).date(), 0)
    _again(draft, name, clock._replace(start=started))


def _again(draft: Draft, name: str, clock: Clock) -> None:
    """A clock goes on as its next cycle, reckoned anew: its pauses stand, and what now lies ahead will be told again."""
    rule, dossier, almanac = draft.definition.clocks[name], draft.dossier, draft.context.almanac
    was = dossier.clocks[name]
    due = clocks.due(rule, name, clock, dossier.holds, dossier.data, almanac)
    fresh = clock._replace(n=was.n + 1, due=due, done=(), retry=None)
    past = tuple(
        reminder.id
        for reminder in rule.reminders
        if reminder.id in was.done
        and clocks.reminder_at(reminder, rule, name, fresh, dossier.holds, dossier.data, almanac) <= draft.at
    )
    draft.facts["was"] = {"start": was.start.isoformat(), "due": was.due.isoformat(), "cycle": was.n}
    draft.put_clock(name, fresh._replace(done=past))


def _close_hold(draft: Draft) -> None:
    *earlier, hold = draft.dossier.holds
    draft.put("holds", (*earlier, replace(hold, end=min(draft.effective, hold.until))))
    draft.rate_clocks()


def _consult(draft: Draft) -> None:
    """Nothing of the dossier changes: its journal says who is consulted, whoever has the ball keeps it."""
    draft.facts["consults"] = draft.args["consulted"]


def _recall(draft: Draft) -> None:
    draft.facts["recalls"] = draft.args["request"]


def _pass_on(draft: Draft) -> None:
    _give_to(draft, draft.args["to_unit"], draft.dossier.rung or 0)


def _release_rung_clocks(draft: Draft) -> None:
    """A rung's clock has nobody left to ask: the definition's own `stop` ends it; the vacancies are kept as facts."""
    draft.facts["vacant"] = [rung.index for rung in draft.context.rungs if rung.unit is None or not rung.staffed]


GUARDS: dict[str, Callable[[Draft], Refusal]] = {
    "actor_below_current_rung": _actor_below_current_rung,
    "actor_holds": _actor_holds,
    "actor_there": _actor_there,
    "another_unit": _another_unit,
    "answer_by_ahead": _answer_by_ahead,
    "assigned": _assigned,
    "clock_correctable": _clock_correctable,
    "clock_extendable": _clock_extendable,
    "consults_another_unit": _consults_another_unit,
    "hold_open": _hold_open,
    "lower_rungs_first": _lower_rungs_first,
    "member_of_unit": _member_of_unit,
    "no_open_hold": _no_open_hold,
    "no_rung_above": _no_rung_above,
    "not_yet_asked": _not_yet_asked,
    "rung_above_open": _rung_above_open,
    "statement_given": _statement_given,
    "unassigned": _unassigned,
    "unit_competent_or_forced": _unit_competent_or_forced,
    "within_reopen_window": _within_reopen_window,
}
EFFECTS: dict[str, Callable[[Draft], None]] = {
    "assign": _assign,
    "climb": _climb,
    "close_hold": _close_hold,
    "consult": _consult,
    "correct_clock": _correct_clock,
    "descend": _descend,
    "extend_clock": _extend_clock,
    "open_hold": _open_hold,
    "pass_on": _pass_on,
    "pin_route": _pin_route,
    "place_on_rung": _place_on_rung,
    "recall": _recall,
    "release": _release,
    "release_rung_clocks": _release_rung_clocks,
    "take": _take,
}
