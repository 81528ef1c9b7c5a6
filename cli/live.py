"""What happens, as it happens: dossiers that move, reminders, escalations, and letters as they leave."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text
from sqlalchemy import text
from sqlalchemy.orm import Session

from cli import say
from states.decide import BREACH, IDLE, LAPSE, REMIND
from states.definition import Definition
from workflow import definitions, words
from workflow.letters import date, happened

QUIET = frozenset({LAPSE, IDLE})
SOON = timedelta(days=2)
KEPT_LINES = 200
ZONE = ZoneInfo(say.PARIS)
ARROW, LETTER = "→", "✉"


@dataclass(frozen=True, slots=True)
class Line:
    """One thing that happened: when in the dossiers' time, on which dossier, in words."""

    at: datetime
    reference: str
    words: str
    style: str = ""

    def __str__(self) -> str:
        """Give the line as a log shows it."""
        return f"{say.short(self.at)}  {self.reference}  {self.words}"


_CLOCK = "select business_now() as now, running, rate, until from business_clock"
_DOSSIERS = """
select d.id, d.reference, d.definition_id, d.state, d.phase, d.seq, d.rung, d.holds, d.due_at, d.stuck,
       u.name as unit, case when k.dossier_id is null then t.body else n.body end as title
from dossiers d left join units u on u.id = d.unit_id
left join texts t on t.id = cast(d.data -> 'title' ->> 'text' as uuid)
left join confidentialities k on k.dossier_id = d.id and (k.code_name is not null or k.reserved)
left join texts n on n.id = k.code_name
order by split_part(d.reference, '-', 2), d.id
"""
_EVENTS = """
select e.dossier_id, e.at, e.effective, e.kind, e.role, e.command, e.effect, e.definition_id, u.name as unit
from unnest(cast(:ids as bigint[]), cast(:seqs as integer[])) as k (id, seq)
join events e on e.dossier_id = k.id and e.seq > k.seq
left join units u on u.id = cast(e.effect ->> 'unit' as integer)
order by e.at, e.dossier_id, e.seq limit 500
"""
_LETTERS = """
select n.id, n.dossier_id, n.not_before, n.sent_to, n.cause, d.reference, d.definition_id
from notices n join dossiers d on d.id = n.dossier_id
where n.state = 'sent' and n.subscriber <> 'webhooks' and n.sent_at > coalesce(cast(:since as timestamptz), '-infinity') order by n.sent_at, n.id limit 500
"""
_NEWEST = "select max(sent_at) from notices where state = 'sent' and subscriber <> 'webhooks'"


