"""Who is there: absences with their substitutes, administrations where nobody is, and who follows what."""

from collections import Counter
from datetime import date, timedelta
from pathlib import Path

import pytest

import config
from config import yamltext
from config.settings import Settings
from states.errors import BadInput, Refused
from tasks.deliver import deliver_all
from workflow import absences, access, almanac, caseload, definitions, reconcile, vacancies

OWN = Path(config.__file__).parent / "workflows" / "coupe-file.v1.yaml"
FIRST, LAST = date(2026, 10, 5), date(2026, 10, 9)


def away(world, login, first=FIRST, last=LAST, **more):
    with world.make.begin() as session:
        return absences.add(session, login, first, last, **more)


def seat(world, login, unit):
    """Give a person a seat of referent in a unit besides their own."""
    world.sql(
        "insert into memberships (person_id, unit_id, role) select p.id, u.id, 'referent' from persons p, units u"
        " where p.login = :login and u.code = :unit",
        login=login,
        unit=unit,
    )


def sent(world, folder):
    """(dossier, event, target, addresses) of every notice that left."""
    world.react()
    while deliver_all(world.make, Settings(mail=f"file:{folder}")):
        pass
    return [
        tuple(row)
        for row in world.sql("select cause ->> 'kind', target, sent_to from notices where state = 'sent' order by id")
    ]


def test_a_substitute_gets_what_the_absent_person_would_and_no_longer_when_they_are_back(world, tmp_path):
    seat(world, "ref6", "u0")
    world.sql(
        "update memberships set role = 'head' where unit_id = 1 and person_id = (select id from persons where login = 'ref6')"
    )
    away(world, "ref0", substitute="ref6")
    world.submit()
    assert ("submit", "unit:1", "ref6@x.example") in sent(world, tmp_path)
    world.freeze(world.start + timedelta(days=5))
    world.submit()
    assert sent(world, tmp_path)[-1] == ("submit", "unit:1", "ref0@x.example")


def test_a_substitute_who_is_away_is_replaced_by_their_own(world):
    assert absences.standing_in(1, {1: 2, 2: 3}) == 3
    assert absences.standing_in(1, {1: 2, 2: 1}) is None
    assert absences.standing_in(1, {1: None}) is None
    assert absences.standing_in(1, {2: 1}) == 1


def test_without_a_substitute_the_rest_of_the_administration_is_told(world, tmp_path):
    away(world, "ref0")
    world.submit()
    assert ("submit", "unit:1", "head0@x.example") in sent(world, tmp_path)


def test_a_rung_whose_only_person_is_away_is_passed_over_and_nothing_is_assigned_to_them(world):
    away(world, "ref2")
    key = world.triaged()
    away(world, "ref1")
    with pytest.raises(Refused, match="absente"):
        world.act(key, "assign", to_user="ref1")
    world.act(key, "escalate", "ref1", reason=world.reason)
    assert world.events(key)[-1].facts["vacant"] == [2]
    assert world.row(key).unit_id == 4


@pytest.mark.parametrize(
    ("login", "days", "more", "words"),
    [
        ("ref00", (FIRST, LAST), {}, "ref0"),
        ("holder", (FIRST, LAST), {}, "référent"),
        ("ref0", (LAST, FIRST), {}, "05/10/2026|09/10/2026"),
        ("ref0", (date(2026, 9, 1), date(2026, 10, 4)), {}, "à venir"),
        ("ref0", (FIRST, date(2030, 1, 1)), {}, "deux ans"),
        ("ref0", (FIRST, LAST), {"substitute": "ref0"}, "quelqu'un d'autre"),
        ("ref0", (FIRST, LAST), {"substitute": "ref1"}, "u0"),
    ],
)
def test_an_absence_that_cannot_be_is_refused_with_what_would_be_and_nothing_is_kept(world, login, days, more, words):
    with pytest.raises(BadInput, match=words):
        away(world, login, *days, **more)
    assert world.value("select count(*) from absences") == 0


