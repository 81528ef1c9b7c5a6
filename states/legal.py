"""Legal time limits: dates, not instants. One small vocabulary says every rule of reckoning; a table says which applies.

The event's own day never counts: that is what adding to its date means (Code de procédure civile, 641; Regulation (EEC,
Euratom) 1182/71, 3). The rest is in `Limit`. Holidays are values: those of the zone of the competent service.
"""

from __future__ import annotations

import calendar as gregorian
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import cached_property
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from states.calendar import FIRST_YEAR, LAST_YEAR, Closed
from states.errors import BadInput, shown
from states.explanation import MOST, Step

Kind = Literal["every", "working", "opening"]
"""Which days count: every day, the jours ouvrés (Monday to Friday), the jours ouvrables (Monday to Saturday); the last two
without the holidays."""
Effect = Literal["pause", "restart"]
Silence = Literal["acceptance", "rejection", "no_opposition", "waiver", "none"]
Confidence = Literal["verified", "partial", "uncertain"]
ONE_DAY = timedelta(days=1)
SATURDAY, SUNDAY = 5, 6
MONTHS = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """A length and how it is reckoned. Months first, from a date to the same date, cut to the month's last day; then days.

    next_day: what begins, or begins again, counts from the day after, each day whole.
    franc: neither the first day nor the last counts, so one day more.
    rolls: a last day that is a Saturday, a Sunday or a holiday is put off to the next that is none.
    holds: what a hold does, by its motive; of a motive not named, nothing.
    hold_within: a hold opened later than so many months after the start does nothing.
    """

    months: int = 0
    days: int = 0
    kind: Kind = "every"
    next_day: bool = False
    franc: bool = False
    rolls: bool = False
    holds: Mapping[str, Effect] = field(default_factory=dict)
    hold_within: int | None = None


class Hold(NamedTuple):
    """A time during which the applicant was waited for; without `resolved` it is as if resolved today."""

    opened: date
    resolved: date | None
    motive: str


class Result(NamedTuple):
    """A due date, the date before it was put off to a working day, and the steps that lead there."""

    due: date
    raw: date
    steps: tuple[Step, ...]


def due(
    limit: Limit,
    start: date,
    *,
    holidays: Mapping[date, str],
    extension_months: int = 0,
    extension_days: int = 0,
    not_counted: int = 0,
    holds: Sequence[Hold] = (),
    today: date | None = None,
) -> Result:
    """The last day of a limit that starts from an event on a date, and why.

    An extension is added to the length and counted from the origin, not from the shortened date; `not_counted` days are
    added after. Raises BadInput: a negative length, holds out of order or overlapping, a date outside 2000-2199.
    """
    for name, given in (
        ("months", limit.months),
        ("days", limit.days),
        ("extension_months", extension_months),
        ("extension_days", extension_days),
        ("days_not_counted", not_counted),
    ):
        if given < 0:
            raise BadInput("negative", "une durée ne peut pas être négative", field=name, accepted="0 ou davantage")
    steps = [Step("event", {"day": start})]
    begun, end, moved = _begun(limit, start, steps), start, 0
    ran = _Ran(limit, holidays, extension_months, extension_days)
    last_day = None if limit.hold_within is None else add_months(start, limit.hold_within)[0]
    for hold, resolved in _in_order(holds, start, today):
        end = ran.end(begun)[-1].facts["to"] + timedelta(days=moved)
        effect = limit.holds.get(hold.motive)
        late = last_day is not None and hold.opened > last_day
        facts: dict[str, Any] = {"opened": hold.opened, "resolved": resolved, "motive": hold.motive}
        why = (
            "motive" if effect is None
            else "late" if late
            else "over" if hold.opened > end
            else "before" if limit.next_day and effect == "pause" and resolved <= begun
            else None
        )  # fmt: skip
        if why is not None:
            steps.append(Step("hold_ignored", {**facts, "why": why, "last_day": last_day if late else end}))
        elif effect == "restart":
            steps.append(Step("hold_restart", facts))
            begun, moved = _begun(limit, resolved, steps), 0
        else:
            lasted = (resolved - hold.opened).days + (1 if limit.next_day else 0)
            steps.append(Step("hold_pause", {**facts, "days": lasted}))
            moved += lasted
    counted = ran.end(begun)
    steps += counted
    end = counted[-1].facts["to"]
    for code, days in (("hold_days", moved), ("not_counted", not_counted)):
        if days:
            end = _later(end, days)
            steps.append(Step(code, {"days": days, "to": end}))
    raw = end
    if limit.rolls:
        end = _rolled(raw, holidays, steps)
    elif limit.kind == "every" and (closed := not_worked(raw, holidays)) is not None:
        steps.append(Step("not_rolled", {"day": raw, **closed._asdict()}))
    steps.append(Step("due_day", {"day": end}))
    if limit.franc and limit.months and (doubt := _other_reading(limit, extension_months, begun, raw, end, holidays)):
        steps.append(doubt)
    return Result(end, raw, tuple(steps))


