"""The effect by territory, figure by figure, against DuckDB; and what may be said of few, of none, and of very many."""

from __future__ import annotations

import tracemalloc
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from math import exp, inf, log, sqrt

import pytest

from states import blockages, effect, facts
from states.blockages import Blockages
from states.effect import ALL, INSIDE, OUTSIDE, Effect
from states.facts import Kinds, Line
from states.loss import MEASURABLE
from states.report import BOXES
from tests.report.duck import Duck
from tests.report.year import compiled, year

UNTIL = datetime(2026, 11, 1, tzinfo=UTC)
ANSWERS = ["message", "hold", "resolve", "withdraw"]
PLACES = {"64300": ["TI-1", "TI-2"], "31555": ["TI-1"], "97411": []}
SIDE = {"unit:1": "local", "unit:2": "operators"}
COMMITMENTS, LIMIT = ("triage", "rung"), "resolution"


def side(party):
    return SIDE.get(party, "state" if party.startswith("unit:") else party)


@pytest.fixture(scope="module")
def kinds():
    """The definition of the year, whose limit of resolution is taken for a legal one."""
    found = Kinds(compiled().definition)
    found.families = {**found.families, LIMIT: "legal"}
    return found


def added(events, kinds, now, *, only=None):
    made, by_dossier = Effect(now, side), {}
    for event in events:
        if event["at"] <= now:
            by_dossier.setdefault(event["id"], []).append(event)
    for key, lines in list(by_dossier.items())[:only]:
        given = [{name: value for name, value in line.items() if name != "id"} for line in lines]
        one = facts.read(Line(**line, kinds=kinds) for line in given)
        made.add(f"64-{key}", one, PLACES[one.commune], one.commune[:2])
    return made


def reckoned(duck, kinds):
    """The tables that the figures of a line are read from, in DuckDB."""
    duck.db.execute("set variable rungs = ?::varchar[]", [list(kinds.rungs)])
    duck.db.execute("set variable promised = ?::varchar[]", [list(COMMITMENTS)])
    duck.db.execute("""
        create table places (commune varchar, line varchar);
        insert into places values ('64300', 'TI-1'), ('64300', 'TI-2'), ('31555', 'TI-1'), ('64300', '@ti'), ('31555', '@ti'),
            ('97411', '@hors-ti'), ('97411', '@hors-ti:97'), ('64300', ''), ('31555', ''), ('97411', '');
        create table about as
        select d.*, e.effect->>'$.data.topic' as topic, e.effect->>'$.data.commune' as commune,
               (e.effect->>'$.data.jobs')::bigint as jobs, (e.effect->>'$.data.invested')::bigint as invested,
               coalesce(e.effect->>'$.data.project', '64-' || d.id) as project, coalesce(d.closed, getvariable('now')) as until,
               d.closed is not null and not d.left_ as resolved,
               (select o.effect->>'$.outcome' from events o where o.id = d.id and json_exists(o.effect, '$.outcome')
                order by o.seq desc limit 1) as outcome
        from dossiers d join events e on e.id = d.id and e.seq = 1;
        create table placed as select a.*, p.line from about a join places p using (commune);
        create table climbs as
        select id, getvariable('rungs')[(effect->>'$.rung')::integer + 1] as rung, min_by(effective, seq) as since
        from events where kind = 'escalate' group by 1, 2;
    """)  # fmt: skip


def median(rows):
    """The median of (µs, over) by Kaplan and Meier, its bounds by the log(-log) interval: by hand, in floats."""
    counted, at_risk, share, spread, found = Counter(rows), len(rows), 1.0, 0.0, [None, None, None]
    for time in sorted({time for time, _ in rows}):
        over, left = counted[time, True], counted[time, False]
        if over:
            share *= 1 - over / at_risk
            spread += over / (at_risk * (at_risk - over)) if at_risk > over else inf
            off = exp(1.959963984540054 * sqrt(spread) / abs(log(share))) if share > 0 else 1
            heights = (share, share**off, share ** (1 / off)) if share > 0 else (0, 0, 0)
            found = [
                time if was is None and height <= 0.5 + 1e-9 else was
                for was, height in zip(found, heights, strict=True)
            ]
        at_risk -= over + left
    return found


