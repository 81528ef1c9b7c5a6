"""The Celery application: every setting of it, and the beat schedule, on one page.

No message carries time: no eta, no countdown, no retry. Timers, attempts and dead letters are rows; a tick that is
lost costs one tick, and a tick that comes twice finds nothing left to do.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from celery import Celery
from celery.signals import setup_logging, task_prerun

from config import log_lines
from config.settings import Settings, read
from tasks import broker

# A worker that lost its link is given this long before its messages are handed to another; no task runs as long.
VISIBILITY_SECONDS = 120
TASK_SECONDS = 60
# SIGTERM waits for the task in hand, which TASK_SECONDS bound. A harder stop (SIGQUIT) would cut it at once: it waits this
# long first, more than a task gives itself, so that a transaction ends and a letter is marked rather than sent again.
SOFT_SECONDS = 30


def make_app(settings: Settings, *, include: Sequence[str] = ("tasks.clockwork", "tasks.life")) -> Celery:
    """The application for these settings, and the modules of tasks that its processes load; making it connects to nothing."""
    broker.install()
    made = Celery("coupe-file", include=list(include))
    made.conf.update(
        broker_url=settings.redis_url,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_transport_options=_transport(),
        task_ignore_result=True,
        task_serializer="json",
        accept_content=["json"],
        task_acks_late=True,
        task_default_queue="coupe-file",
        task_time_limit=TASK_SECONDS,
        task_soft_time_limit=TASK_SECONDS - 10,
        task_publish_retry=True,
        task_publish_retry_policy={"max_retries": 1, "interval_start": 0, "interval_step": 0.2, "interval_max": 0.2},
        worker_prefetch_multiplier=1,
        worker_direct=True,  # each worker has a queue of its own besides: `tasks.life` asks it there whether it works
        worker_soft_shutdown_timeout=SOFT_SECONDS,
        worker_enable_remote_control=False,
        worker_send_task_events=False,
        worker_cancel_long_running_tasks_on_connection_loss=False,
        worker_hijack_root_logger=False,
        timezone="UTC",
        beat_scheduler="tasks.beat:Beat",  # keeps no schedule on disk: any number of beats is safe
        beat_max_loop_interval=settings.tick_seconds,
        beat_schedule={
            "tick": {
                "task": "coupe_file.tick",
                "schedule": settings.tick_seconds,
                "options": {"expires": max(settings.tick_seconds * 2, 5)},
            },
        },
    )
    return made


def _transport() -> dict[str, Any]:
    """Bounded everywhere: a frozen Redis delays, and never blocks for ever."""
    return {
        "visibility_timeout": VISIBILITY_SECONDS,
        "unacked_restore_interval": 5,
        "unacked_restore_throttle": 1,
        "socket_timeout": 10,
        "socket_connect_timeout": 5,
        "socket_keepalive": True,
        "health_check_interval": 10,
        "retry_on_timeout": True,
    }


app = make_app(read())


@setup_logging.connect  # type: ignore[untyped-decorator]
def write_log(loglevel: int | str | None = None, **_: Any) -> None:
    """Give a worker or a beat our log instead of Celery's own."""
    log_lines.configure(read().log, level=loglevel or "INFO")


@task_prerun.connect  # type: ignore[untyped-decorator]
def name_task(task: Any = None, **_: Any) -> None:
    """Name the task in every line that it writes."""
    log_lines.at_work(task=task.name, actor="system")
