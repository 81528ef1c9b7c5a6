"""What pages say of dossiers, in the language of the reader: dates, whose court, what comes next, what happened."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from gettext import NullTranslations
from typing import Any
from zoneinfo import ZoneInfo

from states import clocks, reasons
from states.attachment import ATTACH, internal
from states.court import THIRD_PARTY
from states.decide import BREACH, LAPSE, REFUSE, REMIND, SUBMIT
from states.definition import Definition
from states.dossier import Dossier
from states.explanation import LANGUAGES, ends_day, sentences
from states.migration import MIGRATE
from web.languages import Language, translations
from workflow import attachments, letters, words
from workflow.bulk import Seat
from workflow.confidentiality import CODE_NAME, ELECTED, MARK, RESERVED
from workflow.journal import Recorded
from workflow.queue import Row
from workflow.view import View, asking, written

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
QUICK = ("triage", "hold", "consult", "escalate", "resolve", "give")
SILENCE = "Le silence gardé sur cette demande ne vaut pas acceptation."


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the timeline: when, what, by whom, and what was written, inside or outside."""

    at: datetime
    effective: datetime
    what: str
    who: str
    details: tuple[str, ...]
    texts: tuple[tuple[str, str], ...]
    kind: str
    inside: bool


@dataclass(frozen=True, slots=True)
class Running:
    """One clock as a page shows it."""

    name: str
    label: str
    family: str
    start: datetime
    due: datetime
    state: str
    late: bool
    why: tuple[str, ...]