def agrees(said, rows):
    """A wait is what its rows of (µs, over) say."""
    assert (said["waited"], said["over"]) == (len(rows), sum(over for _, over in rows))
    wanted = median(rows) if len(rows) >= MEASURABLE else [None] * 3
    assert [said["median"], *said["interval"]] == pytest.approx([one and one / 1e6 for one in wanted])


@pytest.fixture(scope="module")
def lived():
    """The events of a seeded year."""
    return list(year(20_27, 150, UNTIL))


@pytest.mark.parametrize("now", [UNTIL, datetime(2026, 5, 1, tzinfo=UTC)])
def test_every_figure_of_every_line_is_the_one_of_another_tool(lived, kinds, now):
    lived = [event for event in lived if event["at"] <= now]
    said = {one["line"]: one for one in effect.plain(added(lived, kinds, now))["lines"]}
    duck = Duck(lived, now, ANSWERS)
    reckoned(duck, kinds)
    assert said.keys() == {ALL, INSIDE, OUTSIDE, "TI-1", "TI-2", "@hors-ti:97"}
    for name, one in said.items():
        given = partial(_rows, duck, name)
        assert one["dossiers"] == given("select count(*) from placed where line = ?")[0][0]
        boxes = given("""
            select case when any_value(closed) is null then 'open' else 'closed' end || '_' ||
                   case when bool_or(coalesce(ended, getvariable('now')) > due) then 'late' else 'in_time' end as box
            from placed join promises using (id) where line = ? and list_contains(getvariable('promised'), clock)
            group by id""")
        counted = [box for (box,) in boxes]
        assert one["boxes"] == {box: counted.count(box) for box in BOXES}
        fate = len(counted) - counted.count("open_in_time")
        assert one["kept"] == (counted.count("closed_in_time") / fate if fate >= MEASURABLE else None)
        agrees(one["resolution"]["gross"], given(
            "select epoch_us(until) - epoch_us(submitted), resolved from placed where line = ?"))  # fmt: skip
        agrees(one["resolution"]["net"], given(
            "select net, over_ from placed join waits using (id) where line = ? and wait = 'resolution'"))  # fmt: skip
        court = dict(
            given("""select party, sum(greatest(epoch_us(s.until) - epoch_us(since), 0))::bigint
            from placed join spans s using (id) where line = ? and party <> 'closed' group by 1""")
        )
        for where in effect.SIDES:
            assert one["court"][where]["seconds"] == sum(us for who, us in court.items() if side(who) == where) / 1e6
        gains = [
            us
            for (us,) in given(f"""select epoch_us(due) - epoch_us(coalesce(ended, getvariable('now'))) as gain
            from placed join promises using (id)
            where line = ? and clock = '{LIMIT}' and (ended is not null or due < getvariable('now')) order by gain""")
        ]
        legal = {each["clock"]: each for each in one["legal"]}.get(LIMIT, {"known": 0, "gained": 0, "lost": 0})
        assert legal["known"] == len(gains)
        assert legal["gained"] == sum(us for us in gains if us > 0) / 1e6
        assert legal["lost"] == -sum(us for us in gains if us < 0) / 1e6
        if len(gains) >= MEASURABLE:
            assert legal["median"] == pytest.approx(
                duck.all(f"select median(g) from (select unnest({gains}) as g)")[0][0] / 1e6
            )
            assert legal["interval"][0] <= legal["median"] <= legal["interval"][1]
        stakes = given("""with each as (
                select project, max(jobs) as jobs, max(invested) as invested, bool_and(closed is not null) and
                       bool_and(coalesce(outcome, '') = 'unblocked') as freed
                from about where project in (select project from placed where line = ?) group by 1)
            select count(*), sum(jobs), sum(invested), count(*) filter (freed), sum(jobs) filter (freed),
                   sum(invested) filter (freed) from each where jobs > 0 or invested > 0""")[0]
        assert tuple(one["stakes"].values()) == tuple(int(number or 0) for number in stakes)
        climbed = {each["rung"]: each for each in one["escalations"]}
        rows = given("""select rung, epoch_us(since) - epoch_us(submitted), greatest(epoch_us(until) - epoch_us(since), 0), resolved
            from placed join climbs using (id) where line = ?""")
        assert climbed.keys() == {rung for rung, *_ in rows}
        for rung, each in climbed.items():
            agrees(each["before"], [(before, True) for which, before, _, _ in rows if which == rung])
            agrees(each["after"], [(after, over) for which, _, after, over in rows if which == rung])
    usual, own = said["TI-1"]["usual"], said["TI-1"]["resolution"]["gross"]
    assert usual["topics"] == ["eau", "raccordement"]
    assert (usual["own"], usual["outside"]) == (own, said[OUTSIDE]["resolution"]["gross"])
    assert usual["shorter_by"] == usual["outside"]["median"] - own["median"]
    assert usual["interval"][0] < usual["shorter_by"]
    assert said[OUTSIDE]["usual"] is None


