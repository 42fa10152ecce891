"""Tests of the helpers that other tests use."""

from pathlib import Path

import aiomqtt
import pytest

from shared.config import Database
from tests.support.servers import (
    Address,
    Process,
    as_environment,
    eventually,
    execute,
    new_database,
    wait_until,
)


def test_every_test_gets_a_migrated_database_of_its_own(
    postgres: Database, template: str, database: Database
) -> None:
    execute(database, "INSERT INTO vens (ven_id, first_seen_at) VALUES ('a', now())")
    with new_database(postgres, template) as other:
        assert execute(other, "SELECT count(*) FROM vens") == [(0,)]
    assert execute(postgres, "SELECT 1 FROM pg_database WHERE datname = %s", other.name) == []


async def test_the_broker_passes_messages_on(broker: Address, unique: str) -> None:
    async with aiomqtt.Client(*broker, identifier=unique) as client:
        await client.subscribe(unique, qos=1)
        await client.publish(unique, b"hello", qos=1)
        async for message in client.messages:
            assert message.payload == b"hello"
            break


def test_a_process_sees_only_the_settings_it_is_given(
    tmp_path: Path, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MQTT_HOST", "elsewhere.invalid")
    (tmp_path / "show.py").write_text("import os\nprint(os.environ['DB_NAME'], os.environ.get('MQTT_HOST'))")
    with Process(tmp_path, "show", env=as_environment(database)) as process:
        assert process.wait() == 0
        assert process.output().split() == [database.name, "None"]


async def test_waiting_for_what_never_comes_says_so() -> None:
    with pytest.raises(AssertionError, match="no luck"):
        wait_until(lambda: False, timeout=0.05, explain=lambda: "no luck")
    with pytest.raises(AssertionError, match="no luck"):
        await eventually(lambda: False, timeout=0.05, explain=lambda: "no luck")


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the system keeps no peak of memory")
def test_memory_that_a_process_has_given_back_counts(tmp_path: Path) -> None:
    (tmp_path / "burst.py").write_text("import time\nlen(b'x' * 2**28)\nprint('done')\ntime.sleep(60)")
    with Process(tmp_path, "burst", env={}) as process:
        wait_until(lambda: "done" in process.output())
        assert process.peak_mb() > 256
