"""Proof of life, each true of one process. A worker answers a message sent to it alone; a beat notes the tick that left.

Celery's own ping would not do: it is answered by the process that listens, also when nothing is consumed any more.
"""

from __future__ import annotations

import time
import uuid
from typing import Any

from celery.utils.nodenames import host_format, worker_direct
from kombu.exceptions import OperationalError
from sqlalchemy import text

from config.settings import read
from states.errors import BadInput, Refused
from tasks import beat
from tasks.app import TASK_SECONDS, app
from tasks.clockwork import sessions
from workflow import business_time, reconcile

ANSWER_SECONDS = TASK_SECONDS + 5
"""How long an answer may take: a worker whose hands are full answers after the task that it holds."""
LOOK_SECONDS = 0.1
STALE_TICKS, STALE_SECONDS = 3, 15.0
FORGOTTEN = "1 day"


@app.task(name="coupe_file.answer", bind=True)  # type: ignore[untyped-decorator]
def answer(task: Any, word: str) -> None:
    """Note the word under the name of the worker that runs this; names unheard of for a day are forgotten."""
    with sessions().begin() as session:
        reconcile.beat(session, f"worker:{task.request.hostname}", word)
        session.execute(
            text(
                "delete from heartbeats where name like 'worker:%' and at < clock_timestamp() - cast(:age as interval)"
            ),
            {"age": FORGOTTEN},
        )


def asked(worker: str, *, patience: float = ANSWER_SECONDS) -> float:
    """Seconds that a worker, by its Celery name (%h is this machine), took to answer a question that only it is asked.

    The way is that of all its work: broker, consumer, one of its hands, database. Raises Refused when no answer comes.
    """
    name, word, begun = host_format(worker), uuid.uuid4().hex, time.monotonic()
    if read().redis_url is None:
        raise BadInput(
            "settings", "la file des tâches manque", field="COUPE_FILE_REDIS_URL", accepted="redis://hôte:6379/0"
        )
    try:
        app.send_task("coupe_file.answer", args=[word], queue=worker_direct(name), expires=patience)
    except (OperationalError, OSError) as error:
        raise Refused("unreachable", "file des tâches injoignable", field="COUPE_FILE_REDIS_URL") from error
    while (passed := time.monotonic() - begun) < patience:
        with sessions().begin() as session:
            said = session.execute(
                text("select note from heartbeats where name = :name"), {"name": f"worker:{name}"}
            ).scalar()
        if said == word:
            return passed
        time.sleep(LOOK_SECONDS)
    raise Refused("silent", f"le worker « {name} » n'a pas répondu en {patience:g} s")


def ticked() -> float:
    """Seconds since the beat of this machine last sent a tick. Raises Refused when that is too long ago, or never was."""
    chosen = read()
    note = beat.note(chosen)
    try:
        age = business_time.real_now().timestamp() - note.stat().st_mtime
    except OSError:
        raise Refused(
            "silent", f"aucune horloge n'a noté d'envoi dans {note.parent}", field="COUPE_FILE_HOME"
        ) from None
    if age > max(STALE_TICKS * chosen.tick_seconds, STALE_SECONDS):
        raise Refused("silent", f"l'horloge n'a rien envoyé depuis {age:.0f} s")
    return age
