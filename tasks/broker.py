"""The transport to Redis or Valkey, with one thing mended.

A worker that takes one message at a time counts it until it is acknowledged. When the server goes away at that moment,
kombu (5.7.0) logs that the acknowledgement failed and counts the message for ever: the worker then waits, connected and
idle, and never takes another (seen in 2 workers of 3 after one kill of the server; the same symptom is that of
celery/celery#8030 and #9054). Here a message that could not be acknowledged is let go: the broker gives it out again
later, and every task of ours is safe to repeat.
"""

from __future__ import annotations

from typing import Any

from kombu.transport import TRANSPORT_ALIASES, redis, virtual


class QoS(redis.QoS):
    """Counts the messages that a consumer holds, and lets go of one whose acknowledgement failed."""

    def ack(self, delivery_tag: Any) -> None:
        """Acknowledge; whatever comes of it, the message no longer stands in the way of the next."""
        try:
            super().ack(delivery_tag)  # type: ignore[no-untyped-call]
        except BaseException:
            virtual.QoS.ack(self, delivery_tag)  # type: ignore[no-untyped-call]
            raise


class Channel(redis.Channel):
    """A channel that counts in that way."""

    QoS = QoS


class Transport(redis.Transport):
    """A transport whose channels count in that way."""

    Channel = Channel


def install() -> None:
    """Make it the transport of every `redis` URL of this process, the `redis+socket` ones included."""
    TRANSPORT_ALIASES.update(dict.fromkeys(("redis", "rediss"), "tasks.broker:Transport"))
