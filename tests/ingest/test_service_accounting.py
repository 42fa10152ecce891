"""A message that is lost on its way is noticed by what /metrics says."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiomqtt
import pytest
from prometheus_client import generate_latest

from ingest.message import Message
from ingest.service import Service
from ingest.settings import Settings
from ingest.write.inbox import Inbox
from shared.config import Dashboard, Database, Ingest, Log, Mqtt, Retention
from shared.ports import listen
from tests.support.runbook import check
from tests.support.samples import telemetry
from tests.support.servers import Address, eventually
from tests.torture.verify import balanced
from tests.torture.world import sum_of_outcomes


@asynccontextmanager
async def serving(db: Database, mqtt: Mqtt) -> AsyncIterator[Service]:
    stop = asyncio.Event()
    service = Service(
        Settings(db=db, mqtt=mqtt, ingest=Ingest(), retention=Retention(), dashboard=Dashboard(), log=Log())
    )
    with listen("127.0.0.1", 0, "") as listener:
        running = asyncio.create_task(service.run(listener, stop))
        await eventually(lambda: not service._state.problems())
        yield service
        stop.set()
        await running


def figures(service: Service) -> dict[str, float]:
    families = service._state.metrics.registry.collect()
    return {sample.name: sample.value for family in families for sample in family.samples}


@pytest.mark.parametrize("lost", [0, 1])
async def test_a_message_lost_on_its_way_breaks_the_balance(
    database: Database, broker: Address, unique: str, monkeypatch: pytest.MonkeyPatch, lost: int
) -> None:
    put, losing = Inbox.put, [b"lost"] * lost

    def leaky(inbox: Inbox, message: Message) -> None:
        if message.payload not in losing:
            put(inbox, message)

    monkeypatch.setattr(Inbox, "put", leaky)
    mqtt = Mqtt(host=broker[0], port=broker[1], client_id=unique, topic_metering=unique)
    async with serving(database, mqtt) as service, aiomqtt.Client(*broker) as client:
        await client.publish(unique, b"lost", qos=1)
        for n in range(3):
            await client.publish(unique, telemetry("v", time.time() + n, n), qos=1)
        await eventually(lambda: sum_of_outcomes(figures(service)) == 4 - lost)
        assert figures(service)["ecs_ingest_received_total"] == 4
        assert balanced(figures(service)) == (lost == 0)
        if lost:
            text = generate_latest(service._state.metrics.registry).decode()
            check("unaccounted", text.splitlines())
