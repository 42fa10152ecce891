"""Every message of the field, from the broker through the database to REST."""

import asyncio
import json
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from shared.config import Database
from tests.support.ingest_process import publish
from tests.support.samples import Sample, dialect_samples, field_samples, telemetry
from tests.support.servers import Address, eventually, execute, new_database
from tests.support.whole import Whole


async def stats_now(whole: Whole) -> dict[str, Any]:
    """Figures computed after this call: requests share figures for a second, and the next request may get old ones."""
    until = time.monotonic() + 2.5
    await eventually(lambda: whole.get("/stats/network") is not None and time.monotonic() > until)
    figures: dict[str, Any] = whole.get("/stats/network")
    return figures


async def deliver(whole: Whole, *messages: tuple[str, bytes]) -> None:
    before = whole.ingest.handled()
    await publish(whole.broker, whole.ingest.prefix, *messages)
    await eventually(lambda: whole.ingest.handled() == before + len(messages))


def counted(whole: Whole) -> dict[str, float]:
    names = ("received", "stored", "duplicate", "dead_lettered", "ignored", "flawed", "dead_letters_new")
    return {name: whole.ingest.metric(f"{name}_total") for name in names}


def expected(samples: list[Sample]) -> dict[str, float]:
    outcomes = Counter(sample.expect for sample in samples)
    dead = outcomes["dead_letter"]
    return {
        "received": len(samples),
        "stored": outcomes["telemetry"] + outcomes["loads"] + outcomes["status"],
        "duplicate": 0,
        "dead_lettered": dead,
        "ignored": outcomes["ignored"],
        "flawed": sum(sample.flawed for sample in samples),
        # Two parts of an array are dead letters of their own; two statuses of one VEN are the same mistake.
        "dead_letters_new": dead + 2 - 1,
    }


def named(sample: Sample) -> str:
    """The VEN of a sample with a status."""
    if sample.topic != "volttron/dev":
        return sample.topic.rpartition("/")[2]
    return str(json.loads(sample.payload)["venId"])


class Heard(NamedTuple):
    """Servers that have stored `samples`, all dialects."""

    whole: Whole
    database: Database
    samples: list[Sample]


@pytest.fixture(scope="module")
def heard(
    tmp_path_factory: pytest.TempPathFactory, postgres: Database, template: str, broker: Address
) -> Iterator[Heard]:
    """One ingest and one api for the tests that only look at what has become of all dialects."""
    samples = dialect_samples()
    with new_database(postgres, template) as database:
        whole = Whole(tmp_path_factory.mktemp("dialects"), database, broker, f"t{uuid.uuid4().hex[:12]}")
        try:
            asyncio.run(deliver(whole, *((sample.topic, sample.payload) for sample in samples)))
            yield Heard(whole, database, samples)
        finally:
            whole.api.kill()
            whole.ingest.process.kill()


def test_every_dialect_has_the_expected_outcome(heard: Heard) -> None:
    assert counted(heard.whole) == expected(heard.samples)


def test_every_reading_of_a_dialect_is_one_row(heard: Heard) -> None:
    rows = sum(sample.rows for sample in heard.samples if sample.expect == "telemetry")
    assert execute(heard.database, "SELECT count(*) FROM ven_telemetry") == [(rows,)]


def test_a_status_in_any_dialect_is_that_of_its_ven(heard: Heard) -> None:
    fleet: dict[str, Any] = {ven["id"]: ven for ven in heard.whole.get("/fleet?limit=1000")["vens"]}
    with_status = [sample for sample in heard.samples if sample.status is not None]
    assert with_status
    for sample in with_status:
        assert fleet[named(sample)]["status"] == sample.status, sample
        assert fleet[named(sample)]["online"] is (sample.status in ("online", "ready")), sample


def test_a_number_as_text_is_that_number(heard: Heard) -> None:
    assert heard.whole.get("/fleet/x-1")["usedPowerKw"] == 2.73


def test_numeric_ids_are_texts(heard: Heard) -> None:
    assert heard.whole.get("/fleet/101")["eventId"] == "42"
    assert [load["id"] for load in heard.whole.get("/vens/101/loads")] == ["1"]


def test_a_load_that_cannot_be_used_costs_only_itself(heard: Heard) -> None:
    assert [load["id"] for load in heard.whole.get("/fleet/x-7")["loads"]] == ["b"]


