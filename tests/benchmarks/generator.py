"""A publisher that is not the bottleneck: MQTT 3.1.1 over a plain socket, messages encoded beforehand.

QoS 1 with a window: at most WINDOW messages wait for their PUBACK. Prints one JSON line when all are
acknowledged: {"first": s, "last": s, "sent": n}, times of the first publish and of the last PUBACK.
"""

import argparse
import itertools
import json
import random
import select
import socket
import struct
import sys
import time
from collections.abc import Iterator

WINDOW = 4000
_CHUNK = 32
# Every time has the same number of digits, so that it fits into the place kept free for it.
_TS = b"1000000000000"
_PUBACK_BYTES = 4

Template = tuple[bytes, bytes, bytes]


def main() -> None:
    """Parse the command line and publish."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--count", type=int, required=True)
    parser.add_argument("--vens", type=int, default=5000)
    parser.add_argument("--loads", type=int, default=8)
    parser.add_argument("--rate", type=float, default=0.0, help="messages/s; 0: as fast as it goes")
    parser.add_argument(
        "--dead", type=float, default=0.0, help="share of messages that cannot be stored, 0 to 1"
    )
    parser.add_argument("--duplicates", type=float, default=0.0, help="share of messages sent twice, 0 to 1")
    parser.add_argument(
        "--late", type=float, default=0.0, help="how many s the messages' times lie in the past"
    )
    parser.add_argument("--late-part", type=float, default=1.0, help="share of VENs that are late, 0 to 1")
    parser.add_argument("--prefix", default="bench")
    options = parser.parse_args()
    random.seed(1)
    templates = [_template(options, n) for n in range(options.vens)]
    with socket.create_connection(("127.0.0.1", options.port)) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        _connect(sock, options.prefix)
        print(json.dumps(_publish(sock, _packets(templates, options), options.count, options.rate)))


def _template(options: argparse.Namespace, n: int) -> Template:
    """One VEN's PUBLISH packet: what stands before its packet id, between that and its time, and after."""
    ven = f"{options.prefix}-{n:05}"
    loads = [
        {
            "loadId": f"{ven}-{k}",
            "name": f"Load number {k}",
            "type": ("hvac", "ev", "pool_pump", "water_heater")[k % 4],
            "capacityKw": 7.5,
            "currentPowerKw": round(random.uniform(0, 7), 3),
            "shedCapabilityKw": 0.5,
            "enabled": True,
            "priority": k,
        }
        for k in range(options.loads)
    ]
    body = {
        "schemaVersion": "1.0",
        "venId": ven,
        "timestamp": int(_TS),
        "usedPowerKw": round(random.uniform(-3, 12), 3),
        "shedPowerKw": 0.5,
        "requestedReductionKw": 1.0,
        "eventId": "evt-9",
        "loads": loads,
    }
    before, after = json.dumps(body).encode().split(_TS)
    topic = b"volttron/metering"
    length = 2 + len(topic) + 2 + len(before) + len(_TS) + len(after)
    head = b"\x32" + _variable(length) + struct.pack("!H", len(topic)) + topic
    return head, before, after


def _variable(value: int) -> bytes:
    out = bytearray()
    while True:
        value, byte = divmod(value, 128)
        out.append(byte | (128 if value else 0))
        if not value:
            return bytes(out)


def _connect(sock: socket.socket, name: str) -> None:
    client = f"generator-{name}".encode()
    body = b"\0\x04MQTT\x04\x02\0\x3c" + struct.pack("!H", len(client)) + client
    sock.sendall(b"\x10" + _variable(len(body)) + body)
    if sock.recv(4)[:1] != b"\x20":
        sys.exit("generator: the broker refused the connection")


def _packets(templates: list[Template], options: argparse.Namespace) -> Iterator[bytes]:
    """The packets, without end; the time in each is when it is asked for."""
    dead_every = round(1 / options.dead) if options.dead else 0
    again_every = round(1 / options.duplicates) if options.duplicates else 0
    head, before, after = templates[0]
    ts = _TS
    late_vens = round(options.late_part * len(templates))
    for n in itertools.count():
        if not again_every or n % again_every or not n:
            head, before, after = templates[n % len(templates)]
            late = options.late if n % len(templates) < late_vens else 0.0
            # The time in the template is in 2001: older than anything that is stored.
            ts = _TS if dead_every and n % dead_every == 0 else b"%013d" % ((time.time() - late) * 1000)
        yield b"".join((head, (n % 65535 + 1).to_bytes(2, "big"), before, ts, after))


def _publish(sock: socket.socket, packets: Iterator[bytes], count: int, rate: float) -> dict[str, float]:
    sock.setblocking(False)
    sent = acked_bytes = 0
    pending = memoryview(b"")
    first = time.time()
    while acked_bytes < count * _PUBACK_BYTES:
        due = count if not rate else min(count, int((time.time() - first) * rate) + 1)
        room = min(_CHUNK, due - sent, WINDOW - (sent - acked_bytes // _PUBACK_BYTES))
        if not pending and room > 0:
            pending = memoryview(b"".join(itertools.islice(packets, room)))
            sent += room
        waits = rate and not pending and sent < count
        readable, writable, _ = select.select([sock], [sock] if pending else [], [], 0.001 if waits else None)
        if readable:
            acked_bytes += len(sock.recv(65536))
        if writable:
            pending = pending[sock.send(pending) :]
    return {"first": first, "last": time.time(), "sent": sent}


if __name__ == "__main__":
    main()
