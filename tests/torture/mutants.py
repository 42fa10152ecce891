"""Messages that are wrong in some way, or nearly right."""

import json
import random
import time
from collections.abc import Callable, Sequence

TOPICS = (
    *("volttron/metering", "oadr/meter/g1", "ven/loads/g1", "volttron/dev", "ven/status/g1"),
    # Odd, but the filters match them.
    *("oadr/meter/", "oadr/meter/ ", "ven/loads/ü\u2028", "ven/status/$SYS", "oadr/meter/" + "x" * 200),
)
_DIGITS = b"9" * 10_000
Make = Callable[[random.Random, int], bytes]


class Mutator:
    """Makes messages; one seed always gives the same ones, except for times. `corpus`: more payloads to mutate."""

    def __init__(self, seed: int, corpus: Sequence[bytes]) -> None:
        self._random = random.Random(seed)
        self._corpus = corpus

    def next(self, n: int) -> tuple[str, bytes]:
        """Topic and payload of the `n`th message."""
        rng = self._random
        topic = rng.choice(TOPICS)
        if rng.random() < 0.2:
            return topic, _mangled(rng, rng.choice(self._corpus))
        if rng.random() < 0.002:
            return topic, rng.choice(_LARGE)(rng, n)
        return topic, rng.choice(_SMALL)(rng, n)


def _mangled(rng: random.Random, payload: bytes) -> bytes:
    """A few bytes are replaced; an empty payload stays empty."""
    data = bytearray(payload)
    for _ in range(rng.randrange(4) if data else 0):
        data[rng.randrange(len(data))] = rng.randrange(256)
    return bytes(data)


def _wrong(rng: random.Random, n: int) -> bytes:
    """Fields missing, of the wrong type or out of bounds, and some bytes changed."""
    body: dict[str, object] = {
        "venId": rng.choice(("g1", "", "a/b", "x" * 200, None, 7, "a\u0000b")),
        "timestamp": rng.choice((time.time(), "now", None, 1e30, -1, True, [], 0)),
        "usedPowerKw": rng.choice((1.0, "1", None, 1e300, {}, -5)),
        "status": rng.choice(("online", None, 5, "")),
        "loads": rng.choice((None, [], [{}], [{"id": "a", "currentPowerKw": n}], "loads", 3)),
        "n": n,
    }
    kept = {name: value for name, value in body.items() if rng.random() < 0.9}
    return _mangled(rng, json.dumps(kept).encode())


def _nearly(rng: random.Random, n: int) -> bytes:
    """A reading, snapshot or status with at most one wrong field."""
    load = {"id": "a", "type": "hvac", "currentPowerKw": n % 7}
    body: dict[str, object] = {
        "venId": "g1",
        "timestamp": time.time() - n % 3,
        "usedPowerKw": n % 5,
        "status": rng.choice(("online", "offline", "ready")),
        "loads": [load, {**load, "id": "b"}],
        "details": {"n": n},
    }
    wrong = {
        "venId": rng.choice(("g2", "g1\n", "g1/", 1)),
        "timestamp": rng.choice((time.time() + 7200, time.time() - 10**8, "2026-13-01", "", -0.0)),
        "usedPowerKw": rng.choice((1_000_000.1, "1", False, None)),
        "status": rng.choice(("on/line", "s" * 129, "\u0085", 1)),
        "loads": rng.choice(([load, load], [load, {"id": "b"}], [{**load, "capacityKw": 1e7}], {"a": load})),
        "details": rng.choice(("\u0000", [[["deep"]]], 1.5, {"\u0000": 1})),
    }
    name = rng.choice((*wrong, None))
    return json.dumps(body if name is None else {**body, name: wrong[name]}).encode()


def _nested(rng: random.Random, n: int) -> bytes:
    depth = rng.choice((10, 900, 5000))
    if rng.random() < 0.5:
        return rng.choice((b"[", b'{"a":')) * depth + b"%d" % n
    return _around(b'"details":' + b"[" * depth + b"]" * depth)


def _not_finite(rng: random.Random, n: int) -> bytes:
    value = rng.choice((b"NaN", b"Infinity", b"-Infinity", b"1e400", b"-1e999999999"))
    return _around(b'"usedPowerKw":' + value)


def _huge_integer(rng: random.Random, n: int) -> bytes:
    name = rng.choice((b"timestamp", b"usedPowerKw", b"power_kw", b"status", b"details", b"other"))
    return _around(b'"%s":%s' % (name, rng.choice((_DIGITS, b"-" + _DIGITS, b"0." + _DIGITS))))


def _surrogate(rng: random.Random, n: int) -> bytes:
    """Half a character, as an escape and as bytes."""
    half = rng.choice((b"\\ud800", b"\\udfff", b"\xed\xa0\x80", b"\\udc00\\ud800"))
    name = rng.choice((b"venId", b"status", b"details", b"other"))
    return _around(b'"%s":"%s"' % (name, half))


def _cut(rng: random.Random, n: int) -> bytes:
    """A message that ends too early, often within a character."""
    whole = json.dumps({"n": n, "venId": "ü€𝄞" * 3}, ensure_ascii=False).encode()
    return whole[: rng.randrange(1, len(whole))]


def _twice(rng: random.Random, n: int) -> bytes:
    """One field name twice."""
    name = rng.choice((b'"venId":"g2"', b'"timestamp":1', b'"usedPowerKw":2', b'"loads":[]', b'"status":"x"'))
    return _around(name)


def _bytes(rng: random.Random, n: int) -> bytes:
    return rng.randbytes(rng.choice((1, 50, 3000)))


def _other_json(rng: random.Random, n: int) -> bytes:
    return rng.choice((b"null", b"[]", b"0", b'"text"', b"true", b"{}", b" ", b"\xef\xbb\xbf{}", b"\0"))


def _empty(rng: random.Random, n: int) -> bytes:
    return b""


def _megabyte(rng: random.Random, n: int) -> bytes:
    return rng.choice((b" ", b"[", b"\xff")) * (1024 * 1024) + b"%d" % n


def _ten_thousand_loads(rng: random.Random, n: int) -> bytes:
    """10,000 loads, as short as possible: more than a message may hold. Every tenth message has 3,000, which fit."""
    count = 10_000 if n % 10 else 3_000
    loads = ",".join(f'{{"id":"{n}","currentPowerKw":1}}' for n in range(count))
    return _around(b'"loads":[' + loads.encode() + b"]")


def _around(field: bytes) -> bytes:
    """A good message with `field` added at its end."""
    start = b'{"venId":"g1","timestamp":%f,"usedPowerKw":1,"status":"online","loads":[]' % time.time()
    return start + b"," + field + b"}"


_SMALL: tuple[Make, ...] = (
    *(_wrong, _wrong, _wrong, _nearly, _nearly, _nearly, _nested, _not_finite, _huge_integer),
    *(_surrogate, _cut, _twice, _bytes, _other_json, _empty),
)
_LARGE: tuple[Make, ...] = (_megabyte, _ten_thousand_loads)