def test_what_blocks_is_counted_as_another_tool_does(lived, kinds):
    by, made = {}, Blockages(UNTIL, kinds.rungs)
    for event in lived:
        by.setdefault(event["id"], []).append(event)
    for events in by.values():
        one = facts.read(
            Line(**{name: value for name, value in each.items() if name != "id"}, kinds=kinds) for each in events
        )
        made.add(one, PLACES[one.commune] or [f"@hors-ti:{one.commune[:2]}"])
    found = blockages.plain(made)
    duck = Duck(lived, UNTIL, ANSWERS)
    reckoned(duck, kinds)
    duck.db.execute("""create table lost as select id, sum(greatest(
        epoch_us(coalesce(ended, getvariable('now'))) - epoch_us(due), 0))::bigint as lost
        from promises where list_contains(getvariable('promised'), clock) group by 1""")
    wanted = duck.all("""select topic, count(*), count(*) filter (closed is null), sum(lost)::bigint as lost
        from about join lost using (id) group by 1 order by lost desc""")
    assert [(one["topic"], one["dossiers"], one["open"], one["lost"]) for one in found] == [
        (topic, number, is_open, us / 1e6) for topic, number, is_open, us in wanted
    ]
    places = {
        (topic, line): (number, us / 1e6)
        for topic, line, number, us in duck.all("""select topic, line, count(*), sum(lost)::bigint from placed
            join lost using (id) where line not in ('', '@ti', '@hors-ti') group by 1, 2""")
    }
    assert {
        (one["topic"], each["line"]): (each["dossiers"], each["lost"]) for one in found for each in one["places"]
    } == places
    heights = duck.all("""with high as (select id, max((effect->>'$.rung')::integer) as rung from events group by 1)
        select topic, getvariable('rungs')[rung + 1], count(*) from about join high using (id) group by 1, 2""")
    assert {(one["topic"], rung): number for one in found for rung, number in one["rungs"].items()} == {
        (topic, rung): number for topic, rung, number in heights
    }


def _rows(duck, line, statement):
    return duck.db.execute(statement, [line]).fetchall()


def test_few_are_counted_and_not_measured_and_of_none_nothing_is_said(lived, kinds):
    none = effect.plain(Effect(UNTIL, side))
    assert {one["line"] for one in none["lines"]} == {ALL, INSIDE, OUTSIDE}
    assert none["lines"][0]["kept"] is None
    assert none["lines"][0]["court"]["state"]["share"] is None
    lines = {one["line"]: one for one in effect.plain(added(lived, kinds, UNTIL, only=MEASURABLE - 1))["lines"]}
    few = lines[ALL]
    assert few["dossiers"] == few["resolution"]["gross"]["waited"] == MEASURABLE - 1
    assert few["resolution"]["gross"]["median"] is few["kept"] is few["usual"] is None
    assert lines[INSIDE]["usual"]["shorter_by"] is None


def test_a_dossier_more_costs_a_few_numbers_however_many_there_are(kinds):
    one = facts.read(Line(**event, kinds=kinds) for event in year(20_27, 4, UNTIL) if event.pop("id") == 1)
    bare, made = replace(one, data={}), Effect(UNTIL, side)
    tracemalloc.start()
    for place in range(3_000):
        made.add(f"64-{place}", bare, ["TI-1"], "64")
    used = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert used / 3_000 < 500
    assert effect.plain(made)["lines"][0]["dossiers"] == 3_000
