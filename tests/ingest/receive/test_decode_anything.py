"""Whatever arrives is decoded or refused with a reason; nothing else may come of it."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.message import Ignored, Reading, Several, Snapshot, StatusReport
from ingest.receive import decode as decode_module
from ingest.receive.refusal import DecodeError
from tests.support.anything import bodies
from tests.support.samples import DECODER

# Thousands of made-up messages.
pytestmark = pytest.mark.slow

NOW = 1_790_000_000
TOPICS = (
    "volttron/metering",
    "oadr/meter/v",
    "ven/loads/v",
    "volttron/dev",
    "ven/status/v",
    "ven/status/",
    "else/where",
)


def decode(topic: str, payload: bytes) -> None:
    try:
        content: object = DECODER.decode(topic, payload, NOW * 1_000_000)
    except DecodeError as refusal:
        content = str(refusal)
    assert content
    assert isinstance(content, Reading | Snapshot | StatusReport | Several | Ignored | str)


@settings(max_examples=400, deadline=None, derandomize=True)
@given(st.sampled_from(TOPICS), st.binary(max_size=200))
def test_any_bytes(topic: str, payload: bytes) -> None:
    decode(topic, payload)


@settings(max_examples=1500, deadline=None, derandomize=True)
@given(st.sampled_from(TOPICS), bodies(NOW))
def test_any_json_of_the_known_names(topic: str, body: dict[str, Any]) -> None:
    decode(topic, json.dumps(body).encode(errors="surrogatepass"))


@settings(max_examples=400, deadline=None, derandomize=True)
@given(st.text(max_size=30), bodies(NOW))
def test_any_topic(topic: str, body: dict[str, Any]) -> None:
    decode(topic, json.dumps(body).encode())


@settings(max_examples=600, deadline=None, derandomize=True)
@given(
    st.sampled_from(TOPICS),
    bodies(NOW),
    st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), max_size=4),
)
def test_any_message_with_some_bytes_changed(
    topic: str, body: dict[str, Any], changes: list[tuple[int, int]]
) -> None:
    payload = bytearray(json.dumps({"venId": "v", "timestamp": NOW, "usedPowerKw": 1, **body}).encode())
    for at, value in changes:
        payload[at % len(payload)] = value
    decode(topic, bytes(payload))


# Few words, so that many messages are plain, and some are nearly.
near_plain = st.text(st.sampled_from('ab\\"/\x7f\x1fä'), max_size=3)
near_plain_loads = st.lists(
    st.fixed_dictionaries(
        {"currentPowerKw": st.just(1)},
        optional=dict.fromkeys(("id", "loadId", "type", "name"), near_plain),
    ),
    min_size=1,
    max_size=3,
)


@settings(max_examples=1500, deadline=None, derandomize=True)
@given(st.sampled_from(("volttron/metering", "ven/loads/v")), near_plain_loads, st.booleans())
def test_the_short_way_for_plain_messages_finds_the_same(
    topic: str, loads: list[dict[str, Any]], escaped: bool
) -> None:
    body = {"venId": "v", "timestamp": NOW, "usedPowerKw": 1, "loads": loads}
    payload = json.dumps(body, ensure_ascii=escaped).encode()
    taken = outcome(topic, payload)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(decode_module, "is_plain", lambda _: False)
        assert outcome(topic, payload) == taken


def outcome(topic: str, payload: bytes) -> object:
    try:
        content = DECODER.decode(topic, payload, NOW * 1_000_000)
    except DecodeError as refusal:
        return str(refusal)
    if isinstance(content, Reading):
        return content.row, content.list_row, content.description
    assert isinstance(content, Snapshot)
    return content.loads