def test_nobody_is_away_twice_nor_stands_in_while_away(world):
    away(world, "ref0")
    with pytest.raises(Refused, match="du 05/10/2026 au 09/10/2026"):
        away(world, "ref0", LAST, date(2026, 10, 20))
    seat(world, "head0", "u1")
    away(world, "head0", LAST, date(2026, 10, 12))
    with pytest.raises(Refused, match="head0"):
        away(world, "ref1", substitute="head0")
    away(world, "ref0", date(2026, 10, 10), date(2026, 10, 20))


def test_an_absence_ends_when_it_is_ended_and_one_to_come_is_withdrawn(world):
    now, later = away(world, "ref0"), away(world, "ref0", date(2026, 11, 2), date(2026, 11, 3))
    with world.make.begin() as session:
        absences.end(session, now.id)
        absences.end(session, later.id)
    with world.make.begin() as session:
        assert absences.away(session) == {}
        assert [one.id for one in absences.listed(session, past=True)] == [now.id]
        with pytest.raises(Refused):
            absences.end(session, now.id)
        with pytest.raises(BadInput):
            absences.end(session, 999)


# --- vacancies --------------------------------------------------------------------------------------------------------


def told(world, folder):
    return [row for row in sent(world, folder) if row[0] == "vacancy"]


def test_a_dossier_placed_where_nobody_is_is_told_to_the_manager_once_at_once(world, tmp_path):
    world.sql("update memberships set valid_to = :at where unit_id = 1", at=world.start)
    keys = world.submit(2)
    assert world.events(keys[0])[0].facts["staffed"] is False
    assert told(world, tmp_path) == [("vacancy", "manager", "boss@x.example")]
    letter = next(path.read_text() for path in tmp_path.glob("*.eml") if "boss@x.example" in path.read_text())
    assert "Administration 0" in letter
    world.submit()
    reconcile.reconcile(world.make)
    assert len(told(world, tmp_path)) == 1
    with world.make() as session:
        assert [(one.code, one.dossiers) for one in vacancies.standing(session)] == [("u0", 3)]


def test_people_who_leave_under_a_dossier_are_seen_by_the_clock_and_a_vacancy_that_is_over_can_begin_again(
    world, tmp_path
):
    world.triaged()
    sent(world, tmp_path)
    world.jump(hours=1)
    away(world, "ref1")
    reconcile.reconcile(world.make)
    reconcile.reconcile(world.make)
    assert len(told(world, tmp_path)) == 1
    world.freeze(world.start + timedelta(days=5))
    reconcile.reconcile(world.make)
    assert world.value("select until from vacancies") == world.now()
    away(world, "ref1", date(2026, 10, 12), date(2026, 10, 12))
    world.freeze(world.start + timedelta(days=7))
    reconcile.reconcile(world.make)
    assert len(told(world, tmp_path)) == 2
    assert world.sound()


def test_a_vacancy_that_ends_before_its_letter_leaves_is_not_told(world, tmp_path):
    world.sql("update memberships set valid_to = :at where unit_id = 1", at=world.start)
    world.submit()
    world.react()
    seat(world, "ref6", "u0")
    reconcile.reconcile(world.make)
    assert told(world, tmp_path) == []
    assert world.value("select why from notices where state = 'void'").startswith("quelqu'un")


# --- who follows what -------------------------------------------------------------------------------------------------


@pytest.fixture
def own(world):
    """Give a world under the shipped definition."""
    with world.make.begin() as session:
        almanac.keep_shipped(session)
        definitions.add(session, {**yamltext.read(OWN).data, "version": 2}, state="published")
    return world


def assignees(world):
    return dict(world.sql("select d.id, p.login from dossiers d left join persons p on p.id = d.assignee_id"))


def share(world, by, ids=None):
    with world.make.begin() as session:
        return caseload.share(session, access.actor(session, by, world.now()), ids)


def leave(world, login, by, **more):
    with world.make.begin() as session:
        return caseload.leave(session, login, access.actor(session, by, world.now()), **more)