class Watch:
    """Reads what is new each time it is asked; shows the whole as a screen."""

    def __init__(self) -> None:
        """See nothing yet: the first look takes what is there as known."""
        self._seen: dict[int, int] | None = None
        self._sent: set[int] = set()
        self._since: Any = None
        self._rows: list[Any] = []
        self._labels: dict[int, Definition] = {}
        self._clock: Any = None
        self.lines: deque[Line] = deque(maxlen=KEPT_LINES)

    def look(self, session: Session) -> list[Line]:
        """What happened since the last look, in order."""
        self._clock = session.execute(text(_CLOCK)).one()
        self._rows = list(session.execute(text(_DOSSIERS)))
        for key in {row.definition_id for row in self._rows} - set(self._labels):
            self._labels[key] = definitions.get(session, key).compiled.definition
        if self._seen is None:
            self._since = session.execute(text(_NEWEST)).scalar()
            new: list[Line] = []
        else:
            new = [*self._events(session), *self._letters(session)]
        self._seen = {row.id: row.seq for row in self._rows}
        self.lines.extend(new)
        return new

    def _events(self, session: Session) -> Iterator[Line]:
        seen = self._seen or {}
        references = {row.id: row.reference for row in self._rows}
        behind = [(row.id, seen.get(row.id, 0)) for row in self._rows if row.seq > seen.get(row.id, 0)]
        if not behind:
            return
        ids, seqs = (list(part) for part in zip(*behind, strict=True))
        for row in session.execute(text(_EVENTS), {"ids": ids, "seqs": seqs}):
            if row.kind not in QUIET:
                sentence, style = _sentence(row, self._labels[row.definition_id])
                yield Line(row.effective, references[row.dossier_id], sentence, style)

    def _letters(self, session: Session) -> Iterator[Line]:
        since = self._since
        for row in session.execute(text(_LETTERS), {"since": since}):
            if row.id in self._sent:
                continue
            self._sent.add(row.id)
            subject = _called(self._labels[row.definition_id], row.cause["kind"])
            yield Line(row.not_before, row.reference, f"{LETTER} {subject} {ARROW} {row.sent_to}", "cyan")
        self._since = session.execute(text(_NEWEST)).scalar()

    # --- the screen ---------------------------------------------------------------------------------------------------

    def screen(self, *, height: int, foot: str) -> RenderableType:
        """The whole: the hour, the dossiers, what happened last."""
        room = max(height - len(self._rows) - 9, 3)
        last = list(self.lines)[-room:]
        happened = [Text(f"  {line}", style=line.style, overflow="ellipsis", no_wrap=True) for line in last]
        return Group(
            self._head(), self._table(), Text("Derniers mouvements", style="bold"), *happened, Text(foot, style="dim")
        )

    def _head(self) -> Text:
        clock = self._clock
        return Text.assemble(
            ("coupe-file ", "bold"),
            ("Exemple fictif", "italic"),
            "   ",
            (date(clock.now, ZONE), "bold"),
            "   ",
            ("en pause", "bold yellow") if not clock.running else ("une heure par seconde", "dim"),
        )

    def _table(self) -> Table:
        table = Table(box=None, pad_edge=False, header_style="bold", expand=True)
        for name, ratio in (("Dossier", 2), ("Sujet", 6), ("État", 3), ("La balle est chez", 7), ("Échéance", 4)):
            table.add_column(name, ratio=ratio, overflow="ellipsis", no_wrap=True)
        for row in self._rows:
            table.add_row(*self._cells(row))
        return table

    def _cells(self, row: Any) -> tuple[str | Text, ...]:
        definition = self._labels[row.definition_id]
        closed = row.phase == "resolved"
        held = next((hold for hold in row.holds if hold.get("end") is None), None) if not closed else None
        ball = "" if closed else "le porteur de projet" if held else row.unit or "personne"
        waits = datetime.fromisoformat(held["until"]) if held else row.due_at
        due, style = "", ""
        if waits is not None:
            due = say.short(waits)
            style = "red" if waits <= self._clock.now else "yellow" if waits - self._clock.now < SOON else ""
        if row.stuck:
            due, style = "mis de côté", "red"
        state = Text(
            words.state(definition, row.state), style={"escalated": "magenta", "resolved": "green"}.get(row.phase, "")
        )
        return row.reference, Text(say.safe(row.title or "")), state, Text(ball), Text(due, style=style)


def _sentence(row: Any, definition: Definition) -> tuple[str, str]:
    """An event in a few words, and how it is coloured."""
    clock = words.clock(definition, row.command.get("clock", ""))
    if row.kind == REMIND:
        return f"rappel : « {clock} » le {say.short(datetime.fromisoformat(row.command['due']))}", "yellow"
    if row.kind == BREACH:
        return f"échéance manquée : « {clock} »", "red"
    label = _called(definition, row.kind)
    if row.unit is not None:
        who = "l'horloge : " if row.role == "system" else ""
        return f"{who}{label} {ARROW} {row.unit}", "bold magenta" if row.role == "system" else "bold"
    if row.role == "system":
        return f"l'horloge : {label}", "bold"
    return label, "green" if row.effect.get("phase") == "resolved" else ""


def _called(definition: Definition, kind: str) -> str:
    """What an event is called, as its letter does; else by the label of what was asked."""
    return happened(kind) or words.event(definition, kind).lower()
