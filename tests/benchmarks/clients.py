"""Sixteen clients that ask over and over on kept connections. Prints {"requests": n, "seconds": s}.

`{n}` in the path stands for the number of the client (10 to 25), so that each asks for something of its own.
"""

import argparse
import asyncio
import json
import time

_FIRST = 10


async def _client(port: int, request: bytes, until: float) -> int:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    answered = 0
    while time.monotonic() < until:
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        status, *fields = head.split(b"\r\n")
        assert b" 200 " in status, status
        length = next(int(f.split(b":")[1]) for f in fields if f.lower().startswith(b"content-length:"))
        await reader.readexactly(length)
        answered += 1
    writer.close()
    return answered


async def _ask(port: int, path: str, connections: int, seconds: float) -> int:
    paths = [path.replace("{n}", str(n)) for n in range(_FIRST, _FIRST + connections)]
    requests = [f"GET {each} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode() for each in paths]
    until = time.monotonic() + seconds
    return sum(await asyncio.gather(*(_client(port, request, until) for request in requests)))


def main() -> None:
    """Parse the command line, ask, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--path", required=True)
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=5.0)
    options = parser.parse_args()
    answered = asyncio.run(_ask(options.port, options.path, options.connections, options.seconds))
    print(json.dumps({"requests": answered, "seconds": options.seconds}))


if __name__ == "__main__":
    main()
