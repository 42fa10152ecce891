"""What real firmware sends: each dialect is understood, and a defect costs the part that it is in."""

import json
import re
import time
from typing import Any

import pytest

from ingest.message import DeadLetter, Ignored, Message, Reading, Snapshot, StatusReport, singly
from tests.support.samples import MQTT, NOW, Sample, decoder, dialect_samples, message

KINDS = {
    "telemetry": Reading,
    "loads": Snapshot,
    "status": StatusReport,
    "ignored": Ignored,
    "dead_letter": DeadLetter,
}


def metering(raw: str | bytes) -> Message:
    return message("volttron/metering", raw if isinstance(raw, bytes) else raw.encode(), received_at=NOW)


def reading(**fields: Any) -> Any:
    return metering(json.dumps({"venId": "v", "timestamp": NOW, "usedPowerKw": 1, **fields})).content


def status(raw: str) -> Any:
    return message("ven/status/v", raw.encode(), received_at=NOW).content


def _named(sample: Sample) -> str:
    """A test's name, the same whenever tests are collected: payloads tell the time."""
    return re.sub(r"\d{9,}", "now", sample.payload.decode(errors="replace"))[:40]


@pytest.mark.parametrize("sample", dialect_samples(NOW), ids=_named)
def test_each_dialect_has_the_expected_content(sample: Sample) -> None:
    singles = singly([message(sample.topic, sample.payload, received_at=NOW)])
    contents = [m.content for m in singles if isinstance(m.content, KINDS[sample.expect])]
    assert len(contents) == sample.rows, [getattr(m.content, "error", m.content) for m in singles]
    assert any(getattr(content, "flaws", ()) for content in contents) is sample.flawed
    if sample.samples is not None:
        assert sum(c.sample_count for c in contents if isinstance(c, Reading)) == sample.samples
    if sample.status is not None:
        assert [c.status for c in contents if isinstance(c, StatusReport)] == [sample.status]


@pytest.mark.parametrize(
    ("fields", "flaw"),
    [
        ({"batterySoc": "12,5"}, "batterySoc has a comma: write the decimals after a point"),
        ({"batterySoc": "12 %"}, "batterySoc is a text that is not a number: send a number, without a unit"),
        ({"batterySoc": True}, "batterySoc is not a number"),
        (
            {"shedPowerKw": float("nan")},
            "shedPowerKw is not a finite number: send null when there is none",
        ),
        ({"shed_kw": 2e6}, "shedPowerKw is beyond ±1,000,000 kW: send kilowatts"),
        ({"eventId": "a\nb"}, "eventId must have 1 to 128 characters, none of them a control character"),
        ({"loads": [{"id": "a", "currentPowerKw": 1}, {"id": "b"}]}, "loads[1].currentPowerKw is missing"),
        ({"loads": [{"currentPowerKw": 1}]}, "loads[0].loadId is missing"),
        ({"loads": [{"id": "a", "currentPowerKw": 1}] * 2}, "loads[1] names a load that stands before it"),
        (
            {"loads": [{"id": "a", "currentPowerKw": 1, "name": "\0"}]},
            "loads[0].name holds a NUL or half a character",
        ),
        ({"loads": 7}, "loads is not a list"),
    ],
)
def test_a_flaw_says_which_part_and_what_would_be_right(fields: dict[str, Any], flaw: str) -> None:
    assert reading(**fields).flaws == (flaw,)


def test_what_is_not_flawed_of_a_flawed_message_is_stored() -> None:
    loads = [
        {"id": "a", "currentPowerKw": "0.5", "capacityKw": "big"},
        {"id": "b"},
        {"loadId": "c", "currentPowerKw": 2},
    ]
    flawed = reading(batterySoc="full", shedPowerKw=0.25, eventId=9, loads=loads)
    assert (flawed.shed_power_kw, flawed.event_id, flawed.battery_soc) == (0.25, "9", None)
    kept = [(load.load_id, load.current_power_kw, load.capacity_kw) for load in flawed.loads]
    assert kept == [("a", 0.5, None), ("c", 2.0, None)]


def test_a_list_that_lost_a_load_is_not_complete() -> None:
    good, bad = {"id": "a", "currentPowerKw": 1}, {"id": "b"}
    assert (reading(loads=[good]).complete, reading(loads=[good, bad]).complete) == (True, False)
    assert reading(loads=[good, bad]).lists_loads
    assert reading(loads=[{**good, "capacityKw": "x"}]).complete
    assert not reading(loads=7).lists_loads


def test_only_the_first_flaws_of_many_are_told() -> None:
    assert reading(loads=[{}] * 9).flaws[-1] == "and 6 more"


def test_a_dialects_stored_payload_is_json_with_every_field() -> None:
    raw = (
        f'{{"venId":"v","timestamp":{NOW},' + r'"usedPowerKw":"1","soc":nan,"text":"\ud83d","n":{"a":[1.50]}}'
    )
    row = metering(raw).content.row  # type: ignore[union-attr]
    start = row.index(b'{"venId"')
    stored = json.loads(row[start : row.rindex(b"}") + 1])
    assert stored == {**stored, "soc": "NaN", "text": "\ud83d", "n": {"a": [1.5]}}


