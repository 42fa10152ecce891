"""Which kind of message a topic carries, and which VEN it names."""

from enum import Enum

from shared.config import Mqtt, split_list
from shared.errors import SettingsError


class Kind(Enum):
    """The three kinds of message of the MQTT contract."""

    TELEMETRY = "MQTT_TOPIC_METERING"
    LOADS = "MQTT_TOPIC_LOADS"
    STATUS = "MQTT_TOPIC_STATUS"


# In a filter, the level that names the VEN; the broker is sent a `+` for it.
VEN_LEVEL = "{venId}"


class TopicMap:
    """Maps a topic to its kind and to the level that names the VEN: `{venId}` in the filter, else its only `+`."""

    _CACHED_TOPICS = 20_000
    _CACHED_CHARACTERS = 256

    def __init__(self, settings: Mqtt) -> None:
        self._filters: list[tuple[Kind, list[str]]] = []
        for kind, value in (
            (Kind.TELEMETRY, settings.topic_metering),
            (Kind.LOADS, settings.topic_loads),
            (Kind.STATUS, settings.topic_status),
        ):
            for topic_filter in split_list(value):
                self._filters.append((kind, _levels(kind, topic_filter)))
        self._cache: dict[str, tuple[Kind, str | None] | None] = {}

    @property
    def filters(self) -> list[str]:
        """The filters to subscribe to, without repetition."""
        joined = ("/".join(levels).replace(VEN_LEVEL, "+") for _, levels in self._filters)
        return list(dict.fromkeys(joined))

    def find(self, topic: str) -> tuple[Kind, str | None] | None:
        """The kind of `topic` and the VEN id in it, if the filter names its level; None if no filter matches."""
        try:
            return self._cache[topic]
        except KeyError:
            if len(self._cache) >= self._CACHED_TOPICS:
                self._cache.clear()
            found = self._match(topic.split("/"))
            if len(topic) <= self._CACHED_CHARACTERS:
                self._cache[topic] = found
            return found

    def _match(self, topic: list[str]) -> tuple[Kind, str | None] | None:
        for kind, levels in self._filters:
            if _matches(levels, topic):
                return kind, topic[levels.index(VEN_LEVEL)] if VEN_LEVEL in levels else None
        return None


def _levels(kind: Kind, topic_filter: str) -> list[str]:
    """The levels of a filter; the one that names the VEN is written `{venId}`. Raises SettingsError."""
    levels = topic_filter.split("/")
    plain = all(level in ("+", "#") or not set(level) & {"+", "#"} for level in levels)
    if not plain or "#" in levels[:-1]:
        raise SettingsError(
            f"{kind.value}: {topic_filter!r} is not an MQTT topic filter: + and # stand for whole levels, # comes last"
        )
    if levels.count(VEN_LEVEL) > 1 or any(VEN_LEVEL in level and level != VEN_LEVEL for level in levels):
        raise SettingsError(f"{kind.value}: {topic_filter!r} must hold {VEN_LEVEL} once, as a whole level")
    if VEN_LEVEL not in levels and levels.count("+") > 1:
        raise SettingsError(
            f"{kind.value}: {topic_filter!r} has several +: write {VEN_LEVEL} for the one that names the VEN"
        )
    return levels if VEN_LEVEL in levels else [VEN_LEVEL if level == "+" else level for level in levels]


def _matches(levels: list[str], topic: list[str]) -> bool:
    if levels[-1] == "#":
        levels, topic = levels[:-1], topic[: len(levels) - 1]
    return len(levels) == len(topic) and all(
        level in ("+", VEN_LEVEL, part) for level, part in zip(levels, topic, strict=True)
    )