def _other_reading(
    limit: Limit, extension: int, begun: date, raw: date, end: date, holidays: Mapping[date, str]
) -> Step | None:
    """The doubt of a franc limit at the end of a month: the day more may be added after the months, as here, or before."""
    after, _ = add_months(begun, limit.months + extension)
    before, _ = add_months(begun + ONE_DAY, limit.months + extension)
    other = before + (raw - after - ONE_DAY)
    if limit.rolls:
        other = _rolled(other, holidays, [])
    if other == end:
        return None
    doubt = f"délai franc en fin de mois ; compté depuis le lendemain, il expirerait le {other:%d/%m/%Y}."
    return Step("uncertain", {"confidence": "uncertain", "doubt": doubt})


def _begun(limit: Limit, event: date, steps: list[Step]) -> date:
    if not limit.next_day:
        return event
    begun = event + ONE_DAY
    steps.append(Step("next_day", {"day": begun}))
    return begun


def _in_order(holds: Sequence[Hold], start: date, today: date | None) -> list[tuple[Hold, date]]:
    found: list[tuple[Hold, date]] = []
    before = start
    for number, hold in enumerate(sorted(holds, key=lambda hold: hold.opened)):
        name = f"corrections[{number}]"
        resolved = hold.resolved if hold.resolved is not None else today
        if resolved is None:
            accepted = "la date « resolved », ou celle du jour dans « today »"
            raise BadInput("missing", "cette suspension est encore ouverte", field=name, accepted=accepted)
        if resolved < hold.opened:
            accepted = "une fin au plus tôt le jour du début"
            raise BadInput("order", "cette suspension finit avant de commencer", field=name, accepted=accepted)
        if today is not None and max(hold.opened, resolved) > today:
            accepted = "une date au plus tard celle du jour"
            raise BadInput("future", "cette suspension est à venir", field=name, accepted=accepted)
        if hold.opened < before:
            accepted = "des suspensions qui se suivent, la première au plus tôt le jour du départ"
            raise BadInput("order", "cette suspension commence trop tôt", field=name, accepted=accepted)
        found.append((hold, resolved))
        before = resolved
    return found


class _Ran(NamedTuple):
    """A length that runs from a date."""

    limit: Limit
    holidays: Mapping[date, str]
    extension_months: int
    extension_days: int

    def end(self, begun: date) -> list[Step]:
        """The steps from a date to the last day, which is the `to` of the last step."""
        limit, steps, end = self.limit, [], begun
        months, days = limit.months + self.extension_months, limit.days + self.extension_days
        extended = {"extension": self.extension_months}
        if months:
            end, cut = add_months(end, months)
            steps.append(Step("months", {"count": months, "from": begun, "to": end, "cut": cut, **extended}))
        if days and limit.kind == "every":
            end = _later(end, days)
            steps.append(Step("days", {"count": days, "to": end, "extension": self.extension_days}))
        elif days:
            end = self._worked(end, days, steps)
        if limit.franc:
            end = _later(end, 1)
            steps.append(Step("franc", {"to": end}))
        return steps or [Step("days", {"count": 0, "to": end, "extension": 0})]

    def _worked(self, end: date, count: int, steps: list[Step]) -> date:
        left, skipped, kind = count, 0, self.limit.kind
        while left:
            end = _later(end, 1)
            closed = not_worked(end, self.holidays, kind)
            if closed is None:
                left -= 1
            elif (skipped := skipped + 1) <= MOST:
                steps.append(Step("skipped", {"day": end, **closed._asdict()}))
        if skipped > MOST:
            steps.append(Step("more_days", {"count": skipped - MOST}))
        steps.append(Step("working_days", {"count": count, "kind": kind, "to": end, "extension": self.extension_days}))
        return end


