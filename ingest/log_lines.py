"""How ingest's log reads on a terminal: a row of figures every second, and sentences that say what to do."""

from collections.abc import Callable

from shared.terminal import BAD, DIM, PLAIN, WARN, Cell, Column, Fields, Lines, counted, duration, number

# From the first figure on, a cell is yellow, from the second on red; in s.
_OLDEST_SECONDS, _BEHIND_SECONDS, _ROLLUP_SECONDS = (5.0, 60.0), (60.0, 900.0), (120.0, 900.0)

# What to do, for reasons that do not say it themselves.
_REMEDIES = {
    "the database's disk is full": "make space on it",
    "the database is read-only": "end what made it so, or point DB_HOST to the primary",
    "a table is locked": "end the session that holds the lock",
    "the database is unreachable": "see whether it runs, and DB_HOST and DB_PORT",
    "the database does not answer": "see its machine and its load",
    "the database has no connection left": "raise its max_connections, or end sessions that are idle",
}


def _count(key: str, style: str = PLAIN) -> Callable[[Fields, int], Cell]:
    """A figure, coloured unless it is 0."""
    return lambda record, room: Cell(number(record.get(key), room), style if record.get(key) else DIM)


def _rate(key: str) -> Callable[[Fields, int], Cell]:
    return lambda record, room: Cell(number(record[key] / max(record["seconds"], 0.001), room), "1")


def _age(key: str, limits: tuple[float, float]) -> Callable[[Fields, int], Cell]:
    def cell(record: Fields, room: int) -> Cell:
        seconds = record.get(key)
        warn, bad = limits
        style = PLAIN if seconds is None or seconds < warn else WARN if seconds < bad else BAD
        text = duration(seconds)
        return Cell(text if len(text) <= room else text.replace(" ", ""), style)

    return cell


def _writing(record: Fields, room: int) -> Cell:
    """The median and the worst time of a batch, ms."""
    half = (room - 1) // 2
    return Cell(f"{number(record['median_ms'], half)}/{number(record['worst_ms'], half)}")


_COLUMNS = (
    Column((" msg/s", 6), ("messages/s", 12), _rate("messages")),
    Column(("rows/s", 7), ("rows/s", 10), _rate("rows")),
    Column(("write ms", 10), ("write ms (worst)", 18), _writing),
    Column(("hand", 6), ("in hand", 9), _count("unacked")),
    Column(("oldest", 7), ("oldest", 9), _age("oldest_s", _OLDEST_SECONDS)),
    Column(("behind", 7), ("behind", 9), _age("behind_s", _BEHIND_SECONDS)),
    Column(("rollup", 7), ("rollup", 9), _age("rollup_s", _ROLLUP_SECONDS)),
    Column(("VENs", 6), ("VENs", 8), _count("online")),
    Column(("dead", 5), ("dead", 8), _count("dead_lettered", BAD)),
    Column(("flaw", 5), ("flawed", 8), _count("flawed", WARN)),
    Column(("conf", 5), ("conflict", 10), _count("conflict", WARN)),
)


def _waiting(record: Fields) -> str:
    why = str(record["why"])
    remedy = _REMEDIES.get(why)
    return f"NOT STORING: {why}{f': {remedy}' if remedy else ''}. Messages wait in the broker; none is lost."


def _ready(record: Fields) -> str:
    if not record["seconds"]:
        return "database connected"
    waited = counted(record["messages"], "message")
    return f"database back after {_long(record['seconds'])}; {waited} in hand waited, others in the broker"


def _subscribed(record: Fields) -> str:
    filters = ", ".join(record["filters"])
    if not record["seconds"]:
        return f"subscribed to {filters} as {record['client_id']}"
    return f"broker back after {_long(record['seconds'])}; subscribed to {filters} as {record['client_id']}"


def _of_one(one: str, several: str, then: str) -> Callable[[Fields], str]:
    """How many messages there were, and the reason, VEN and topic of one. `one`, `several`: the predicate of each."""

    def sentence(record: Fields) -> str:
        messages = record["messages"]
        what = f"{counted(messages, 'message')} {one if messages == 1 else several}"
        ven = f"VEN {record['ven']}, " if record.get("ven") else ""
        return f"{what}: {record['reason']} ({ven}topic {record['topic']}). {then}"

    return sentence


