"""The inbox: group commit, and pressure."""

import asyncio

from ingest.write import inbox as module
from ingest.write.inbox import Inbox
from tests.support.samples import message


def put(inbox: Inbox, count: int, **delivery: int) -> None:
    for _ in range(count):
        inbox.put(message("volttron/metering", b"x", **delivery))


async def test_a_full_batch_does_not_linger() -> None:
    inbox = Inbox(batch_max=3, linger=60)
    put(inbox, 4)
    async with asyncio.timeout(5):
        assert [len(await inbox.take())] == [3]


async def test_a_small_batch_comes_when_it_has_lingered() -> None:
    inbox = Inbox(batch_max=3, linger=0.01)
    put(inbox, 2)
    async with asyncio.timeout(5):
        assert len(await inbox.take()) == 2


async def test_closing_hands_out_the_rest_and_then_nothing() -> None:
    inbox = Inbox(batch_max=2, linger=60)
    put(inbox, 3)
    inbox.close()
    assert [len(await inbox.take()) for _ in range(3)] == [2, 1, 0]


async def test_messages_that_come_again_are_dropped_in_order() -> None:
    inbox = Inbox(batch_max=10, linger=0)
    for qos in (1, 0, 1, 0):
        put(inbox, 1, qos=qos, mid=qos)
    assert inbox.drop(lambda m: m.qos > 0) == 2
    assert [m.qos for m in await inbox.take()] == [0, 0]


async def test_too_many_bytes_press_until_most_are_written() -> None:
    inbox = Inbox(batch_max=1, linger=0)
    pressed: list[bool] = []
    inbox.on_pressure = pressed.append
    payload = bytes(module.PAUSE_BYTES // 4)
    for _ in range(5):
        inbox.put(message("volttron/metering", payload))
    assert pressed == [True]
    await inbox.take()
    assert pressed == [True]
    await inbox.take()
    await inbox.take()
    await inbox.take()
    assert pressed == [True, False]


async def test_long_topics_weigh_too() -> None:
    inbox = Inbox(batch_max=1000, linger=0)
    pressed: list[bool] = []
    inbox.on_pressure = pressed.append
    topic = "oadr/meter/" + "x" * 60_000
    for _ in range(module.PAUSE_BYTES // len(topic)):
        inbox.put(message(topic, b"{}"))
    assert pressed == [True]


async def test_too_many_messages_press_too() -> None:
    inbox = Inbox(batch_max=2, linger=0, hold=6)
    pressed: list[bool] = []
    inbox.on_pressure = pressed.append
    put(inbox, 5)
    assert pressed == []
    put(inbox, 1)
    assert pressed == [True]
    await inbox.take()
    assert pressed == [True]
    await inbox.take()
    assert pressed == [True, False]


async def test_three_batches_fit_into_what_the_broker_hands_out() -> None:
    inbox = Inbox(batch_max=1000, linger=60, hold=10)
    put(inbox, 10)
    async with asyncio.timeout(5):
        assert [len(await inbox.take()) for _ in range(3)] == [3, 3, 3]


async def test_a_batch_of_large_messages_is_cut() -> None:
    inbox = Inbox(batch_max=1000, linger=0)
    for _ in range(5):
        inbox.put(message("volttron/metering", bytes(module.BATCH_BYTES // 2)))
    inbox.close()
    assert [len(await inbox.take()) for _ in range(3)] == [2, 2, 1]
