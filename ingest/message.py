"""One MQTT message on its way through ingest. Times are microseconds since the Unix epoch, powers kW."""

from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ingest.receive.payloads import WireLoad


class Outcome(Enum):
    """What came of a message; every message received gets exactly one."""

    STORED = "stored"
    DUPLICATE = "duplicate"
    DEAD_LETTERED = "dead_lettered"


class Reading:
    """A decoded telemetry message: the VEN's panel at `ts`, and its rows, ready for COPY.

    `lists_loads`: whether it says which loads the VEN has; `description`: a hash of all that it says of them
    but their power, None without any. The loads themselves are not kept: they are in `samples`.
    """

    __slots__ = (
        "battery_soc",
        "description",
        "event_id",
        "lists_loads",
        "requested_reduction_kw",
        "row",
        "sample_count",
        "samples",
        "shed_power_kw",
        "ts",
        "used_power_kw",
        "ven_id",
    )

    ven_id: str
    ts: int
    used_power_kw: float
    shed_power_kw: float
    requested_reduction_kw: float | None
    event_id: str | None
    battery_soc: float | None
    lists_loads: bool
    description: int | None
    row: bytes
    samples: bytes
    sample_count: int


class Snapshot:
    """A decoded load snapshot: what the VEN knew of its loads at `ts`."""

    __slots__ = ("loads", "ts", "ven_id")

    def __init__(self, ven_id: str, ts: int, loads: "list[WireLoad]") -> None:
        self.ven_id = ven_id
        self.ts = ts
        self.loads = loads


class StatusReport:
    """A decoded status. `ts` is None when the message gave no time: then its arrival counts. `details`: JSON,
    or None without any."""

    __slots__ = ("details", "status", "ts", "ven_id")

    def __init__(self, ven_id: str, ts: int | None, status: str, details: str | None) -> None:
        self.ven_id = ven_id
        self.ts = ts
        self.status = status
        self.details = details


class DeadLetter:
    """A message that cannot be stored, and why, in words for a person."""

    __slots__ = ("error",)

    def __init__(self, error: str) -> None:
        self.error = error


Content = Reading | Snapshot | StatusReport | DeadLetter


class Message:
    """A message as the broker delivered it, with what it turned out to be.

    `generation` numbers the connection it came over: a packet id (`mid`) means nothing on another.
    `retain`: the broker kept it, and sends it because the subscription is new; who knows when it was published.
    `payload` may be cut short when the message is too large to store; `size` is what it was.
    """

    __slots__ = (
        "content",
        "dup",
        "generation",
        "mid",
        "payload",
        "qos",
        "received_at",
        "retain",
        "size",
        "topic",
    )

    def __init__(
        self,
        topic: str,
        payload: bytes,
        *,
        qos: int,
        mid: int,
        dup: bool,
        retain: bool,
        generation: int,
        received_at: int,
    ) -> None:
        self.topic = topic
        self.payload = payload
        self.size = len(payload)
        self.qos = qos
        self.mid = mid
        self.dup = dup
        self.retain = retain
        self.generation = generation
        self.received_at = received_at
        self.content: Content = DeadLetter("not decoded")

    @property
    def weight(self) -> int:
        """About how many bytes it holds on to, once decoded: of a reading also its rows, of others the texts in it.
        A character takes up to four."""
        content = self.content
        held = len(self.payload) + 4 * len(self.topic)
        if isinstance(content, Reading):
            return held + len(content.row) + len(content.samples)
        return held if isinstance(content, DeadLetter) else held + len(self.payload)
