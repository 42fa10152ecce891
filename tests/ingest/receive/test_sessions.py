"""A session whose settings change, and a session that `leave` ends."""

import json
import os
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from shared.config import Database
from tests.support.ingest_process import Ingesting, publish
from tests.support.samples import telemetry
from tests.support.servers import Address, eventually, execute


def noted(database: Database) -> list[str]:
    rows = execute(database, "SELECT unnest(filters) FROM mqtt_sessions ORDER BY 1")
    return [row[0] for row in rows]


def settled(database: Database, *, shared: bool) -> bool:
    filters = noted(database)
    return len(filters) == 5 and all(each.startswith("$share/") is shared for each in filters)


async def test_a_filter_taken_out_is_unsubscribed_at_the_next_start(
    ingesting: Ingesting, broker: Address, database: Database, unique: str
) -> None:
    await eventually(lambda: len(noted(database)) == 5)
    assert ingesting.process.stop() == 0
    await publish(broker, unique, ("ven/loads/v", b'{"timestamp":1,"loads":[]}'))
    ingesting.env["MQTT_TOPIC_LOADS"] = f"{unique}/other/+"
    ingesting.again()
    ingesting.wait_ready()
    # What waited in the session is ignored, and counted; it is not a dead letter.
    await eventually(lambda: ingesting.metric("ignored_total") == 1)
    await eventually(lambda: ingesting.events("unsubscribed") != [])
    assert ingesting.events("unsubscribed")[0]["filters"] == [f"{unique}/ven/loads/+"]
    await eventually(lambda: f"{unique}/other/+" in noted(database) and len(noted(database)) == 5)
    await publish(broker, unique, ("ven/loads/v", b"{}"), ("ven/status/v", b"online"))
    await eventually(lambda: ingesting.metric("stored_total") == 1)
    assert (ingesting.metric("ignored_total"), ingesting.metric("dead_lettered_total")) == (1, 0)


@pytest.mark.parametrize(("before", "after"), [("", "g"), ("g", "")])
async def test_switching_a_shared_group_leaves_no_subscription_behind(
    ingesting: Ingesting, broker: Address, database: Database, unique: str, before: str, after: str
) -> None:
    for group in (before, after):
        assert ingesting.process.stop() == 0
        ingesting.env.pop("MQTT_SHARED_GROUP", None)
        if group:
            ingesting.env["MQTT_SHARED_GROUP"] = f"{group}-{unique}"
        ingesting.again()
        ingesting.wait_ready()
        await eventually(partial(settled, database, shared=bool(group)))
    await publish(broker, unique, ("ven/status/v", b"online"))
    await eventually(lambda: ingesting.metric("stored_total") >= 1)
    assert ingesting.metric("duplicate_total") == 0


def leave(ingesting: Ingesting, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "ingest.leave", *arguments],
        env={**os.environ, **ingesting.env},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


async def test_leaving_writes_what_is_held_and_ends_the_session(
    tmp_path: Path, database: Database, broker: Address, unique: str
) -> None:
    settings: dict[str, Any] = {"shared_group": unique}
    lost = Ingesting(tmp_path, database, broker, unique, **settings, client_id=f"{unique}-lost")
    lost.wait_ready()
    lost.process.kill()
    held = [("volttron/metering", telemetry("v", 1_790_000_000 + n, n)) for n in range(300)]
    await publish(broker, unique, *held)
    done = leave(lost, "--client-id", f"{unique}-lost")
    assert done.returncode == 0, done.stderr + done.stdout
    said = [json.loads(line) for line in done.stderr.splitlines()]
    assert [line["messages"] for line in said if line["event"] == "left"] == [300]
    stored = execute(
        database, "SELECT (SELECT count(*) FROM ven_telemetry) + (SELECT count(*) FROM dead_letters)"
    )
    assert stored == [(300,)]
    assert noted(database) == []
    # The session is gone: nothing is kept for it any more.
    await publish(broker, unique, ("volttron/metering", b"{}"))
    lost.again()
    await eventually(lambda: lost.events("broker_connected") != [])
    assert [event["session_present"] for event in lost.events("broker_connected")] == [False]
    lost.process.kill()


def test_leaving_without_a_broker_says_so(tmp_path: Path, database: Database, unique: str) -> None:
    nowhere = Ingesting(tmp_path, database, ("127.0.0.1", 1), unique)
    nowhere.process.kill()
    help_text = leave(nowhere, "--help")
    assert help_text.returncode == 0
    assert "--client-id" in help_text.stdout
