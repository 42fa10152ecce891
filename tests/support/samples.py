"""Messages for tests: the field's own, and made ones."""

import json
import re
import time
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from ingest.message import DeadLetter, Message
from ingest.receive.decode import Decoder
from ingest.receive.refusal import DecodeError
from ingest.receive.topics import TopicMap
from shared.config import Mqtt
from tests.support.model import R

MQTT = Mqtt(host="unused")
RETENTION_DAYS = 30
# A Monday in September 2026, for tests that need no clock.
NOW = 1_790_000_000


def decoder(settings: Mqtt = MQTT, **changes: Any) -> Decoder:
    """A decoder of `settings` with some of them changed."""
    settings = msgspec.structs.replace(settings, **changes)
    return Decoder(TopicMap(settings), settings, RETENTION_DAYS)


DECODER = decoder()


class Sample(NamedTuple):
    """One line of messages.jsonl or dialects.jsonl, with its times filled in.

    `flawed`: something is left out of it; `samples`: of how many loads (None: the line does not say); `rows`: how
    many readings it is; `status`: the VEN's status afterwards.
    """

    topic: str
    payload: bytes
    expect: str
    flawed: bool = False
    samples: int | None = None
    rows: int = 1
    status: str | None = None


def field_samples(now: float | None = None) -> list[Sample]:
    """Messages as firmware in the field sends them, each with its expected outcome."""
    now = time.time() if now is None else now
    iso = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now))
    replaced = {"NOW": int(now), "NOW_MS": int(now * 1000), "NOW_ISO": iso}
    lines = (Path(__file__).parent / "messages.jsonl").read_text(encoding="utf-8").splitlines()
    samples = []
    for line in lines:
        entry = json.loads(line)
        payload = entry["payload"]
        if isinstance(payload, dict):
            payload = {k: replaced.get(v, v) if isinstance(v, str) else v for k, v in payload.items()}
        samples.append(Sample(entry["topic"], json.dumps(payload).encode(), entry["expect"]))
    return samples


def dialect_samples(now: float | None = None) -> list[Sample]:
    """Messages that do not quite follow the contract, each with its expected outcome."""
    now = time.time() if now is None else now
    samples = []
    for line in (Path(__file__).parent / "dialects.jsonl").read_text(encoding="utf-8").splitlines():
        entry = json.loads(line)
        raw = re.sub(r"@NOW_MS@", str(int(now * 1000)), entry.pop("raw"))
        raw = re.sub(r"@NOW([+-]\d+)?@", lambda at: str(int(now) + int(at[1] or 0)), raw)
        samples.append(Sample(payload=raw.encode(), **entry))
    return samples


def telemetry(ven_id: str, ts: float, used: float, **fields: Any) -> bytes:
    """A telemetry payload; `loads` as {id: kW} or a list of full loads."""
    loads = fields.pop("loads", None)
    if isinstance(loads, dict):
        loads = [{"id": load_id, "currentPowerKw": power} for load_id, power in loads.items()]
    body = {"venId": ven_id, "timestamp": ts, "usedPowerKw": used, "loads": loads, **fields}
    return json.dumps({name: value for name, value in body.items() if value is not None}).encode()


def payload_of(r: R) -> bytes:
    """A model's reading as a VEN would send it."""
    loads = None
    if r.loads is not None:
        loads = [{"id": name, "currentPowerKw": used, "shedPowerKw": shed} for name, used, shed in r.loads]
    return telemetry(
        r.ven,
        r.ts,
        r.used,
        shedPowerKw=r.shed,
        requestedReductionKw=r.requested,
        eventId=r.event,
        loads=loads,
    )


def message(
    topic: str, payload: bytes | dict[str, Any], *, received_at: float | None = None, **delivery: Any
) -> Message:
    """A message as the subscriber would hand it on: received at `received_at` (s since the epoch), decoded."""
    raw = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    arrival = round((time.time() if received_at is None else received_at) * 1e6)
    given = {"qos": 1, "mid": 1, "dup": False, "retain": False, "generation": 1, **delivery}
    made = Message(topic, raw, received_at=arrival, **given)
    try:
        made.take(DECODER.decode(topic, raw, arrival))
    except DecodeError as exc:
        made.content = DeadLetter(str(exc), exc.ven_id)
    return made


def reading(ven_id: str, ts: float, used: float, **fields: Any) -> Message:
    """A telemetry message, decoded."""
    return message("volttron/metering", telemetry(ven_id, ts, used, **fields))


def status(ven_id: str, value: str, ts: float | None = None, **delivery: Any) -> Message:
    """A status message, decoded."""
    body = {"status": value} if ts is None else {"status": value, "timestamp": ts}
    return message(f"ven/status/{ven_id}", body, **delivery)


def snapshot(ven_id: str, ts: float, *loads: dict[str, Any]) -> Message:
    """A load snapshot, decoded."""
    return message(f"ven/loads/{ven_id}", {"timestamp": ts, "loads": list(loads)})