def add_months(day: date, count: int) -> tuple[date, bool]:
    """The same date so many months later, else the last day of that month; and whether it had to be cut."""
    year, month = divmod(day.year * MONTHS + day.month - 1 + count, MONTHS)
    _refuse_year(year)
    last = gregorian.monthrange(year, month + 1)[1]
    return date(year, month + 1, min(day.day, last)), day.day > last


def _later(day: date, days: int) -> date:
    if days > (LAST_YEAR - FIRST_YEAR + 1) * 366:
        _refuse_year(LAST_YEAR + 1)
    found = day + timedelta(days=days)
    _refuse_year(found.year)
    return found


def _refuse_year(year: int) -> None:
    if not FIRST_YEAR <= year <= LAST_YEAR:
        accepted = f"une échéance de {FIRST_YEAR} à {LAST_YEAR}"
        raise BadInput("year", "l'échéance sort du calendrier", field="duration", accepted=accepted)


def not_worked(day: date, holidays: Mapping[date, str], kind: Kind = "working") -> Closed | None:
    """Why a date is not a jour ouvré (or ouvrable: `opening`); None when it is one, or when every day counts."""
    if kind == "every":
        return None
    name = holidays.get(day)
    if name is not None:
        return Closed("holiday", name)
    return Closed("weekday", "") if day.weekday() >= (SATURDAY if kind == "working" else SUNDAY) else None


def _rolled(end: date, holidays: Mapping[date, str], steps: list[Step]) -> date:
    day = end
    while (closed := not_worked(day, holidays)) is not None:
        steps.append(Step("rolled", {"day": day, **closed._asdict()}))
        day = _later(day, 1)
    if day != end:
        steps.append(Step("rolled_to", {"day": day}))
    return day


# --- which rule applies -----------------------------------------------------------------------------------------------

Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_.-]{0,63}$")]
Words = Annotated[str, StringConstraints(min_length=1, max_length=500)]
Count = Annotated[int, Field(ge=1, le=1000)]
_FROZEN = ConfigDict(frozen=True, extra="forbid")


