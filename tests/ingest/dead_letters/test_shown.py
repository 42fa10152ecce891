"""Where a dead letter's payload is pointed at."""

import pytest

from ingest.dead_letters.shown import pointed_at
from ingest.receive.refusal import DecodeError
from tests.support.samples import DECODER, NOW


def shown(payload: str) -> list[str]:
    with pytest.raises(DecodeError) as refused:
        DECODER.decode("volttron/metering", payload.encode(), NOW * 1_000_000)
    return pointed_at(payload.encode(), str(refused.value)).splitlines()


@pytest.mark.parametrize(
    ("payload", "field"),
    [
        ('{"venId": "v", "timestamp": 1, "usedPowerKw": 1}', "timestamp"),
        ('{"venId": "v", "ts": "soon", "usedPowerKw": 1}', "ts"),
        (
            '{"loads": [{"usedPowerKw": 1}], "venId": "v", "timestamp": 1790000000, "usedPowerKw": "much"}',
            "usedPowerKw",
        ),
        ('{"venId": "a/b", "timestamp": 1790000000, "usedPowerKw": 1}', "venId"),
    ],
)
def test_the_field_that_is_wrong(payload: str, field: str) -> None:
    (line,) = [line for line in shown(payload) if "<--" in line]
    assert line.startswith(f'  "{field}": ')


def test_a_field_that_is_missing_is_said_at_the_beginning() -> None:
    first = shown('{"venId": "v", "usedPowerKw": 1}')[0]
    assert first == "{  <-- timestamp is missing"


def test_the_character_that_does_not_belong() -> None:
    text, pointer = shown('{"venId": "v", oops}')
    assert text[pointer.index("^")] == "o"
    assert pointer.endswith("character 16 does not belong there")


def test_the_end_where_it_breaks_off() -> None:
    text, pointer = shown("{" + '"a": 1, ' * 40)
    assert pointer.index("^") >= len(text.rstrip())
    assert text.startswith("...")


def test_an_entry_of_a_list() -> None:
    payload = b'{"loads": [{"id": "a"}, {"id": "b"}], "x": [1, 2]}'
    lines = pointed_at(payload, "loads[1].currentPowerKw is missing").splitlines()
    (at,) = [n for n, line in enumerate(lines) if "<--" in line]
    assert '"id": "b"' in lines[at + 1]


@pytest.mark.parametrize("payload", [b"", b"\xff\xfe\x00", b"[" * 5000, b"7", b'"\x1b[2J"', b"[1]"])
def test_whatever_it_is_it_can_be_shown(payload: bytes) -> None:
    text = pointed_at(payload, "the message is not UTF-8: byte 0 is wrong")
    assert "byte 0 is wrong" in text
    assert "\x1b" not in text
