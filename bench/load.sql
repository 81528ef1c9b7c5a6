-- Multiply the two dossiers made through the real verbs (ids 1 and 2) into copies of their rows, journals, texts and
-- parties. A copy's instants are shifted together by up to six days, so that wakes are spread and each row stays coherent.

-- name: helpers
create function bench_shift(id bigint) returns interval language sql immutable as
$$ select - make_interval(secs => (id * 7919) %% 518400) $$;
create function bench_shifted(clocks jsonb, by interval) returns jsonb language sql stable as $$
    select jsonb_object_agg(key, value || jsonb_strip_nulls(jsonb_build_object(
        'start', (value ->> 'start')::timestamptz + by, 'due', (value ->> 'due')::timestamptz + by,
        'end', (value ->> 'end')::timestamptz + by))) from jsonb_each(clocks) $$;

-- name: dossiers
insert into dossiers (id, reference, definition_id, state, phase, seq, version, at, unit_id, rung, assignee_id, pinned,
                      outcome, units, clocks, holds, data, closed_at, due_at, wake_at, head, submit_key)
select n, '64-' || n, definition_id, state, phase, seq, version, at + s, unit_id, rung, assignee_id, pinned,
       outcome, units, bench_shifted(clocks, s), holds, data, closed_at, due_at + s, wake_at + s, head, 'bench-' || n
from generate_series(%(first)s::bigint, %(last)s) n join dossiers t on t.id = 1 + n %% 2, bench_shift(n) s

-- name: events
insert into events (dossier_id, seq, at, effective, kind, person_id, unit_id, role, definition_id, shape, command, facts,
                    effect, fired, idem, hash)
select n, e.seq, at + s, effective + s, kind, person_id, unit_id, role, definition_id, shape, command, facts, effect,
       fired, idem, hash
from generate_series(%(first)s::bigint, %(last)s) n join events e on e.dossier_id = 1 + n %% 2, bench_shift(n) s

-- name: texts
insert into texts (id, dossier_id, field, salt, body)
select gen_random_uuid(), n, field, salt, body
from generate_series(%(first)s::bigint, %(last)s) n join texts t on t.dossier_id = 1 + n %% 2

-- name: parties
insert into parties (dossier_id, person_id)
select n, person_id from generate_series(%(first)s::bigint, %(last)s) n join parties p on p.dossier_id = 1 + n %% 2

-- Make dossiers due at an instant: their rung was given its time, and it has passed.

-- name: arm
update dossiers set
    at = %(due)s::timestamptz - interval '14 days', due_at = %(due)s, wake_at = %(due)s::timestamptz + interval '1 microsecond',
    rung = 1, unit_id = 2,
    clocks = jsonb_set(clocks, '{rung}', clocks -> 'rung' || jsonb_build_object(
        'start', %(due)s::timestamptz - interval '14 days', 'due', %(due)s::timestamptz, 'done', '["half", "eve"]'::jsonb))
where id = any(%(ids)s)
