"""How ingest's log reads on terminals of several widths."""

import re
from typing import Any

import pytest

from ingest.log_lines import LINES
from shared.terminal import Renderer
from tests.support.log_schema import field_types, listed

TIME = {"time": "2026-11-25T02:14:07.123456Z", "level": "info", "service": "ingest"}
FLUSH = {
    **TIME,
    "event": "flush",
    "seconds": 1.0,
    "messages": 22_661,
    "rows": 203_949,
    "batches": 17,
    "ms": 987.6,
    "median_ms": 41.2,
    "worst_ms": 1_203.0,
    "behind_s": 1.04,
    "unacked": 5061,
    "oldest_s": 0.241,
    "rollup_s": 12.5,
    "online": 9998,
    "dead_lettered": 0,
    "flawed": 12_345,
    "conflict": 3,
}
HUGE = {name: value * 1e7 if isinstance(value, int | float) else value for name, value in FLUSH.items()}
NARROW = """\
    time msg/s rows/s  write ms  hand oldest behind rollup  VENs dead flaw conf
02:14:07 22.7k 203.9k   41/1.2k 5,061  0.2 s  1.0 s   12 s 9,998    0  12k    3"""
WIDE = (
    "    time  messages/s    rows/s  write ms (worst)  in hand   oldest   behind   rollup    VENs    dead  flawed"
    "  conflict\n"
    "02:14:07      22,661   203,949          41/1,203    5,061    0.2 s    1.0 s     12 s   9,998       0  12,345"
    "         3"
)


def at(width: int, *, colours: bool = False) -> Renderer:
    return Renderer(LINES, lambda: width, colours=colours)


def shown(renderer: Renderer, record: dict[str, Any]) -> str:
    return renderer(None, "", record)


@pytest.mark.parametrize(("width", "text"), [(80, NARROW), (119, NARROW), (120, WIDE), (200, WIDE)])
def test_the_line_of_a_second(width: int, text: str) -> None:
    assert shown(at(width), FLUSH) == text


@pytest.mark.parametrize("width", [20, 40, 80, 120, 200])
@pytest.mark.parametrize("record", [FLUSH, HUGE], ids=["usual", "huge"])
def test_it_is_never_wider_than_the_terminal(width: int, record: dict[str, Any]) -> None:
    assert max(map(len, shown(at(width), record).splitlines())) < width


def test_heads_come_again_after_twenty_lines_and_a_new_width() -> None:
    widths = [80] * 25 + [120]
    renderer = Renderer(LINES, lambda: widths.pop(0), colours=False)
    with_heads = [n for n in range(26) if "time" in shown(renderer, FLUSH)]
    assert with_heads == [0, 20, 25]


def test_what_is_too_old_is_coloured() -> None:
    record = {**FLUSH, "behind_s": 61.0, "rollup_s": 901.0}
    line = shown(at(200, colours=True), record).splitlines()[1]
    assert re.search(r"\x1b\[1;33m +61 s", line)
    assert re.search(r"\x1b\[1;31m +15 min", line)


def test_a_batch_without_a_reading_has_no_age() -> None:
    assert re.search(r" 0\.2 s      -   12 s ", shown(at(80), {**FLUSH, "behind_s": None}))


def test_an_outage_reads_as_what_to_do_and_what_it_cost() -> None:
    begin = {**TIME, "event": "waiting_for_database", "why": "the database's disk is full", "error": "E"}
    end = {**TIME, "event": "database_ready", "seconds": 142.3, "messages": 4000}
    done = {**TIME, "event": "caught_up", "seconds": 9.4, "messages": 84_000}
    renderer = at(200)
    assert [shown(renderer, each)[17:] for each in (begin, end, done)] == [
        "NOT STORING: the database's disk is full: make space on it. Messages wait in the broker; none is lost.",
        "database back after 2 min 22 s; 4,000 messages in hand waited, others in the broker",
        "caught up: 84,000 messages that waited took 9.4 s",
    ]


def said(event: str, *, count: int) -> str:
    """The sentence of an event whose figures are all `count`."""
    samples: dict[type, Any] = {str: "text", int: count, float: 0.5, list: ["one"], bool: True}
    types = field_types()
    fields = (name for each in listed() if each.event == event for name in each.fields)
    return shown(at(10_000), {**TIME, **{name: samples[types[name][0]] for name in fields}, "event": event})


@pytest.mark.parametrize("event", sorted(LINES.sentences))
def test_a_sentence_needs_only_the_fields_that_are_listed(event: str) -> None:
    assert said(event, count=3).count("\n") == 0


def test_every_event_that_ends_a_trouble_has_a_sentence() -> None:
    assert LINES.good <= LINES.sentences.keys()


@pytest.mark.parametrize("event", sorted(LINES.sentences))
def test_one_is_not_counted_in_the_plural(event: str) -> None:
    assert re.findall(r"\b1 (?:dead )?(?:messages|letters|VENs|conflicts)\b", said(event, count=1)) == []


@pytest.mark.parametrize(
    ("event", "one", "several"),
    [
        ("flawed", "1 message is stored", "3 messages are stored"),
        ("conflicts", "1 message differs", "3 messages differ"),
        ("awaiting_redelivery", "sends it again", "sends them again"),
    ],
)
def test_the_predicate_goes_by_the_number(event: str, one: str, several: str) -> None:
    assert one in said(event, count=1)
    assert several in said(event, count=3)
