"""Why a date is what it is: the steps as data, and as sentences in French and in English."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from itertools import groupby
from typing import Any, ClassVar, NamedTuple
from zoneinfo import ZoneInfo

from states.calendar import Calendar, Pause, WorkingDays, merged

SATURDAY = 5
MOST = 40
"""How many days an explanation tells one by one; of the others it tells how many they are."""
GATHERED = 4
"""From how many on Saturdays and Sundays in a row are told in one sentence."""


class Step(NamedTuple):
    """One step of a derivation: its code, and its facts (dates, local instants, numbers, words)."""

    code: str
    facts: Mapping[str, Any]


def data(steps: Sequence[Step]) -> list[dict[str, Any]]:
    """The steps for a machine: dates and instants in ISO 8601."""
    return [{"step": step.code, **{name: _plain(value) for name, value in step.facts.items()}} for step in steps]


def _plain(value: Any) -> Any:
    if isinstance(value, date):
        return value.isoformat()
    return value.total_seconds() if isinstance(value, timedelta) else value


def sentences(steps: Sequence[Step], language: str = "fr") -> list[str]:
    """The steps for a person, a sentence each; days of the week that do not count, in a row, are told in one."""
    words = LANGUAGES[language]
    return [words.say(step) for step in _gathered(steps)]


def _gathered(steps: Sequence[Step]) -> Iterator[Step]:
    for plain, run in groupby(steps, _of_the_week):
        told = list(run)
        if plain and len(told) >= GATHERED:
            days = [step.facts["day"] for step in told]
            code = "skipped_weekends" if any(day.weekday() == SATURDAY for day in days) else "skipped_sundays"
            yield Step(code, {"number": len(days), "from": min(days), "to": max(days)})
        else:
            yield from told


def _of_the_week(step: Step) -> bool:
    """Whether a step says that a Saturday or a Sunday does not count, for no other reason than that."""
    return step.code == "skipped" and step.facts["reason"] == "weekday" and step.facts["day"].weekday() >= SATURDAY


# --- working time -----------------------------------------------------------------------------------------------------


def of_working_time(
    calendar: Calendar, start: datetime, end: datetime, pauses: Sequence[Pause] = (), *, backward: bool = False
) -> Iterator[Step]:
    """How working time passes from one instant to another: what counts, what does not, and why."""
    yield Step("start", {"at": calendar.local(end if backward else start), "zone": calendar.zone})
    for begins, ends in merged(pauses):
        if ends > start and begins < end:
            yield Step("pause", {"from": calendar.local(begins), "to": calendar.local(ends)})
    day = calendar.local(start).date()
    last = calendar.local(end - _INSTANT if end > start else end).date()  # what ends at midnight has no next day
    told = min(last, day + timedelta(days=MOST - 1))
    segments = _segments(calendar, start, end, pauses)
    segment, until = next(segments, None), None
    while day <= told:
        counts = until is not None and until.replace(tzinfo=None) > datetime(day.year, day.month, day.day)  # noqa: DTZ001  (a wall time)
        while segment is not None and segment[0].date() <= day:
            begins, ends = segment
            yield Step("counted", {"from": begins, "to": ends, "length": ends.astimezone(UTC) - begins.astimezone(UTC)})
            if begins.utcoffset() != ends.utcoffset():
                yield Step("clock_change", {"day": day})
            counts, until, segment = True, ends, next(segments, None)
        closed = None if counts else calendar.closed(day)
        if closed is not None:
            yield Step("skipped", {"day": day, **closed._asdict()})
        day += timedelta(days=1)
    if last > told:
        yield Step("more_days", {"count": (last - told).days})
    yield Step("total", {"length": calendar.between(start, end, pauses) if start < end else _NONE})
    reached = start if backward else end
    yield Step("due", {"at": calendar.local(reached), "closing": not backward and not calendar.is_open(reached)})


_NONE, _INSTANT = timedelta(0), timedelta(microseconds=1)


def _segments(
    calendar: Calendar, start: datetime, end: datetime, pauses: Sequence[Pause]
) -> Iterator[tuple[datetime, datetime]]:
    """The open time between two instants, less the pauses, on local clocks."""
    held = merged(pauses)
    if start >= end:
        return
    for opens, closes in calendar.open_periods(start):
        if opens >= end:
            return
        at, until = opens, min(closes, end)
        for begins, ends in held:
            if ends <= at or begins >= until:
                continue
            if begins > at:
                yield calendar.local(at), calendar.local(begins)
            at = max(at, ends)
        if at < until:
            yield calendar.local(at), calendar.local(until)
        if closes >= end:
            return


def of_working_days(
    calendar: Calendar, start: datetime, end: datetime, count: int, kind: WorkingDays
) -> Iterator[Step]:
    """How working days are counted from one instant to another."""
    yield Step("start", {"at": calendar.local(start), "zone": calendar.zone})
    first, last = calendar.local(start).date(), calendar.local(end).date()
    step = timedelta(days=1 if count >= 0 else -1)
    day, told, more = first, 0, 0
    while count and day != last:
        day += step
        closed = calendar.closed(day, kind)
        if closed is not None:
            told += 1
            if told <= MOST:
                yield Step("skipped", {"day": day, **closed._asdict()})
            else:
                more += 1
    if more:
        yield Step("more_days", {"count": more})
    yield Step("working_days", {"count": abs(count), "kind": kind, "to": last, "extension": 0})
    yield Step("due", {"at": calendar.local(end), "closing": False})


# --- the words --------------------------------------------------------------------------------------------------------


class Words(ABC):
    """The sentences of one language."""

    weekdays: ClassVar[tuple[str, ...]]
    months: ClassVar[tuple[str, ...]]
    said: ClassVar[Mapping[str, str]]
    kinds: ClassVar[Mapping[str, str]]
    silences: ClassVar[Mapping[str, str]]
    whys: ClassVar[Mapping[str, str]]
    families: ClassVar[Mapping[str, str]]

    def say(self, step: Step) -> str:
        """One step as a sentence."""
        facts = {name: self._value(value) for name, value in step.facts.items()}
        code = step.code
        if "reason" in facts:
            facts["why"] = self.closed(step.facts)
        for name, known in (
            ("kind", self.kinds),
            ("effect", self.silences),
            ("why", self.whys),
            ("family", self.families),
        ):
            if name in facts:
                facts[name] = known.get(facts[name], facts[name]).format(**facts)
        begins, ends = step.facts.get("from"), step.facts.get("to")
        if isinstance(begins, datetime) and isinstance(ends, datetime) and begins.date() == ends.date():
            facts |= {"day": self.day(begins), "from_time": self.time(begins), "to_time": self.time(ends)}
            code = f"{code}_same_day" if f"{code}_same_day" in self.said else code
        for flag in ("cut", "closing", "extension"):
            if step.facts.get(flag) and f"{code}_{flag}" in self.said:
                code = f"{code}_{flag}"
        if step.facts.get("count", step.facts.get("days")) == 1 and f"{code}_1" in self.said:
            code = f"{code}_1"
        return self.said[code].format(**facts)

    def _value(self, value: Any) -> Any:
        if isinstance(value, datetime):
            return self.day(value) if ends_day(value) else self.instant(value)
        if isinstance(value, date):
            return self.day(value)
        return self.length(value) if isinstance(value, timedelta) else value

    @abstractmethod
    def day(self, day: date) -> str:
        """A date in words."""

    @abstractmethod
    def instant(self, at: datetime) -> str:
        """A local instant in words; of an hour that comes twice, which of the two."""

    @abstractmethod
    def time(self, at: datetime) -> str:
        """The time of a local instant in words."""

    @abstractmethod
    def closed(self, facts: Mapping[str, Any]) -> str:
        """Why a day does not count."""

    @abstractmethod
    def length(self, length: timedelta) -> str:
        """A length in words."""


class French(Words):
    """Sentences as a préfecture writes them."""

    weekdays = ("lundi", "mardi", "mercredi", "jeudi", "vendredi", "samedi", "dimanche")
    months = (
        "janvier", "février", "mars", "avril", "mai", "juin", "juillet", "août", "septembre", "octobre", "novembre",
        "décembre",
    )  # fmt: skip
    kinds: ClassVar[Mapping[str, str]] = {
        "working": "jours ouvrés",
        "opening": "jours ouvrables",
        "open": "jours d'ouverture",
        "every": "jours",
    }
    silences: ClassVar[Mapping[str, str]] = {
        "acceptance": "Le silence gardé jusque-là vaut acceptation.",
        "rejection": "Le silence gardé jusque-là vaut rejet.",
        "no_opposition": "Le silence gardé jusque-là vaut absence d'opposition.",
        "waiver": "Le silence gardé jusque-là vaut renonciation.",
        "none": "Ce délai ne fait naître aucune décision implicite.",
    }
    families: ClassVar[Mapping[str, str]] = {
        "commitment": "engagement de service",
        "legal": "délai légal",
    }
    whys: ClassVar[Mapping[str, str]] = {
        "motive": "son motif ne touche pas ce délai",
        "late": "elle a été demandée après le {last_day}",
        "over": "le délai avait expiré le {last_day}",
        "before": "elle était finie quand le délai a commencé à courir",
    }
    said: ClassVar[Mapping[str, str]] = {
        "rule": "Règle : {title} ({basis}). Point de départ : {starts}.",
        "basis": "Fondement : {basis}.",
        "reckoning": "Comput : {title} ({basis}).",
        "extended": "Prolongation : {title} ({basis}).",
        "event": "Le délai part du {day} ; ce jour ne compte pas.",
        "next_day": "Il compte à partir du lendemain, {day}.",
        "months": "{count} mois, de quantième à quantième : {to}.",
        "months_extension": "{count} mois, dont {extension} de prolongation, comptés depuis l'origine : {to}.",
        "months_cut": "{count} mois : ce quantième manque au mois d'arrivée, le terme en est le dernier jour, {to}.",
        "days": "{count} jours : {to}.",
        "days_1": "1 jour : {to}.",
        "days_extension": "{count} jours, dont {extension} de prolongation : {to}.",
        "working_days": "{count} {kind} : {to}.",
        "working_days_1": "1 jour (on compte en {kind}) : {to}.",
        "skipped": "Le {day} ne compte pas : {why}.",
        "skipped_weekends": "Les samedis et dimanches du {from} au {to} ne comptent pas ({number} jours).",
        "skipped_sundays": "Les dimanches du {from} au {to} ne comptent pas ({number} jours).",
        "more_days": "Et {count} autres jours, comptés de la même façon.",
        "more_days_1": "Et un autre jour, compté de la même façon.",
        "franc": "Délai franc, un jour de plus : {to}.",
        "hold_ignored": "La suspension du {opened} est sans effet : {why}.",
        "hold_restart": "Suspendu le {opened} ({motive}) ; le délai repart à zéro après le {resolved}.",
        "hold_pause": "Suspendu du {opened} au {resolved} ({motive}) : {days} jours.",
        "hold_pause_1": "Suspendu du {opened} au {resolved} ({motive}) : 1 jour.",
        "hold_days": "Les suspensions reportent le terme de {days} jours : {to}.",
        "hold_days_1": "La suspension reporte le terme d'un jour : {to}.",
        "not_counted": "{days} jours n'ont pas été comptés : {to}.",
        "not_counted_1": "1 jour n'a pas été compté : {to}.",
        "rolled": "Le délai n'expire pas le {day} : {why}.",
        "rolled_to": "Il est reporté au premier jour ouvrable suivant, {day}.",
        "not_rolled": "Sans report, bien que ce ne soit pas un jour ouvré ({why}).",
        "due_day": "Échéance : {day}.",
        "silence": "{effect}",
        "uncertain": "Incertain, à faire vérifier : {doubt}",
        "start": "Départ : {at} ({zone}).",
        "counted": "Compté : du {from} au {to}, soit {length}.",
        "counted_same_day": "Compté : {day}, de {from_time} à {to_time}, soit {length}.",
        "clock_change": "L'heure change le {day} ; les durées sont des durées réelles.",
        "pause": "Suspendu du {from} au {to} ; ce temps ne compte pas.",
        "total": "En tout : {length} d'ouverture.",
        "due": "Échéance : {at}.",
        "due_closing": "Échéance : {at}, à la fermeture.",
        "open": "Ouvert : {at}.",
        "shut": "Fermé : {at} ({why}).",
        "found": "Trouvé : {at}.",
        "period": "Ouvert du {from} au {to}.",
        "period_same_day": "Ouvert : {day}, de {from_time} à {to_time}.",
        "day_off": "Le {day} est fermé toute la journée : {why}.",
        "day_on": "Le {day} n'est pas un jour férié ni fermé.",
        "wall": "{wall} dans le fuseau {zone} : {at}.",
        "elapsed": "{length} de temps réel : {at}.",
        "same_wall": "La même heure, le lendemain : {at}.",
        "day_end": "Fin du {day} ({zone}) : {at}.",
        "clock": "« {label} » : {family}.",
        "calendar": "Calendrier : {code} ({zone}).",
        "start_day": "Départ : {at} ({zone}) ; ce jour ne compte pas.",
        "lengthened": "Prolongé : {name}.",
        "held_days": "{count} jours n'ont pas compté, le dossier étant suspendu.",
        "held_days_1": "1 jour n'a pas compté, le dossier étant suspendu.",
        "given": "La date est celle du champ {field}.",
        "elapsed_length": "{length} de temps réel.",
        "stopped": "Arrêté : {at}.",
        "missed": "Dépassé depuis : {at}.",
        "paused": "Suspendu en ce moment, au plus tard jusqu'au {until} : la date est la plus tardive possible.",
    }  # fmt: skip

    def day(self, day: date) -> str:
        """« mardi 24 novembre 2026 », « dimanche 1er novembre 2026 »."""
        number = "1er" if day.day == 1 else str(day.day)
        return f"{self.weekdays[day.weekday()]} {number} {self.months[day.month - 1]} {day.year}"

    def instant(self, at: datetime) -> str:
        """« mardi 24 novembre 2026 à 9 h 05 »."""
        return f"{self.day(at)} à {self.time(at)}"

    def time(self, at: datetime) -> str:
        """« 9 h 05 »; « 2 h 30 (2e fois) » in the hour that comes twice."""
        return f"{at.hour} h {at.minute:02}{_seconds(at, ' min ', ' s')}{_which(at, '1re', '2e')}"

    def closed(self, facts: Mapping[str, Any]) -> str:
        """« jour férié, Toussaint »."""
        if facts["reason"] == "holiday":
            return f"jour férié, {facts['name']}" if facts["name"] else "jour férié"
        if facts["reason"] == "hours":
            return "hors des heures d'ouverture"
        if facts["reason"] == "closure":
            return "fermeture exceptionnelle"
        return "fin de semaine" if facts["day"].weekday() >= SATURDAY else "jour sans ouverture"

    def length(self, length: timedelta) -> str:
        """« 2 h 30 min »."""
        return _length(length, ("j", "h", "min", "s"), ",")


class English(Words):
    """The same sentences."""

    weekdays = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
    months = (
        "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
        "December",
    )  # fmt: skip
    kinds: ClassVar[Mapping[str, str]] = {
        "working": "working days (jours ouvrés)", "opening": "working days, Saturdays included (jours ouvrables)",
        "open": "opening days", "every": "days",
    }  # fmt: skip
    silences: ClassVar[Mapping[str, str]] = {
        "acceptance": "Silence until then is acceptance.",
        "rejection": "Silence until then is rejection.",
        "no_opposition": "Silence until then is absence of opposition.",
        "waiver": "Silence until then is renunciation.",
        "none": "This limit gives rise to no implied decision.",
    }
    families: ClassVar[Mapping[str, str]] = {"commitment": "service commitment", "legal": "legal limit"}
    whys: ClassVar[Mapping[str, str]] = {
        "motive": "its motive does not touch this limit",
        "late": "it was asked for after {last_day}",
        "over": "the limit had expired on {last_day}",
        "before": "it was over when the limit began to run",
    }
    said: ClassVar[Mapping[str, str]] = {
        "rule": "Rule: {title} ({basis}). Starts from: {starts}.",
        "basis": "Basis: {basis}.",
        "reckoning": "Reckoning: {title} ({basis}).",
        "extended": "Extension: {title} ({basis}).",
        "event": "The limit starts from {day}; that day does not count.",
        "next_day": "It counts from the day after, {day}.",
        "months": "{count} months, to the same date: {to}.",
        "months_1": "1 month, to the same date: {to}.",
        "months_extension": "{count} months, {extension} of them an extension, counted from the origin: {to}.",
        "months_cut": "{count} months: that month has no such date, the limit ends on its last day, {to}.",
        "months_cut_1": "1 month: the next month has no such date, the limit ends on its last day, {to}.",
        "days": "{count} days: {to}.",
        "days_1": "1 day: {to}.",
        "days_extension": "{count} days, {extension} of them an extension: {to}.",
        "working_days": "{count} {kind}: {to}.",
        "working_days_1": "1 day (counted in {kind}): {to}.",
        "skipped": "{day} does not count: {why}.",
        "skipped_weekends": "Saturdays and Sundays from {from} to {to} do not count ({number} days).",
        "skipped_sundays": "Sundays from {from} to {to} do not count ({number} days).",
        "more_days": "And {count} more days, counted likewise.",
        "more_days_1": "And one more day, counted likewise.",
        "franc": "Délai franc, one day more: {to}.",
        "hold_ignored": "The suspension of {opened} has no effect: {why}.",
        "hold_restart": "Suspended on {opened} ({motive}); the limit starts again after {resolved}.",
        "hold_pause": "Suspended from {opened} to {resolved} ({motive}): {days} days.",
        "hold_pause_1": "Suspended from {opened} to {resolved} ({motive}): 1 day.",
        "hold_days": "Suspensions move the end by {days} days: {to}.",
        "hold_days_1": "The suspension moves the end by one day: {to}.",
        "not_counted": "{days} days were not counted: {to}.",
        "not_counted_1": "1 day was not counted: {to}.",
        "rolled": "The limit does not expire on {day}: {why}.",
        "rolled_to": "It is put off to the next working day, {day}.",
        "not_rolled": "Not put off, though it is no working day ({why}).",
        "due_day": "Due date: {day}.",
        "silence": "{effect}",
        "uncertain": "Uncertain, to be verified (in French): {doubt}",
        "start": "Start: {at} ({zone}).",
        "counted": "Counted: {from} to {to}, that is {length}.",
        "counted_same_day": "Counted: {day}, from {from_time} to {to_time}, that is {length}.",
        "clock_change": "The clocks change on {day}; lengths are real lengths.",
        "pause": "Paused: {from} to {to}; this time does not count.",
        "total": "In all: {length} of opening.",
        "due": "Due: {at}.",
        "due_closing": "Due: {at}, at closing.",
        "open": "Open: {at}.",
        "shut": "Closed: {at} ({why}).",
        "found": "Found: {at}.",
        "period": "Open: {from} to {to}.",
        "period_same_day": "Open: {day}, from {from_time} to {to_time}.",
        "day_off": "{day} is closed all day: {why}.",
        "day_on": "{day} is neither a holiday nor closed.",
        "wall": "{wall} in zone {zone}: {at}.",
        "elapsed": "{length} of real time: {at}.",
        "same_wall": "The same time, the next day: {at}.",
        "day_end": "End of {day} ({zone}): {at}.",
        "clock": "“{label}”: {family}.",
        "calendar": "Calendar: {code} ({zone}).",
        "start_day": "Start: {at} ({zone}); that day does not count.",
        "lengthened": "Extended: {name}.",
        "held_days": "{count} days did not count, the file being on hold.",
        "held_days_1": "1 day did not count, the file being on hold.",
        "given": "The date is that of the field {field}.",
        "elapsed_length": "{length} of real time.",
        "stopped": "Stopped: {at}.",
        "missed": "Overdue since: {at}.",
        "paused": "On hold now, until {until} at the latest: the date is the latest that it can be.",
    }  # fmt: skip

    def day(self, day: date) -> str:
        """“Tuesday 24 November 2026”."""
        return f"{self.weekdays[day.weekday()]} {day.day} {self.months[day.month - 1]} {day.year}"

    def instant(self, at: datetime) -> str:
        """“Tuesday 24 November 2026, 09:05”."""
        return f"{self.day(at)}, {self.time(at)}"

    def time(self, at: datetime) -> str:
        """“09:05”; “02:30 (the 2nd time)” in the hour that comes twice."""
        return f"{at:%H:%M}{_seconds(at, ':', '')}{_which(at, '1st', '2nd')}"

    def closed(self, facts: Mapping[str, Any]) -> str:
        """“public holiday, Toussaint”."""
        if facts["reason"] == "holiday":
            return f"public holiday, {facts['name']}" if facts["name"] else "public holiday"
        if facts["reason"] == "hours":
            return "outside opening hours"
        if facts["reason"] == "closure":
            return "exceptional closure"
        return "week-end" if facts["day"].weekday() >= SATURDAY else "not an opening day"

    def length(self, length: timedelta) -> str:
        """“2 h 30 min”."""
        return _length(length, ("d", "h", "min", "s"), ".")


def ends_day(local: datetime) -> bool:
    """Whether a local instant is the last of its date: what is due on a date is due then, and is said by the date alone."""
    return local.time() == time.max


def _seconds(at: datetime, before: str, after: str) -> str:
    if not at.second and not at.microsecond:
        return ""
    rest = f".{at.microsecond:06}".rstrip("0") if at.microsecond else ""
    return f"{before}{at.second:02}{rest}{after}"


def _which(at: datetime, first: str, second: str) -> str:
    zone = at.tzinfo
    if not isinstance(zone, ZoneInfo) or at.replace(fold=0).utcoffset() == at.replace(fold=1).utcoffset():
        return ""
    return (
        f" ({second if at.fold else first} fois)" if first == "1re" else f" (the {second if at.fold else first} time)"
    )


def _length(length: timedelta, units: Sequence[str], point: str) -> str:
    whole, micros = divmod(length // timedelta(microseconds=1), 1_000_000)
    hours, rest = divmod(whole, 3600)
    minutes, seconds = divmod(rest, 60)
    tail = f"{seconds}{point}{micros:06}".rstrip("0") if micros else str(seconds)
    parts = [f"{hours} {units[1]}"] if hours else []
    parts += [f"{minutes} {units[2]}"] if minutes else []
    parts += [f"{tail} {units[3]}"] if seconds or micros or not parts else []
    return " ".join(parts)


LANGUAGES: Mapping[str, Words] = {"fr": French(), "en": English()}