def test_a_dossier_is_taken_by_one_given_back_and_taken_by_another(own):
    seat(own, "ref6", "u0")
    (key,) = own.submit()
    own.act(key, "take", "ref0")
    with pytest.raises(Refused, match="suit déjà"):
        own.act(key, "take", "ref6@u0")
    with pytest.raises(Refused, match="vous suivez déjà"):
        own.act(key, "take", "ref0")
    own.act(key, "release", "ref0")
    assert own.events(key)[-1].facts["released"] == own.value("select id from persons where login = 'ref0'")
    with pytest.raises(Refused, match="personne ne suit"):
        own.act(key, "release", "ref0")
    own.act(key, "take", "ref6@u0")
    assert assignees(own) == {key: "ref6"}
    away(own, "ref0")
    own.act(key, "release", "head0")
    with pytest.raises(Refused, match="absent"):
        own.act(key, "take", "ref0")
    assert own.sound()


def test_dossiers_are_shared_by_load_among_those_who_are_there(own):
    seat(own, "ref5", "u0")
    seat(own, "ref6", "u0")
    keys = own.submit(6)
    for key in keys[:2]:
        own.act(key, "take", "ref0")
    away(own, "ref6")
    given = share(own, "head0", keys[:4])
    assert [one.login for one in given] == ["ref5", "ref5"]
    share(own, "head0")
    assert Counter(assignees(own).values()) == {"ref0": 3, "ref5": 3}
    assert share(own, "head0") == []
    with pytest.raises(Refused, match="aucune administration"):
        share(own, "boss")


def test_where_nobody_is_there_nothing_is_shared(own):
    own.submit(2)
    away(own, "ref0")
    with pytest.raises(Refused, match="n'est là"):
        share(own, "head0")


def test_who_leaves_hands_everything_over_and_is_gone(own, tmp_path):
    seat(own, "ref6", "u0")
    keys = own.submit(3)
    for key in keys[:2]:
        own.act(key, "take", "ref0")
    away(own, "ref0", date(2026, 11, 2), date(2026, 11, 6), substitute="ref6")
    left = leave(own, "ref0", "ref0", to="ref6")
    assert (left.seats, [one.login for one in left.given]) == (["u0:referent"], ["ref6", "ref6"])
    assert assignees(own) == {keys[0]: "ref6", keys[1]: "ref6", keys[2]: None}
    with pytest.raises(BadInput, match="n'occupe aucun siège"):
        own.actor("ref0")
    assert own.value("select count(*) from absences") == 0
    addresses = [row[2] for row in sent(own, tmp_path)]
    assert not [one for one in addresses if "ref0" in one], "told of nothing more"
    assert own.sound()


def test_the_last_to_leave_leaves_a_vacancy_that_is_told(own):
    (key,) = own.submit()
    own.act(key, "take", "ref0")
    leave(own, "head0", "head0")
    assert own.value("select count(*) from vacancies") == 0
    leave(own, "ref0", "ref0")
    assert assignees(own) == {key: None}
    assert own.value("select count(*) from vacancies where until is null") == 1
    assert own.value("select count(*) from notices where cause ->> 'kind' = 'vacancy'") == 1


@pytest.mark.parametrize(
    ("login", "by", "more", "words"),
    [
        ("ref0", "ref1", {}, "chef de service"),
        ("ref1", "head0", {}, "dans votre administration"),
        ("nobody", "head0", {}, "inconnue"),
        ("ref0", "ref0", {"to": "ref0"}, "soi-même"),
        ("ref0", "ref0", {"to": "ref1"}, "pas en fonction"),
    ],
)
def test_a_departure_that_cannot_be_changes_nothing(own, login, by, more, words):
    (key,) = own.submit()
    own.act(key, "take", "ref0")
    with pytest.raises((BadInput, Refused), match=words):
        leave(own, login, by, **more)
    assert assignees(own) == {key: "ref0"}
    assert own.value("select count(*) from memberships where valid_to is not null") == 0
