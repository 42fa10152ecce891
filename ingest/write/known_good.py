"""Tries a known good message: if the database refuses it too, the fault is the database's, not a message's."""

import time

import asyncpg

from ingest.db_errors import Fault, RefusesEverythingError, classify
from ingest.message import Message
from ingest.partitions import Partitions
from ingest.receive.decode import Decoder
from ingest.receive.topics import TopicMap
from ingest.write.batch import Store
from ingest.write.lane import Lane
from shared import db
from shared.config import Mqtt

_VEN = "known-good"
_PAYLOAD = (
    '{"venId": "%s", "timestamp": %d, "usedPowerKw": 1, "shedPowerKw": 0,'
    ' "loads": [{"id": "l", "name": "W\u00e4rmepumpe", "currentPowerKw": 1}]}'
)
_RETENTION_DAYS = 1


async def trouble(lane: Lane) -> Exception | None:
    """Why a plain reading with a load cannot be stored now; None: it can be stored. It is rolled back in any case."""
    try:
        connection = await lane.connected()
        attempt = connection.transaction()
        await attempt.start()
        try:
            # A new Store, because the writer's remembers only what is committed.
            await Store(_VEN, Partitions()).write(connection, [_message()])
        finally:
            await attempt.rollback()
    except (asyncpg.PostgresError, *db.UNREACHABLE) as exc:
        return RefusesEverythingError(exc) if classify(exc) is Fault.ROW else exc
    return None


def _message() -> Message:
    settings = Mqtt(host="none")
    now = time.time_ns() // 1000
    topic = settings.topic_metering.split(",", maxsplit=1)[0]
    payload = (_PAYLOAD % (_VEN, now // 1_000_000)).encode()
    message = Message(topic, payload, qos=1, mid=0, dup=False, retain=False, generation=0, received_at=now)
    message.take(Decoder(TopicMap(settings), settings, _RETENTION_DAYS).decode(topic, payload, now))
    return message
