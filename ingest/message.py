"""One MQTT message on its way through ingest. Times are microseconds since the Unix epoch, powers kW."""

from collections.abc import Iterable, Sequence
from enum import Enum
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from ingest.receive.payloads import WireLoad


class Outcome(Enum):
    """What came of a message; every message received gets exactly one."""

    STORED = "stored"
    DUPLICATE = "duplicate"
    DEAD_LETTERED = "dead_lettered"
    IGNORED = "ignored"


class Reading:
    """A decoded telemetry message: the VEN's panel at `ts`, and its rows, ready for COPY.

    `lists_loads`: whether it lists loads; `complete`: whether none was left out, so that the list says which loads
    the VEN has; `description`: a hash of all that it says of them but their power, None without any. `loads` are
    kept only where the payload cannot be decoded again in the plain way (None otherwise): they are in `samples`.
    `flaws`: what was left out of the message, and why.
    """

    __slots__ = (
        "battery_soc",
        "complete",
        "description",
        "event_id",
        "flaws",
        "lists_loads",
        "loads",
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
    complete: bool
    loads: "list[WireLoad] | None"
    flaws: tuple[str, ...]
    description: int | None
    row: bytes
    samples: bytes
    sample_count: int


class Snapshot:
    """A decoded load snapshot: what the VEN knew of its loads at `ts`. `flaws`: as of a Reading."""

    __slots__ = ("flaws", "loads", "ts", "ven_id")

    def __init__(self, ven_id: str, ts: int, loads: "list[WireLoad]") -> None:
        self.ven_id = ven_id
        self.ts = ts
        self.loads = loads
        self.flaws: tuple[str, ...] = ()


class StatusReport:
    """A decoded status. `ts` is None when the message gave no time: then its arrival counts. `details`: JSON,
    or None without any. `offline`: whether it means that the VEN is offline. `flaws`: as of a Reading."""

    __slots__ = ("details", "flaws", "offline", "status", "ts", "ven_id")

    def __init__(self, ven_id: str, ts: int | None, status: str, details: str | None) -> None:
        self.ven_id = ven_id
        self.ts = ts
        self.status = status
        self.details = details
        self.offline = False
        self.flaws: tuple[str, ...] = ()


class DeadLetter:
    """A message that cannot be stored, and why, in words for a person. `ven_id`: whose it is, if that is known."""

    __slots__ = ("error", "ven_id")

    def __init__(self, error: str, ven_id: str | None = None) -> None:
        self.error = error
        self.ven_id = ven_id


class Ignored:
    """A message that asks for nothing, and why."""

    __slots__ = ("reason",)

    def __init__(self, reason: str) -> None:
        self.reason = reason


class Piece(NamedTuple):
    """One object of a message that is an array of them: its JSON, and what it turned out to be."""

    payload: bytes
    content: "Reading | Snapshot | StatusReport | DeadLetter"


class Several:
    """A message that is an array: each of its objects is handled as if it had come by itself."""

    __slots__ = ("pieces",)

    def __init__(self, pieces: list[Piece]) -> None:
        self.pieces = pieces


Content = Reading | Snapshot | StatusReport | DeadLetter | Ignored


class Message:
    """A message as the broker delivered it, with what it turned out to be.

    `generation` numbers the connection it came over: a packet id (`mid`) means nothing on another.
    `retain`: the broker kept it, and sends it because the subscription is new; who knows when it was published.
    `payload` may be cut short when the message is too large to store; `size` is what it was.
    `parts`: of a message that is an array, a message for each object in it, delivered as the whole was.
    """

    __slots__ = (
        "content",
        "dup",
        "generation",
        "mid",
        "parts",
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
        self.parts: Sequence[Message] = ()

    def take(self, decoded: "Content | Several") -> None:
        """Note what the message turned out to be."""
        if isinstance(decoded, Several):
            self.parts = [self._part(piece) for piece in decoded.pieces]
        else:
            self.content = decoded

    def _part(self, piece: Piece) -> "Message":
        part = Message(
            self.topic,
            piece.payload,
            qos=self.qos,
            mid=self.mid,
            dup=self.dup,
            retain=self.retain,
            generation=self.generation,
            received_at=self.received_at,
        )
        part.content = piece.content
        return part

    @property
    def weight(self) -> int:
        """About how many bytes it holds on to, once decoded: of a reading also its rows, of others the texts in it.
        A character takes up to four."""
        content = self.content
        held = len(self.payload) + 4 * len(self.topic)
        if self.parts:
            return held + sum(part.weight for part in self.parts)
        if isinstance(content, Reading):
            return held + len(content.row) + len(content.samples)
        return held if isinstance(content, DeadLetter) else held + len(self.payload)


def singly(batch: Iterable[Message]) -> list[Message]:
    """The messages of a batch, those that are arrays replaced by their parts."""
    return [part for message in batch for part in (message.parts or (message,))]


def ven_of(content: Content) -> str | None:
    """Whose message it is, if that is known."""
    return None if isinstance(content, Ignored) else content.ven_id
