-- What the product is measured against: the least SQL that does the same work, sent by psycopg as prepared statements,
-- one round trip each. Each statement stands under its name; bench/baseline.py sends them.

-- Raw single: lock, write what a transition writes, one event of the journal, COMMIT: four round trips, since the commit
-- of one begins the next.

-- name: lock
select state, seq, version, at, head from dossiers where id = %(id)s for update

-- name: change
update dossiers set
    state = %(state)s, phase = %(phase)s, seq = %(seq)s, version = %(version)s, at = %(at)s, unit_id = %(unit_id)s,
    rung = %(rung)s, assignee_id = %(assignee_id)s, pinned = %(pinned)s, outcome = %(outcome)s, units = %(units)s,
    clocks = %(clocks)s, holds = %(holds)s, closed_at = %(closed_at)s, due_at = %(due_at)s, wake_at = %(wake_at)s,
    head = %(head)s
where id = %(id)s

-- name: record
insert into events (dossier_id, seq, at, effective, kind, person_id, unit_id, role, definition_id, shape, command, facts,
                    effect, fired, idem, hash)
values (%(id)s, %(seq)s, %(at)s, %(effective)s, %(kind)s, %(person_id)s, %(event_unit)s, %(role)s, %(definition_id)s,
        %(shape)s, %(command)s, %(facts)s, %(effect)s, %(fired)s, %(idem)s, %(head)s)

-- name: commit
commit and chain

-- Bare claim: take a thousand that are due and say when to look again, COMMIT.

-- name: claim
update dossiers set wake_at = %(later)s
where id = any(array(select id from dossiers where wake_at <= %(now)s and not stuck
                     order by wake_at limit %(limit)s for update skip locked))

-- Where the raw single finds the values that it writes: those of one transition that the product has just written.

-- name: sample
select d.state, d.phase, d.version, d.at, d.unit_id, d.rung, d.assignee_id, d.pinned, d.outcome, d.units,
       d.clocks::text, d.holds::text, d.closed_at, d.due_at, d.wake_at, d.head,
       e.effective, e.kind, e.person_id, e.unit_id as event_unit, e.role, e.definition_id, e.shape,
       e.command::text, e.facts::text, e.effect::text, e.fired, e.idem
from dossiers d join events e on e.dossier_id = d.id and e.seq = d.seq where d.id = %(id)s