class Speech:
    """The words of one language."""

    def __init__(self, language: Language) -> None:
        self.language: Language = language
        self.translations: NullTranslations = translations(language)
        self._ = self.translations.gettext
        self.many = self.translations.ngettext

    # --- time ---------------------------------------------------------------------------------------------------------

    def day(self, at: datetime, zone: str) -> str:
        """« mardi 24 novembre 2026 »."""
        return LANGUAGES[self.language].day(at.astimezone(ZoneInfo(zone)).date())

    def on(self, at: datetime, zone: str) -> str:
        """« mardi 24 novembre 2026 à 18 h 00 », with the place whose time it is when that is not Paris."""
        local, language = at.astimezone(ZoneInfo(zone)), LANGUAGES[self.language]
        if ends_day(local):  # a date that is due until its end is said by the date alone
            return language.day(local.date())
        return language.instant(local.replace(second=0, microsecond=0)) + self._zone(zone)

    def date(self, day: str) -> str:
        """A day of a field, in words; as it stands when it is none."""
        try:
            return LANGUAGES[self.language].day(date.fromisoformat(day))
        except ValueError:
            return day

    def short(self, at: datetime, zone: str) -> str:
        """« 24/11/2026 18:00 »."""
        local = at.astimezone(ZoneInfo(zone))
        return f"{local:%d/%m/%Y}" if ends_day(local) else f"{local:%d/%m/%Y %H:%M}" + self._zone(zone)

    def _zone(self, zone: str) -> str:
        if zone == words.PARIS:
            return ""
        return self._(" (heure de %s)") % words.place_of(zone)

    def until(self, at: datetime, now: datetime) -> str:
        """« dans 3 jours », « dépassée depuis 2 h »."""
        length = abs(at - now)
        if length >= 2 * DAY:
            span = self.many("%s jour", "%s jours", length // DAY) % (length // DAY)
        elif length >= HOUR:
            span = self._("%s h") % (length // HOUR)
        else:
            span = self._("%s min") % max(length // timedelta(minutes=1), 1)
        return (self._("dans %s") if at >= now else self._("dépassée depuis %s")) % span

    # --- codes --------------------------------------------------------------------------------------------------------

    def choice(self, code: str | None) -> str:
        """A choice in words."""
        return self._(words.choice(code)) if code else ""

    def role(self, code: str) -> str:
        """A role in words."""
        return self._(words.ROLES.get(code, code))

    def topic(self, code: str | None) -> str:
        """A topic in words."""
        return self._(words.topic(code)) if code else ""

    def state(self, definition: Definition, name: str) -> str:
        """The label of a state."""
        return self._(words.state(definition, name))

    def rung(self, definition: Definition, index: int | None) -> str:
        """The label of a rung, or nothing."""
        label = words.rung(definition, index)
        return self._(label) if label else ""

    def clock(self, definition: Definition, name: str) -> str:
        """The label of a clock."""
        return self._(words.clock(definition, name))

    def act(self, definition: Definition, trigger: str) -> str:
        """What is asked, from its label."""
        return self._(words.event(definition, trigger))

    def silence(self, outcome: str | None) -> str:
        """What the silence of a service consulted is taken for, or nothing."""
        return self._(words.silence(outcome)) if outcome else ""

    # --- the four lines -----------------------------------------------------------------------------------------------

    def row_ball(self, row: Row) -> str:
        """Who a dossier of a list waits for."""
        if row.phase == "resolved":
            return self._("personne, le dossier est clos")
        if row.held:
            return self._("un tiers") if row.motive == "third_party" else self._("le porteur de projet")
        return row.unit_name or self._("personne : aucune administration ne tient ce dossier")

    def seat(self, told: Seat) -> str:
        """Who is told of an act."""
        if told.name is None:
            return self._("le porteur") if told.seat == "holder" else self._("les pilotes")
        if told.seat == "head":
            return self._("le chef de service, %s") % told.name
        return self._("l'agent qui suit le dossier, %s") % told.name if told.seat == "assignee" else told.name

    def ball(self, view: View) -> str:
        """Who the dossier waits for."""
        dossier = view.dossier
        if dossier.closed_at is not None:
            return self._("personne, le dossier est clos")
        if view.awaited is not None:
            return self._("un tiers") if view.awaited == THIRD_PARTY else self._("le porteur de projet")
        return view.unit.name if view.unit else self._("personne : aucune administration ne tient ce dossier")

    def ball_details(self, view: View) -> list[str]:
        """What is known of who has the ball: the rung, the person, the telephone, since when."""
        dossier, unit = view.dossier, view.unit
        if dossier.closed_at is not None:
            return []
        if dossier.hold is not None and view.awaited is not None:
            event = asking(view)
            asker = view.names["unit"].get(event.actor.unit or 0) if event is not None else None
            parts = [self._("demande de %s") % asker] if asker else []
            parts.append(self.choice(dossier.hold.motive))
            return [*parts, self._("réponse attendue avant le %s") % self.on(dossier.hold.until, view.zone)]
        if unit is None:
            return []
        parts = []
        if rung := self.rung(view.definition, dossier.rung):
            parts.append(self._("échelon « %s »") % rung)
        if not unit.staffed:
            parts.append(self._("personne n'y est en fonction en ce moment"))
        elif unit.person:
            parts.append(self._("suivi par %s") % unit.person)
        elif dossier.assignee is None:
            parts.append(self._("pas encore attribué"))
        if unit.telephone:
            parts.append(self._("tél. %s") % unit.telephone)
        since = next((event.effective for event in reversed(view.events) if "unit" in event.effect), None)
        if since is not None:
            parts.append(self._("depuis le %s") % self.day(since, view.zone))
        return parts

    def next_due(self, definition: Definition, dossier: Dossier) -> str:
        """The label of the running clock that the due date is that of."""
        name = clocks.next_due(definition, dossier)
        return "" if name is None else self.clock(definition, name)

    def then(self, view: View) -> str | None:
        """What comes at the next term if nobody does anything."""
        then = view.then
        if then is None:
            return None
        if then.kind == "ends_hold":
            return self._("sans réponse à ce terme, la demande se clôt et les délais suspendus repartent")
        if then.kind == "records":
            return self._("sans suite à cette date, le dépassement est noté et signalé")
        at = self.on(then.at, view.zone)
        if then.kind == "climbs":
            rung = self.rung(view.definition, then.rung)
            return self._("sans suite le %(at)s, l'échelon suivant est saisi : %(rung)s") % {"at": at, "rung": rung}
        act = self.act(view.definition, then.trigger or "")
        return self._("sans suite le %(at)s : %(act)s") % {"at": at, "act": act.lower()}

    def yours(self, view: View) -> str:
        """What is expected of a holder."""
        dossier = view.dossier
        if dossier.closed_at is not None:
            return self._("rien : le dossier est clos")
        if dossier.hold is not None and dossier.hold.motive != THIRD_PARTY:
            return self._("une réponse est attendue de vous")
        return self._("rien à faire aujourd'hui")

    def why_now(self, row: Row, now: datetime) -> str:
        """Why a dossier stands in the half-hour of a desk."""
        if row.last == "answer":
            return self._("le porteur a répondu")
        if row.last == "write":
            return self._("le porteur a écrit")
        if row.last == ATTACH:
            return self._("le porteur a joint une pièce")
        if row.phase == "submitted":
            return self._("à orienter")
        if row.held and row.until is not None:
            return self._("réponse attendue avant le %s") % self.short(row.until, row.zone)
        if row.due_at is None:
            return self._("aucune échéance ne court")
        return self._("échéance %s") % self.until(row.due_at, now)

    def quick(self, row: Row, role: str) -> list[tuple[str, str]]:
        """The acts offered beside a dossier of the half-hour, by name and label: those that decide something, for this
        role in this state. Whether a guard lets them through is known on their page, which says why not.
        """
        definition = row.definition
        return [
            (trigger.name, self.act(definition, trigger.name))
            for trigger in definition.triggers
            if trigger.name in QUICK
            and role in trigger.by
            and row.state in definition.sources(trigger)
            and not (trigger.name == "hold" and row.held)
        ]

    def weight(self, number: int) -> str:
        """A number of bytes: « 1,4 Mo »."""
        said = attachments.size(number)
        return said if self.language == "fr" else said.replace(",", ".").replace("Mo", "MB").replace("ko", "kB")

    # --- clocks -------------------------------------------------------------------------------------------------------

    def clocks(self, view: View) -> list[Running]:
        """The clocks of a dossier, those that run first, each with why its date is what it is."""
        dossier, found = view.dossier, []
        for name, clock in dossier.clocks.items():
            rule = view.definition.clocks.get(name)
            if clock.end is not None:
                state = self._("arrêté le %s") % self.short(clock.end, view.zone)
            elif clocks.paused(dossier, name):
                state = self._("suspendu")
            else:
                state = self.until(clock.due, view.now)
            late = clock.end is None and clock.due < view.now and not clocks.paused(dossier, name)
            family = rule.family if rule is not None else "commitment"
            why = tuple(self._why(view, name))
            found.append(
                Running(name, self.clock(view.definition, name), family, clock.start, clock.due, state, late, why)
            )
        return sorted(found, key=lambda one: (dossier.clocks[one.name].end is not None, one.due))

    def _why(self, view: View, name: str) -> list[str]:
        """Why a due date is what it is: its rule and its start, what was counted and what was not."""
        rule = view.definition.clocks.get(name)
        if rule is None:
            return []
        steps = reasons.why(rule, name, view.dossier.clocks[name], view.dossier, view.almanac)
        return sentences(steps, self.language)

    # --- what happened ------------------------------------------------------------------------------------------------

    def timeline(self, view: View, events: Sequence[Recorded] | None = None) -> list[Entry]:
        """What happened, the latest first; reminders that lapsed are not told."""
        told = [event for event in (view.events if events is None else events) if event.kind != LAPSE]
        return [self._entry(view, event) for event in reversed(told)]

    def _entry(self, view: View, event: Recorded) -> Entry:
        definition = view.decided(event)
        args: dict[str, Any] = event.command.get("args", {})
        texts = []
        parts = words.statement(definition)
        for name, value in sorted(args.items(), key=lambda one: [*parts].index(one[0]) if one[0] in parts else -1):
            body = written(view, value, name)
            if body is None and name == "reason" and isinstance(value, str):
                body = self._(words.REASONS.get(value, value))
            if body and name not in ("title", "blockage", "siret"):
                texts.append((self._capital(parts.get(name, "")), body))
        inside = any(name in definition.fields and definition.fields[name].audience == "internal" for name in args)
        inside = inside or internal(event.kind, event.command)
        details = tuple(self._details(view, event, definition))
        return Entry(event.at, event.effective, self._happened(view, definition, event.kind), self._by(view, event), details,
                     tuple(texts), event.kind, inside)  # fmt: skip

    def _capital(self, said: str) -> str:
        """Words at the head of what they announce; nothing of nothing."""
        said = self._(said) if said else ""
        return said[:1].upper() + said[1:]

    def _happened(self, view: View, definition: Definition, kind: str) -> str:
        known = {
            BREACH: self._("Échéance dépassée"),
            REMIND: self._("Rappel envoyé"),
            REFUSE: self._("L'horloge n'a pas pu agir"),
            MIGRATE: self._("Passé à une autre version de la procédure"),
        }
        if view.actor.role != "holder":  # letters speak to the holder
            known["hold"] = self._("Une réponse est demandée au porteur")
        if kind == SUBMIT and definition.purpose is not None:
            known[SUBMIT] = self.state(definition, definition.initial)
        if kind in known:
            return known[kind]
        found = letters.happened(kind)
        if found is None:
            return self._(words.event(definition, kind))
        said = self._(found)
        return said[:1].upper() + said[1:]

    def _by(self, view: View, event: Recorded) -> str:
        if event.actor.role == "system":
            return self._("automatique")
        name = view.names["person"].get(event.actor.person or 0)
        unit = view.names["unit"].get(event.actor.unit or 0)
        return ", ".join(filter(None, (name, unit))) or self.role(event.actor.role)

    def marked(self, args: Mapping[str, Any]) -> list[str]:
        """What a change of confidentiality set; the code name itself is a text, for who may read it."""
        said = (
            (CODE_NAME in args, self._("nom de code")), (args.get(RESERVED), self._("réservé à l'État")),
            (args.get(ELECTED) is False, self._("non visible de l'élu")),
        )  # fmt: skip
        return [words_ for on, words_ in said if on] or [self._("plus aucune restriction")]

    def _details(self, view: View, event: Recorded, definition: Definition) -> list[str]:
        parts, args = [], event.command.get("args", {})
        clock = event.command.get("clock")
        if clock is not None and event.kind.startswith("clock."):
            parts.append(self.clock(definition, clock))
        if event.command.get("due"):
            due = self.on(datetime.fromisoformat(event.command["due"]), view.zone)
            parts.append(self._("échéance du %s") % due)
        if "unit" in event.effect and event.kind != SUBMIT:
            name = view.names["unit"].get(event.effect["unit"], "?")
            parts.append(self._("le dossier va à : %s") % name)
        if event.effect.get("assignee") is not None:
            person = view.names["person"].get(event.effect["assignee"], self._("une personne du service"))
            parts.append(self._("suivi par %s") % person)
        if event.facts.get("vacant"):
            vacant = ", ".join(self.rung(definition, index) for index in event.facts["vacant"])
            parts.append(self._("échelons sans personne : %s") % vacant)
        if event.effect.get("outcome"):
            parts.append(self._("issue : %s") % self.choice(event.effect["outcome"]))
        if event.facts.get("consults") is not None:
            parts.append(self._("service consulté : %s") % view.names["unit"].get(event.facts["consults"], "?"))
        if isinstance(args.get("request"), str):
            parts.append(self._("avis %s") % args["request"])
        if args.get("clock"):
            parts.append(self.clock(definition, args["clock"]))
            moved = event.effect.get("clocks", {}).get(args["clock"])
            if moved is not None:
                parts.append(self._("échéance portée au %s") % self.on(datetime.fromisoformat(moved["due"]), view.zone))
        if event.kind == MARK:
            parts += self.marked(args)
        if args.get("motive"):
            parts.append(self.choice(args["motive"]))
        if args.get("answer_by"):
            parts.append(self._("réponse avant le %s") % self.on(datetime.fromisoformat(args["answer_by"]), view.zone))
        return parts
