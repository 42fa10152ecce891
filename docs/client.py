"""A client of the API in Python, typed: `python docs/client.py http://127.0.0.1:8000`. Needs httpx and msgspec."""

import sys
from datetime import datetime
from urllib.parse import quote

import httpx
import msgspec


class Ven(msgspec.Struct, rename="camel"):
    """What /api/fleet says of a VEN; powers in kW. Fields that are not named here are ignored."""

    id: str
    online: bool
    used_power_kw: float | None


class Page(msgspec.Struct):
    """Some VENs, and where the next ones begin."""

    vens: list[Ven]
    next: str | None


class Point(msgspec.Struct, rename="camel"):
    """One bucket of a history: mean power in kW, energy in kWh."""

    timestamp: datetime
    used_power_kw: float | None
    used_energy_kwh: float | None


class History(msgspec.Struct):
    """Points by time, and how wide each is."""

    points: list[Point]
    granularity: str


class Client:
    """Asks an api at `url`, with `key` if it wants one; ValueError with its own words where it refuses."""

    def __init__(self, url: str, key: str = "") -> None:
        self._http = httpx.Client(base_url=f"{url}/api", headers={"X-API-Key": key} if key else {})

    def vens(self) -> list[Ven]:
        """All VENs heard of, page by page."""
        found, after = list[Ven](), ""
        while True:
            page = msgspec.json.decode(self._get("/fleet", after=after, limit="1000"), type=Page)
            found += page.vens
            if page.next is None:
                return found
            after = page.next

    def history(self, ven_id: str, **parameters: str) -> History:
        """Of a VEN: start, end, granularity, timezone, fill."""
        return msgspec.json.decode(
            self._get(f"/vens/{quote(ven_id, safe='')}/history", **parameters), type=History
        )

    def _get(self, path: str, **parameters: str) -> bytes:
        answer = self._http.get(path, params=parameters)
        if answer.is_error:
            raise ValueError(answer.json()["detail"])
        return answer.content


if __name__ == "__main__":
    client = Client(*sys.argv[1:])
    for ven in client.vens():
        energy = sum(p.used_energy_kwh or 0 for p in client.history(ven.id, granularity="1h").points)
        sys.stdout.write(f"{ven.id}: {ven.used_power_kw} kW now, {energy:.3f} kWh in all\n")
