"""A client of the API in Python, typed: `python docs/client.py http://127.0.0.1:8000 KEY`. Needs httpx and msgspec."""

import sys
from datetime import datetime
from urllib.parse import quote

import httpx
import msgspec


class Point(msgspec.Struct, rename="camel"):
    """One bucket of a history: mean power in kW, energy in kWh. Fields that are not named here are ignored."""

    timestamp: datetime
    used_power_kw: float | None
    used_energy_kwh: float | None


class History(msgspec.Struct):
    """Points by time, and how wide each is."""

    points: list[Point]
    granularity: str


def history(http: httpx.Client, ven_id: str, **parameters: str) -> History:
    """Of a VEN: start, end, granularity, timezone, fill. ValueError, in the API's words, if it refuses."""
    answer = http.get(f"/api/vens/{quote(ven_id, safe='')}/history", params=parameters)
    if answer.is_error:
        raise ValueError(answer.json()["detail"])
    return msgspec.json.decode(answer.content, type=History)


if __name__ == "__main__":
    url, *key = sys.argv[1:]
    with httpx.Client(base_url=url, headers={"X-API-Key": "".join(key)}) as client:
        # The first thousand VENs; `next` in the answer is what `after` has to be for more.
        for ven in client.get("/api/fleet?limit=1000").raise_for_status().json()["vens"]:
            points = history(client, ven["id"], granularity="1h").points
            sys.stdout.write(f"{ven['id']}: {sum(p.used_energy_kwh or 0 for p in points):.3f} kWh\n")
