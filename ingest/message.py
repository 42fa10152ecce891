"""One MQTT message on its way through ingest. Times are microseconds since the Unix epoch, powers kW."""

from collections.abc import Iterable, Sequence
from enum import Enum
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from ingest.receive.payloads import WireLoad


class Outcome(Enum):
    """What became of a message; every message received gets exactly one."""

    STORED = "stored"
    DUPLICATE = "duplicate"
    DEAD_LETTERED = "dead_lettered"
    IGNORED = "ignored"


class Reading:
    """A decoded telemetry message: the VEN's panel at `ts`, and its rows, ready for COPY.

    `row`: of ven_telemetry; `list_row`: of ven_load_lists, empty without a list of loads.
    `lists_loads`: whether the message has a list of loads.
    `complete`: whether no load was left out of that list, so that it says which loads the VEN has.
    `description`: a hash of what the list says of each load, except the powers; None without a load.
    `loads`: kept only if the payload cannot be decoded again in the plain way, else None; `list_row` has them too.
    `flaws`: which parts of the message were left out, and why.
    """

    __slots__ = (
        "battery_soc",
        "complete",
        "description",
        "event_id",
        "flaws",
        "list_row",
        "lists_loads",
        "loads",
        "requested_reduction_kw",
        "row",
        "sample_count",
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
    list_row: bytes
    sample_count: int


class Snapshot:
    """A decoded load snapshot: what the VEN knew of its loads at `ts`. `flaws`: see Reading."""

    __slots__ = ("flaws", "loads", "ts", "ven_id")

    def __init__(self, ven_id: str, ts: int, loads: "list[WireLoad]") -> None:
        self.ven_id = ven_id
        self.ts = ts
        self.loads = loads
        self.flaws: tuple[str, ...] = ()


class StatusReport:
    """A decoded status. `ts`: None when the message gave no time; then its arrival counts. `details`: JSON, or None.
    `offline`: whether the status means that the VEN is offline. `flaws`: see Reading."""

    __slots__ = ("details", "flaws", "offline", "status", "ts", "ven_id")

    def __init__(self, ven_id: str, ts: int | None, status: str, details: str | None) -> None:
        self.ven_id = ven_id
        self.ts = ts
        self.status = status
        self.details = details
        self.offline = False
        self.flaws: tuple[str, ...] = ()


# What VENs send: each has a ven_id, a ts and flaws, and is a sign of life.
Report = Reading | Snapshot | StatusReport


class DeadLetter:
    """A message that cannot be stored, and why, in words for a person. `ven_id`: its VEN; None: unknown."""

    __slots__ = ("error", "ven_id")

    def __init__(self, error: str, ven_id: str | None = None) -> None:
        self.error = error
        self.ven_id = ven_id


class Ignored:
    """A message that needs no action, and why."""

    __slots__ = ("reason",)

    def __init__(self, reason: str) -> None:
        self.reason = reason


class Piece(NamedTuple):
    """One object of a message that is an array: its JSON, and its decoded content."""

    payload: bytes
    content: "Report | DeadLetter"


class Several:
    """A message that is an array: each of its objects is handled as a message of its own."""

    __slots__ = ("pieces",)

    def __init__(self, pieces: list[Piece]) -> None:
        self.pieces = pieces


Content = Report | DeadLetter | Ignored


class Message:
    """A message as the broker delivered it, with its decoded content.

    `generation` numbers the connection that delivered it: a packet id (`mid`) means nothing on another connection.
    `held`: it may have waited in the broker, because reading had only begun; `dup`: the broker delivers it again.
    `retain`: the broker kept the message and sends it because the subscription is new; its publishing time is unknown.
    `payload` may be cut short when the message is too large to store; `size` is its length before that, in bytes.
    `parts`: if the message is an array, one message for each object in it, with the array's delivery data.
    """

    __slots__ = (
        "content",
        "dup",
        "generation",
        "held",
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
        held: bool = False,
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
        self.held = held
        self.content: Content = DeadLetter("not decoded")
        self.parts: Sequence[Message] = ()

    def take(self, decoded: "Content | Several") -> None:
        """Keep the decoded content."""
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
            held=self.held,
        )
        part.content = piece.content
        return part

    @property
    def weight(self) -> int:
        """About how many bytes of memory the decoded message takes: payload, topic (up to 4 bytes a character), and
        the rows of a reading or the texts of another content."""
        content = self.content
        held = len(self.payload) + 4 * len(self.topic)
        if self.parts:
            return held + sum(part.weight for part in self.parts)
        if isinstance(content, Reading):
            return held + len(content.row) + len(content.list_row)
        return held if isinstance(content, DeadLetter) else held + len(self.payload)


def singly(batch: Iterable[Message]) -> list[Message]:
    """The messages of a batch, those that are arrays replaced by their parts."""
    return [part for message in batch for part in (message.parts or (message,))]


def ven_of(content: Content) -> str | None:
    """The VEN that sent the message; None if that is unknown."""
    return None if isinstance(content, Ignored) else content.ven_id