def _long(seconds: float) -> str:
    """42 s, or 3 min 20 s, or 2 h 5 min."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return (
        f"{minutes} min {rest} s"
        if minutes
        else f"{max(seconds, 0.1):.1f} s"
        if seconds < 10
        else f"{rest} s"
    )


LINES = Lines(
    table="flush",
    columns=_COLUMNS,
    sentences={
        "started": lambda r: f"started; http://{r['host']}:{r['port']}/health and /metrics",
        "idle": lambda r: (
            f"all is well: nothing came for {_long(r['seconds'])}; {counted(r['online'], 'VEN')} online, counted up to "
            f"{duration(r['rollup_s'])} ago; since start {counted(r['dead_lettered'], 'dead letter')}, "
            f"{r['flawed']:,} flawed, {counted(r['conflict'], 'conflict')}"
        ),
        "waiting_for_database": _waiting,
        "database_ready": _ready,
        "caught_up": lambda r: (
            f"caught up: {counted(r['messages'], 'message')} that waited took {_long(r['seconds'])}"
        ),
        "leader_waits": lambda r: (
            f"NOT COUNTING: {r['why']}. Messages are stored; histories lag until this is over."
        ),
        "leader_ready": lambda r: (
            f"counting goes on after {_long(r['seconds'])}; what was missed is counted now"
        ),
        "counting_waits_for_writers": lambda r: (
            f"NOT COUNTING: a transaction that writes readings stays open: {', '.join(map(str, r['writers']))}. "
            "End that session, or COMMIT PREPARED or ROLLBACK PREPARED it."
        ),
        "writers_done": lambda r: (
            f"counting goes on after {_long(r['seconds'])}; the open transaction has ended"
        ),
        "broker_lost": lambda r: (
            f"NOT RECEIVING from {r['host']}:{r['port']}: {r['why']}. VENs' messages wait in the broker."
        ),
        "broker_connected": lambda r: (
            f"connected to the broker at {r['host']}; it "
            + ("kept our session" if r["session_present"] else "has no session of ours from before")
        ),
        "subscribed": _subscribed,
        "weak_password": lambda r: f"{r['setting']} is easy to guess: choose another (`make secrets` does).",
        "promise_in_doubt": lambda r: f"NOT SAFE: {r['why']}. See `ecs-backend doctor`.",
        "broker_dropped": lambda r: (
            f"MESSAGES LOST: the broker dropped {counted(r['messages'], 'message')}, because its queues are full: "
            "raise its limit of queued messages. See `ecs-backend doctor`."
        ),
        "session_lost": lambda r: (
            f"SESSION LOST: the broker forgot the session of {r['client_id']}, and the messages in it. Does the broker "
            "keep sessions over a restart (persistence), and for MQTT_SESSION_EXPIRY?"
        ),
        "awaiting_redelivery": lambda r: (
            f"dropped {counted(r['messages'], 'message')} in hand, because the broker sends "
            f"{'it' if r['messages'] == 1 else 'them'} again"
        ),
        "dead_letters": _of_one(
            "could not be stored", "could not be stored", "See `ecs-backend dead-letters list`."
        ),
        "flawed": _of_one(
            "is stored without a part", "are stored without a part", "See `ecs-backend status`."
        ),
        "conflicts": _of_one(
            "differs from what is stored", "differ from what is stored", "See `ecs-backend status`."
        ),
        "dropped_dead_letters": lambda r: (
            f"deleted the oldest {counted(r['rows'], 'dead letter')}: all of them took more than "
            f"{r['kept_bytes'] >> 20:,} MiB. See `ecs-backend dead-letters list` for who sends so many."
        ),
        "leading": lambda r: f"this process leads now: {r['job']}",
        "stopping": lambda r: f"stopping; writes {counted(r['waiting'], 'message')} in hand first",
        "stopped": lambda r: f"stopped; left {counted(r['unwritten'], 'message')} with the broker",
    },
    good=frozenset({"database_ready", "caught_up", "leader_ready", "writers_done", "subscribed"}),
)