def test_an_id_of_a_load_may_hold_a_slash(heard: Heard) -> None:
    assert heard.whole.get("/vens/x-10/loads/panel%2F1")["currentPowerKw"] == 0.4


def test_what_is_left_out_of_a_message_is_named(heard: Heard) -> None:
    flaws = execute(heard.database, "SELECT ven_id, reason FROM ven_flaws WHERE ven_id IN ('y-32', 'x-8')")
    assert flaws == [
        (
            "x-8",
            "shedPowerKw is not a finite number: send null when there is none; "
            "batterySoc is a text that is not a number: send a number, without a unit",
        )
    ]


async def test_every_message_of_modern_firmware_ends_as_it_must(whole: Whole) -> None:
    samples = field_samples()
    await deliver(whole, *((sample.topic, sample.payload) for sample in samples))
    outcomes = Counter(sample.expect for sample in samples)
    assert counted(whole)["dead_lettered"] == outcomes["dead_letter"]
    assert counted(whole)["flawed"] == 0


async def test_a_ven_with_a_slow_clock_is_online_counts_and_is_named(whole: Whole) -> None:
    slow = time.time() - 400
    await deliver(whole, *(("volttron/metering", telemetry("slow", slow + n, 2.5)) for n in range(5)))
    stats = await stats_now(whole)
    assert (stats["onlineVens"], stats["householdUsageKw"]) == (1, 2.5)
    metrics = whole.ingest.get("/metrics")[1]
    assert 'ecs_ingest_clock_offset_seconds{fault="behind",ven="slow"} 39' in metrics


async def test_a_will_with_an_old_time_takes_its_ven_offline(whole: Whole) -> None:
    now = time.time()
    will = f'{{"status":"offline","timestamp":{now - 7000}}}'.encode()
    await deliver(whole, ("volttron/metering", telemetry("w", now, 1.0)), ("ven/status/w", b"online"))
    assert whole.get("/fleet/w")["online"]
    await deliver(whole, ("ven/status/w", will))
    assert (whole.get("/fleet/w")["online"], whole.get("/fleet/w")["status"]) == (False, "offline")
    # It comes back, and dies again with the same will; also across a restart of ingest.
    await deliver(whole, ("volttron/metering", telemetry("w", now + 1, 1.0)), ("ven/status/w", b"online"))
    assert whole.get("/fleet/w")["online"]
    assert await asyncio.to_thread(whole.ingest.process.stop) == 0
    whole.ingest.again()
    whole.ingest.wait_ready()
    assert whole.get("/fleet/w")["online"]
    await deliver(whole, ("ven/status/w", will))
    assert not whole.get("/fleet/w")["online"]
    assert (await stats_now(whole))["householdUsageKw"] == 0


async def test_a_retained_reading_is_not_a_sign_of_life(
    tmp_path: Path, database: Database, broker: Address, unique: str
) -> None:
    import aiomqtt

    topic = f"{unique}/oadr/meter/kept"
    old = telemetry("kept", time.time() - 4000, 5.0)
    async with aiomqtt.Client(*broker) as client:
        await client.publish(topic, old, qos=1, retain=True)
    whole = Whole(tmp_path, database, broker, unique)
    try:
        await eventually(lambda: whole.ingest.metric("stored_total") == 1)
        kept = whole.get("/fleet/kept")
        assert (kept["online"], kept["usedPowerKw"]) == (False, 5.0)
        assert (await stats_now(whole))["householdUsageKw"] == 0
        async with aiomqtt.Client(*broker) as client:
            await client.publish(topic, b"", qos=1, retain=True)
        await eventually(lambda: whole.ingest.metric("ignored_total") == 1)
    finally:
        whole.api.kill()
        whole.ingest.process.kill()


async def test_a_ven_that_repeats_an_old_reading_stops_counting(whole: Whole, database: Database) -> None:
    frozen = ("volttron/metering", telemetry("frozen", time.time() - 9000, 5.0))
    await deliver(whole, frozen)
    assert (await stats_now(whole))["householdUsageKw"] == 5.0
    # As if that had been an hour ago.
    execute(database, "UPDATE vens SET telemetry_received_at = telemetry_received_at - interval '1 hour'")
    await deliver(whole, frozen)
    stats = await stats_now(whole)
    assert (stats["onlineVens"], stats["householdUsageKw"]) == (1, 0)
