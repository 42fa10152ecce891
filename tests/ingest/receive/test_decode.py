"""Decoding: which messages the MQTT contract accepts, and which become dead letters."""

import json
import time
from typing import Any

import pytest

from ingest.message import Reading, Snapshot, StatusReport
from ingest.receive.decode import Decoder
from ingest.receive.refusal import DecodeError
from ingest.receive.topics import Kind, TopicMap
from shared.config import Mqtt
from shared.errors import SettingsError
from tests.support.samples import DECODER, NOW, field_samples

NOW_US = NOW * 1_000_000
GOOD: dict[str, Any] = {"venId": "v1", "timestamp": NOW, "usedPowerKw": 1.5}
KINDS = {"telemetry": Reading, "loads": Snapshot, "status": StatusReport}


def decode(topic: str, payload: Any, decoder: Decoder = DECODER) -> Any:
    raw = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    return decoder.decode(topic, raw, NOW_US)


def metering(**changes: Any) -> Any:
    return decode("volttron/metering", {**GOOD, **changes})


@pytest.mark.parametrize("sample", field_samples(), ids=lambda s: f"{s.topic}-{s.expect}")
def test_each_message_of_the_field_has_the_expected_content(sample: Any) -> None:
    arrival = round(time.time() * 1e6)
    if sample.expect == "dead_letter":
        with pytest.raises(DecodeError):
            DECODER.decode(sample.topic, sample.payload, arrival)
    else:
        assert type(DECODER.decode(sample.topic, sample.payload, arrival)) is KINDS[sample.expect]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (NOW, NOW_US),
        (int(NOW), NOW_US),
        (NOW + 0.25, NOW_US + 250_000),
        (NOW * 1000 + 7, NOW_US + 7_000),
        ("2026-09-21T14:13:20Z", NOW_US),
        ("2026-09-21T14:13:20", NOW_US),
        ("2026-09-21T16:13:20.5+02:00", NOW_US + 500_000),
    ],
)
def test_timestamps_in_every_spelling_are_the_same_instant(given: Any, expected: int) -> None:
    assert metering(timestamp=given).ts == expected


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        (NOW + 301, "more than the 300 s of MQTT_CLOCK_AHEAD"),
        (NOW - 30 * 86400 - 1, "more than the 30 days of RAW_RETENTION_DAYS"),
        ("yesterday", "neither a number nor ISO 8601"),
        (True, "timestamp"),
        (10**400, "timestamp"),
        (None, "timestamp is missing"),
    ],
)
def test_implausible_timestamps_are_refused_with_the_reason(given: Any, complaint: str) -> None:
    with pytest.raises(DecodeError, match=complaint):
        metering(timestamp=given)


def test_times_at_the_edge_of_the_contract_are_taken() -> None:
    assert metering(timestamp=NOW + 300).ts == NOW_US + 300_000_000
    assert metering(timestamp=NOW - 30 * 86400).ts == NOW_US - 30 * 86_400_000_000


def test_older_names_count_only_where_the_modern_is_missing() -> None:
    old = decode(
        "oadr/meter/v9", {"ts": NOW * 1000, "power_kw": -3.2, "shed_kw": 0.4, "batterySOC": 0.5, "loads": []}
    )
    assert (old.ven_id, old.ts, old.used_power_kw, old.shed_power_kw) == ("v9", NOW_US, -3.2, 0.4)
    assert (old.battery_soc, old.lists_loads, old.description) == (0.5, True, None)
    both = metering(power_kw="nonsense", ts="nonsense", shed_kw=9, shedPowerKw=0.5)
    assert (both.used_power_kw, both.ts, both.shed_power_kw) == (1.5, NOW_US, 0.5)
    with pytest.raises(DecodeError, match="usedPowerKw is a text that is not a number"):
        decode("volttron/metering", {"venId": "v", "timestamp": NOW, "power_kw": "nonsense"})


def test_shed_power_not_sent_is_zero() -> None:
    assert metering().shed_power_kw == 0.0


@pytest.mark.parametrize("bad", ["", "x" * 129, "a/b", "a\nb", "a\x00b", "a\x7f"])
def test_a_ven_id_that_cannot_be_used_is_refused(bad: str) -> None:
    with pytest.raises(DecodeError, match=r"1 to 128 characters|venId is missing|venId holds a /"):
        metering(venId=bad)


@pytest.mark.parametrize("bad", ["", "x" * 129, "a\nb", "a\x00b", "a\x7f"])
def test_an_unusable_id_of_an_event_or_a_load_costs_that_part(bad: str) -> None:
    assert metering(eventId=bad).event_id is None
    for name in ("id", "loadId"):
        taken = metering(loads=[{name: bad, "currentPowerKw": 1}, {"id": "b", "currentPowerKw": 1}])
        assert (taken.sample_count, taken.complete) == (1, False)