@pytest.mark.parametrize(
    ("raw", "complaint"),
    [
        (b"\xff\xfe{\0}\0", "is UTF-16: send UTF-8"),
        (b'{"venId":"K\xfcche"}', "is not UTF-8: byte 11 is wrong"),
        (b'{"venId":"v","usedPo', "breaks off after 20 characters"),
        (b'{"venId":"v","usedPo": ', "breaks off after 22 characters"),
        (b'{"venId":"v";"usedPowerKw":1}', "character 13 does not belong there"),
        (b" \0 ", "is blank"),
        (b"17", "is not a JSON object"),
    ],
)
def test_what_is_not_json_is_refused_with_the_place(raw: bytes, complaint: str) -> None:
    content = metering(raw).content
    assert isinstance(content, DeadLetter)
    assert complaint in content.error


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        (NOW + 3300, "55.0 min ahead, more than the 300 s of MQTT_CLOCK_AHEAD: the VEN's clock or time zone"),
        (NOW + 7200, "2.0 h ahead"),
        (NOW - 40 * 86400, "40.0 days old, more than the 30 days of RAW_RETENTION_DAYS"),
        (12, "56.7 years old"),
        (NOW * 1e6, "too large: send Unix seconds or milliseconds"),
        ("2026-09-21", "a date without a time: send Unix seconds, Unix milliseconds or ISO 8601"),
        ("21.9.2026 14:13", "a text that is neither a number nor ISO 8601"),
        (True, "not a number or a text"),
        ("", "timestamp is missing"),
    ],
)
def test_a_time_is_refused_by_how_much_and_why(given: Any, complaint: str) -> None:
    content = reading(timestamp=given)
    assert isinstance(content, DeadLetter)
    assert complaint in content.error


def test_a_time_without_offset_is_in_the_zone_of_the_setting() -> None:
    body = b'{"venId":"v","timestamp":"2026-09-21T14:13:20","usedPowerKw":1}'
    later = NOW * 1_000_000 + 1
    in_utc = decoder(MQTT).decode("volttron/metering", body, later)
    berlin = decoder(MQTT, naive_timezone="Europe/Berlin").decode("volttron/metering", body, later)
    assert isinstance(in_utc, Reading)
    assert isinstance(berlin, Reading)
    assert in_utc.ts - berlin.ts == 2 * 3600 * 1_000_000
    with pytest.raises(Exception, match="no offset, which MQTT_NAIVE_TIMEZONE refuses: add Z"):
        decoder(MQTT, naive_timezone="refuse").decode("volttron/metering", body, later)


def test_how_far_ahead_a_clock_may_be_is_a_setting() -> None:
    body = b'{"venId":"v","timestamp":%d,"usedPowerKw":1}' % (NOW + 3000)
    assert decoder(MQTT, clock_ahead=3600).decode("volttron/metering", body, NOW * 1_000_000)


def test_a_status_in_any_writing_is_trimmed_and_lower_case() -> None:
    written = [
        "Offline",
        ' "OFFLINE" ',
        "false",
        "0",
        '{"state":0}',
        '{"ven":" offline"}',
        '{"status":false}',
    ]
    assert {status(raw).status for raw in written} == {"offline"}
    assert {status(raw).offline for raw in written} == {True}
    assert {status(raw).status for raw in ("true", "1", '"true"', '{"status":1}')} == {"online"}
    assert not status("maintenance").offline


def test_which_statuses_mean_offline_is_a_setting() -> None:
    asleep = decoder(MQTT, offline_statuses="Asleep, gone").decode("ven/status/v", b"asleep", 1)
    assert isinstance(asleep, StatusReport)
    assert asleep.offline


def test_details_keep_fields_and_replace_what_jsonb_cannot_hold() -> None:
    report = status(r'{"status":"on","a":{"b":["\u0000"]},"c":"\ud83d"}')
    assert json.loads(report.details) == {"a": {"b": ["\ufffd"]}, "c": "?"}
    assert report.flaws == ("details hold a NUL or half a character, which is replaced",)


def test_a_will_with_an_unset_clock_counts_without_a_time() -> None:
    will = status('{"status":"offline","ts":0}')
    assert (will.ts, will.offline) == (None, True)
    assert will.flaws[0].startswith("timestamp is 56.7 years old")


def test_the_objects_of_an_array_are_read_each_by_itself() -> None:
    whole = message(
        "oadr/meter/v",
        b'[{"timestamp":%d,"usedPowerKw":1},{"timestamp":1},{"venId":"w"}]' % NOW,
        received_at=NOW,
    )
    kinds = [type(part.content) for part in whole.parts]
    assert kinds == [Reading, DeadLetter, DeadLetter]
    assert [part.payload for part in whole.parts][1] == b'{"timestamp":1}'
    assert (whole.parts[0].mid, whole.parts[0].topic) == (whole.mid, whole.topic)


def test_a_message_of_an_unknown_topic_is_ignored() -> None:
    assert isinstance(message("somewhere/else", b"{}").content, Ignored)


def test_an_empty_payload_is_ignored() -> None:
    assert isinstance(message("volttron/dev", b"").content, Ignored)


def test_careful_and_plain_read_a_modern_message_alike() -> None:
    body = {
        "venId": "v",
        "timestamp": time.time(),
        "usedPowerKw": -1.5,
        "shedPowerKw": 0.5,
        "batterySoc": 0.1,
    }
    body |= {"loads": [{"loadId": "a", "type": "t", "name": "n", "currentPowerKw": 1, "capacityKw": 2}]}
    plain, careful = (
        message("volttron/metering", json.dumps(body | extra).encode()).content
        for extra in ({}, {"eventId": ""})
    )
    assert isinstance(plain, Reading)
    assert isinstance(careful, Reading)
    assert (plain.list_row, plain.description, plain.complete) == (
        careful.list_row,
        careful.description,
        careful.complete,
    )


def test_the_parts_of_an_array_waited_as_long_as_it_did() -> None:
    objects = [{"venId": "v", "timestamp": NOW + n, "usedPowerKw": 1} for n in range(2)]
    whole = message("volttron/metering", json.dumps(objects).encode(), received_at=NOW + 1, held=True)
    assert [part.held for part in whole.parts] == [True, True]
