"""The log on a terminal: figures that suit their room, sentences that go on below themselves, colours."""

import re
from collections.abc import Mapping
from typing import Any

import pytest

from shared import logs
from shared.config import Log
from shared.terminal import Lines, Renderer, duration, number

RECORD = {"time": "2026-11-25T02:14:07.123456Z", "level": "warning", "service": "api", "event": "e"}


def said(width: int, lines: Lines | None = None, *, colours: bool = False, **fields: Any) -> str:
    return Renderer(lines or Lines(), lambda: width, colours=colours)(None, "", {**RECORD, **fields})


@pytest.mark.parametrize(
    ("value", "room", "text"),
    [
        (None, 5, "-"),
        (0, 5, "0"),
        (9999, 5, "9,999"),
        (22_661, 5, "22.7k"),
        (203_949, 5, "204k"),
        (203_949, 9, "203,949"),
        (999_960, 5, "1000k"),
        (1_234_567, 4, "1.2M"),
        (12_345_678_901, 4, "12G"),
    ],
)
def test_a_number_fits_its_room(value: float | None, room: int, text: str) -> None:
    assert number(value, room) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "-"),
        (-3, "0.0 s"),
        (0.24, "0.2 s"),
        (42, "42 s"),
        (200, "3 min"),
        (40_000, "11 h"),
        (9e5, "10 d"),
    ],
)
def test_a_duration_has_the_unit_that_suits_it(seconds: float | None, text: str) -> None:
    assert duration(seconds) == text


def test_an_event_without_a_sentence_shows_its_fields() -> None:
    assert said(200, reference="r7", status=503) == "02:14:07 api     e reference=r7 status=503"


def test_a_long_sentence_goes_on_below_itself() -> None:
    text = said(40, Lines(sentences={"e": lambda _: "one two three four five six seven eight"}))
    first, second = text.splitlines()
    assert first == "02:14:07 api     one two three four"
    assert second == "                 five six seven eight"


def test_a_topic_cannot_steer_the_terminal() -> None:
    assert "\x1b" not in said(200, topic="\x1b[2J\x07")


def test_colours_say_what_is_wrong_and_what_is_over() -> None:
    lines = Lines(sentences={"e": lambda _: "text"}, good=frozenset({"e"}))
    assert said(80, lines, colours=True).endswith("\x1b[32mtext\x1b[0m")
    assert said(80, colours=True).endswith("\x1b[1;33me\x1b[0m")
    assert "\x1b" not in said(80)


@pytest.mark.parametrize(("no_color", "colourful"), [("", True), ("1", False)])
def test_no_color_takes_the_colours(monkeypatch: pytest.MonkeyPatch, no_color: str, colourful: bool) -> None:
    monkeypatch.setenv("NO_COLOR", no_color)
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    render = logs.rendering(Log())[-1]
    assert ("\x1b" in render(None, "", RECORD)) is colourful


def test_a_pipe_gets_json_with_what_all_have_first() -> None:
    record: Mapping[str, Any] = {"b": 1, "event": "e", "service": "s", "level": "info", "time": "t"}
    for process in logs.rendering(Log()):
        record = process(None, "", dict(record)) if not isinstance(record, str) else record
    assert re.sub(r"\s", "", str(record)) == '{"time":"t","level":"info","service":"s","event":"e","b":1}'
