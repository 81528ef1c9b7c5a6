"""How often something may be tried: counted in the database, so that any number of processes count together."""

from __future__ import annotations

import hashlib
from datetime import timedelta

from sqlalchemy import text
from sqlalchemy.orm import Session

KEPT = timedelta(days=1)
_TRY = """
insert into attempts (name, since, number) values (:name, clock_timestamp(), 1)
on conflict (name) do update set
    since = case when attempts.since < clock_timestamp() - cast(:per as interval) then clock_timestamp() else attempts.since end,
    number = case when attempts.since < clock_timestamp() - cast(:per as interval) then 1 else attempts.number + 1 end
returning number
"""


def allowed(session: Session, *what: str, most: int, per: timedelta) -> bool:
    """Count one more try of `what`; False from the one after `most` in a window of `per`. The caller commits, whatever
    becomes of the try. What is tried is kept as a digest only: it may name a person or an address.
    """
    name = hashlib.sha256("\0".join(what).encode()).hexdigest()
    number: int = session.execute(text(_TRY), {"name": name, "per": per}).scalar_one()
    if number == 1:
        old = "delete from attempts where since < clock_timestamp() - cast(:kept as interval)"
        session.execute(text(old), {"kept": KEPT})
    return number <= most