def _word(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


Names = Annotated[tuple[Name, ...], BeforeValidator(_word)]
Zones = Annotated[tuple[str, ...], BeforeValidator(_word)]


class Reckoning(BaseModel):
    """How a length of one unit is reckoned: a `Limit` that awaits its length."""

    model_config = _FROZEN

    title: Words
    basis: Words
    unit: Literal["months", "days"] | None = None
    kind: Kind = "every"
    next_day: bool = False
    franc: bool = False
    rolls: bool = False

    def limit(self, *, months: int = 0, days: int = 0, holds: Mapping[str, Effect] | None = None,
              hold_within: int | None = None) -> Limit:  # fmt: skip
        """The limit of a length."""
        return Limit(
            months=months, days=days, kind=self.kind, next_day=self.next_day, franc=self.franc, rolls=self.rolls,
            holds=holds or {}, hold_within=hold_within,
        )  # fmt: skip

    def of(self, count: int) -> Limit:
        """The limit of so many of its unit."""
        return self.limit(months=count) if self.unit == "months" else self.limit(days=count)


class Extension(BaseModel):
    """What lengthens a limit, when it is asked for by its name; `within`: in so many months from the start, or no more."""

    model_config = _FROZEN

    title: Words
    within: int | None = Field(default=None, ge=1, le=100)
    months: int = Field(default=0, ge=0, le=100)
    days: int = Field(default=0, ge=0, le=1000)
    basis: Words


class Rule(BaseModel):
    """One limit of one procedure: when it starts, how long it is, what silence makes of it, and how sure that is.

    It holds for a procedure begun (or, for `dated_by: decision`, a decision taken) from `since` on and before `until`, for
    these applicants and zones (none named: all), when every attribute has the value said.
    """

    model_config = _FROZEN

    id: Name
    procedure: Name
    clock: Name
    title: Words
    starts: Words
    reckoning: Name
    months: Count | None = None
    days: Count | None = None
    silence: Silence
    basis: Words
    confidence: Confidence
    doubt: Words | None = None
    dated_by: Literal["request", "decision"] = "request"
    since: date | None = None
    until: date | None = None
    applicants: Names = ()
    zones: Zones = ()
    attributes: dict[Name, str] = {}
    holds: dict[Name, Effect] = {}
    hold_within: Count | None = None
    extensions: Names = ()

    @model_validator(mode="after")
    def _sound(self) -> Rule:
        if (self.months is None) == (self.days is None):
            message = f"{self.id} : une longueur, en mois ou en jours"
            raise ValueError(message)
        if self.confidence != "verified" and self.doubt is None:
            message = f"{self.id} : ce qui est incertain se dit (doubt)"
            raise ValueError(message)
        if self.since is not None and self.until is not None and self.until <= self.since:
            message = f"{self.id} : until ne suit pas since"
            raise ValueError(message)
        return self

    def applies(self, on: date, applicant: str | None, zone: str, attributes: Mapping[str, str]) -> bool:
        """Whether every condition holds."""
        return (
            (self.since is None or on >= self.since)
            and (self.until is None or on < self.until)
            and (not self.applicants or applicant in self.applicants)
            and (not self.zones or zone in self.zones)
            and all(attributes.get(name) == value for name, value in self.attributes.items())
        )

    @property
    def narrow(self) -> int:
        """How many conditions it sets: the narrowest rule that applies is the one that holds."""
        return bool(self.applicants) + bool(self.zones) + len(self.attributes)

    def _same_case(self, other: Rule) -> bool:
        first = (self.procedure, self.clock, frozenset(self.applicants), frozenset(self.zones), self.attributes)
        second = (other.procedure, other.clock, frozenset(other.applicants), frozenset(other.zones), other.attributes)
        lasts = (self.since or date.min) < (other.until or date.max) and (other.since or date.min) < (
            self.until or date.max
        )
        return first == second and lasts


class Table(BaseModel):
    """The reckonings and the extensions, by name, and the rules that use them."""

    model_config = _FROZEN

    reckonings: dict[Name, Reckoning]
    extensions: dict[Name, Extension]
    rules: tuple[Rule, ...]

    @model_validator(mode="after")
    def _sound(self) -> Table:
        seen: set[str] = set()
        for number, rule in enumerate(self.rules):
            if rule.id in seen:
                message = f"{rule.id} : ce nom est donné deux fois"
                raise ValueError(message)
            seen.add(rule.id)
            reckoning = self.reckonings.get(rule.reckoning)
            if reckoning is None:
                message = f"{rule.id} : comput inconnu : {rule.reckoning}"
                raise ValueError(message)
            if reckoning.unit not in (None, "months" if rule.months else "days"):
                message = f"{rule.id} : {rule.reckoning} compte en {reckoning.unit}"
                raise ValueError(message)
            for name in rule.extensions:
                if name not in self.extensions:
                    message = f"{rule.id} : prolongation inconnue : {name}"
                    raise ValueError(message)
            for other in self.rules[:number]:
                if rule._same_case(other):  # noqa: SLF001  (of the same class)
                    message = f"{rule.id} et {other.id} disent deux fois le même cas aux mêmes dates"
                    raise ValueError(message)
        return self

    @cached_property
    def _by_id(self) -> dict[str, Rule]:
        return {rule.id: rule for rule in self.rules}

    def rule(self, name: str) -> Rule:
        """A rule by its id. Raises BadInput."""
        try:
            return self._by_id[name]
        except KeyError:
            raise BadInput("rule", f"la règle « {shown(name)} » n'est pas dans la table", field="rule") from None

    def reckoning(self, name: str) -> Reckoning:
        """A reckoning by its name. Raises BadInput."""
        try:
            return self.reckonings[name]
        except KeyError:
            accepted = ", ".join(self.reckonings)
            raise BadInput(
                "reckoning", f"comput inconnu : « {shown(name)} »", field="reckoning", accepted=accepted
            ) from None

    def limit(self, rule: Rule) -> Limit:
        """The limit that a rule sets."""
        return self.reckonings[rule.reckoning].limit(
            months=rule.months or 0, days=rule.days or 0, holds=rule.holds, hold_within=rule.hold_within
        )

    def extended(self, rule: Rule, names: Sequence[str]) -> tuple[int, int, tuple[Step, ...]]:
        """The months and days that the named extensions add to a rule, and why. Raises BadInput on one it does not have."""
        for name in names:
            if name not in rule.extensions:
                sentence, accepted = f"« {shown(name)} » n'allonge pas ce délai", ", ".join(rule.extensions) or "aucune"
                raise BadInput("extension", sentence, field="extensions", accepted=accepted)
        found = [self.extensions[name] for name in names]
        steps = tuple(Step("extended", {"title": each.title, "basis": each.basis}) for each in found)
        return sum(each.months for each in found), sum(each.days for each in found), steps

    def choose(
        self,
        procedure: str,
        clock: str,
        *,
        on: date,
        applicant: str | None = None,
        zone: str = "metropole",
        attributes: Mapping[str, str] | None = None,
    ) -> Rule:
        """The one rule that holds: of those that apply, the narrowest. Raises BadInput: none, or two as narrow."""
        ours = [rule for rule in self.rules if rule.procedure == procedure]
        if not ours:
            known = ", ".join(sorted({rule.procedure for rule in self.rules}))
            raise BadInput("procedure", f"« {shown(procedure)} » est inconnue", field="procedure", accepted=known)
        of_clock = [rule for rule in ours if rule.clock == clock]
        if not of_clock:
            known = ", ".join(sorted({rule.clock for rule in ours}))
            raise BadInput(
                "clock", f"« {shown(clock)} » n'est pas un délai de cette procédure", field="clock", accepted=known
            )
        found = [rule for rule in of_clock if rule.applies(on, applicant, zone, attributes or {})]
        narrowest = max((rule.narrow for rule in found), default=0)
        found = [rule for rule in found if rule.narrow == narrowest]
        if not found:
            wanted = sorted({_conditions(rule) for rule in of_clock})
            raise BadInput("no_rule", "aucune règle pour ce cas", field="clock", accepted=" ; ".join(wanted))
        if len(found) > 1:
            names = ", ".join(rule.id for rule in found)
            raise BadInput(
                "ambiguous",
                f"plusieurs règles conviennent ({names})",
                field="attributes",
                accepted="un cas plus précis",
            )
        return found[0]


def _conditions(rule: Rule) -> str:
    said = [f"du {rule.since}" if rule.since else "", f"avant le {rule.until}" if rule.until else ""]
    said += [f"demandeur {' ou '.join(rule.applicants)}" if rule.applicants else ""]
    said += [f"zone {' ou '.join(rule.zones)}" if rule.zones else ""]
    said += [f"{name} = {value}" for name, value in rule.attributes.items()]
    return ", ".join(part for part in said if part) or "sans condition"


def parse(data: Any) -> Table:
    """The table that a document describes. Raises BadInput naming each place and rule."""
    try:
        return Table.model_validate(data)
    except ValidationError as error:
        lines = [f"{'.'.join(map(str, item['loc'])) or 'table'} : {item['msg']}" for item in error.errors()]
        raise BadInput("legal_rules", " ; ".join(lines)) from None


def explained(table: Table, rule: Rule, result: Result, extended: Sequence[Step]) -> tuple[Step, ...]:
    """All the steps of a rule: which it is, what lengthens it, how it is reckoned, what silence makes, what is unsure."""
    reckoning = table.reckonings[rule.reckoning]
    before = Step("rule", {"id": rule.id, "title": rule.title, "basis": rule.basis, "starts": rule.starts})
    after = [
        Step("reckoning", {"title": reckoning.title, "basis": reckoning.basis}),
        Step("silence", {"effect": rule.silence}),
    ]
    if rule.doubt is not None:
        after.append(Step("uncertain", {"confidence": rule.confidence, "doubt": rule.doubt}))
    return (before, *extended, *result.steps, *after)