def test_ids_of_events_and_loads_may_hold_slashes() -> None:
    taken = metering(eventId="http://vtn/7", loads=[{"id": "panel/1", "currentPowerKw": 1}])
    assert (taken.event_id, taken.sample_count, taken.flaws) == ("http://vtn/7", 1, ())


def test_an_id_of_128_characters_of_any_script_is_taken() -> None:
    assert metering(venId="ø" * 128).ven_id == "ø" * 128


@pytest.mark.parametrize("raw", [b"NaN", b"Infinity", b"-1e999", b"1e999", b"1000000.1", b"-1000001"])
def test_powers_that_are_none_are_left_out_or_refused(raw: bytes) -> None:
    fields = json.dumps({"venId": "v", "timestamp": NOW}).encode()[:-1]
    with pytest.raises(DecodeError, match="usedPowerKw is"):
        decode("volttron/metering", fields + b', "usedPowerKw": %s}' % raw)
    fields += b', "usedPowerKw": 1, "shedPowerKw": %s, "requestedReductionKw": %s' % (raw, raw)
    taken = decode("volttron/metering", fields + b', "loads":[{"id":"a","currentPowerKw":%s}]}' % raw)
    assert (taken.shed_power_kw, taken.requested_reduction_kw, taken.sample_count) == (0, None, 0)
    assert len(taken.flaws) == 3


def test_the_ven_of_payload_and_topic_must_agree() -> None:
    assert decode("oadr/meter/v1", GOOD).ven_id == "v1"
    with pytest.raises(DecodeError, match="is not the VEN of the topic"):
        decode("oadr/meter/v2", GOOD)
    with pytest.raises(DecodeError, match="venId is missing"):
        decode("volttron/metering", {"timestamp": NOW, "usedPowerKw": 1})


def test_statuses_take_both_names_and_keep_other_fields() -> None:
    report = decode(
        "volttron/dev", {"ven": "offline", "venId": "v", "ts": NOW, "firmware": "2", "details": {"a": 1}}
    )
    assert (report.status, report.ts, report.details) == ("offline", NOW_US, '{"firmware":"2","a":1}')
    bare = decode("ven/status/v", {"status": "online"})
    assert (bare.ts, bare.details) == (None, None)
    harmless = decode("ven/status/v", rb'{"status":"a","x":"\\u0000"}')
    assert harmless.details == r'{"x":"\\u0000"}'


@pytest.mark.parametrize(
    ("topic", "payload", "complaint"),
    [
        ("volttron/metering", b'{"venId": "v', "not JSON"),
        ("volttron/metering", b'{"x": "\xff"}', "not UTF-8: byte 7"),
        ("volttron/metering", b'{"venId": "\\ud800"}', "venId must have"),
        ("volttron/metering", b'{"a":' * 20_000, "nested too deeply"),
        ("volttron/dev", b"[" * 100_000, "nested too deeply"),
        ("volttron/metering", b" " * (128 * 1024 + 1), "131073 bytes; at most 131072"),
        ("ven/loads/v", b'{"timestamp":1790000000}', "loads is missing"),
        ("ven/status/v", b"[]", "not a JSON object"),
        ("ven/status/v", b'{"status":7}', "status is not a text"),
    ],
)
def test_garbage_is_refused_with_a_reason_a_person_understands(
    topic: str, payload: bytes, complaint: str
) -> None:
    with pytest.raises(DecodeError, match=complaint):
        decode(topic, payload)


def test_filters_of_ones_own_find_kind_and_ven() -> None:
    topics = TopicMap(Mqtt(host="x", topic_metering="a/+/b, c/#", topic_status="s/+"))
    assert [each for each in topics.filters if each[0] in "acs"] == ["a/+/b", "c/#", "s/+"]
    assert topics.find("a/v1/b") == (Kind.TELEMETRY, "v1")
    assert topics.find("c/d/e") == (Kind.TELEMETRY, None)
    assert topics.find("a/v1") is None


def test_several_wildcards_need_the_level_of_the_ven() -> None:
    topics = TopicMap(Mqtt(host="x", topic_metering="site/+/ven/{venId}/meter, {venId}/+/x/#"))
    assert topics.filters[:2] == ["site/+/ven/+/meter", "+/+/x/#"]
    assert topics.find("site/s1/ven/v1/meter") == (Kind.TELEMETRY, "v1")
    assert topics.find("v2/y/x/z") == (Kind.TELEMETRY, "v2")


@pytest.mark.parametrize(
    ("topic_filter", "complaint"),
    [
        ("a/b+", "is not an MQTT topic filter"),
        ("site/+/ven/+", "has several .: write {venId} for the one that names the VEN"),
        ("{venId}/{venId}", "must hold {venId} once"),
        ("ven-{venId}", "as a whole level"),
    ],
)
def test_an_unusable_filter_stops_the_start_with_a_line(topic_filter: str, complaint: str) -> None:
    with pytest.raises(SettingsError, match=f"MQTT_TOPIC_LOADS: .*{complaint}"):
        TopicMap(Mqtt(host="x", topic_loads=topic_filter))
