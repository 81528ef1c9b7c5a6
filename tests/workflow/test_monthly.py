"""The report of the month: once to each manager, from the first of the month, with the figures of the report."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from email import message_from_bytes, policy

import pytest

from config.settings import Settings
from tasks.deliver import deliver_monthly
from workflow import digests, monthly


def letters(world, folder, rounds=3):
    """What left, by many beats."""
    for _ in range(rounds):
        deliver_monthly(world.make, Settings(mail=f"file:{folder}", base_url="https://coupe-file.example"))
    return [message_from_bytes(path.read_bytes(), policy=policy.default) for path in sorted(folder.glob("*.eml"))]


@pytest.mark.parametrize(
    ("now", "month"),
    [
        ("2026-11-01T06:59:59", None), ("2026-11-01T07:00:00", date(2026, 10, 1)), ("2026-11-08T06:59:59", date(2026, 10, 1)),
        ("2026-11-08T07:00:00", None), ("2026-07-01T06:00:00", date(2026, 6, 1)), ("2027-01-03T12:00:00", date(2026, 12, 1)),
    ],
)  # fmt: skip
def test_it_is_due_in_the_first_week_of_the_next_month(now, month):
    assert monthly.due(datetime.fromisoformat(now).replace(tzinfo=UTC)) == month


def test_each_manager_is_told_of_a_month_once_and_what_the_report_says(world, together, tmp_path):
    keys = world.submit(12)
    for key in keys[:11]:
        world.act(key, "triage", to_unit="u1")
    world.resolve(keys[0])
    world.jump(days=20)
    world.sweep()
    world.react()
    assert letters(world, tmp_path) == []  # the month is not over
    world.freeze(datetime(2026, 11, 2, 9, tzinfo=UTC))
    settings = Settings(mail=f"file:{tmp_path}")
    assert sum(together(*[lambda: deliver_monthly(world.make, settings)] * 4)) == 1
    (letter,) = letters(world, tmp_path)
    assert letter["To"] == "Prénom boss <boss@x.example>"
    assert letter["Subject"] == "Coupe-file : rapport mensuel, octobre 2026"
    body = letter.get_content()
    assert "12 déposés, dont 11 ouverts, 1 résolus et 0 retirés" in body
    assert "Parmi les administrations mesurables, Administration" in body
    assert "/rapport?du=2026-10-01&au=2026-10-31" in body
    assert world.form["title"] not in body
    world.jump(days=1)
    assert len(letters(world, tmp_path)) == 1
    world.freeze(datetime(2026, 12, 1, 9, tzinfo=UTC))
    _, second = sorted(letters(world, tmp_path), key=lambda one: "novembre" in one["Subject"])
    assert "Pas de donnée : aucun dossier n'a été déposé." in second.get_content()


def test_who_wants_none_gets_none_and_what_cannot_leave_is_given_up(world, tmp_path):
    world.submit()
    world.react()
    world.freeze(datetime(2026, 11, 2, 9, tzinfo=UTC))
    for _ in range(9):
        deliver_monthly(world.make, Settings(mail="smtp://127.0.0.1:1"))
        world.sql("update monthly_letters set next_at = clock_timestamp() - interval '1 second'")
    ((state, attempts, why),) = world.sql("select state, attempts, why from monthly_letters")
    assert (state, attempts) == ("dead", 8)
    assert "refused" in why
    world.sql("delete from monthly_letters")
    with world.make.begin() as session:
        digests.prefer(session, "boss", "none")
    assert letters(world, tmp_path) == []
    assert world.now() - world.start < timedelta(days=30)
