"""The page's files: small, and under a strict policy; colors that can be read."""

import re
from pathlib import Path

import pytest

import api.page
from tests.support.api_client import serving

HERE = Path(api.page.__file__).parent
FILES = sorted(path.name for path in HERE.iterdir() if path.suffix in (".html", ".css", ".js", ".svg"))
MOST_BYTES = 250 * 1024


async def test_all_of_it_is_small_when_compressed() -> None:
    async with serving() as client:
        sizes = []
        for path in ("/", *(f"/page/{name}" for name in (*FILES, "dygraph-combined.js"))):
            async with client.stream("GET", path, headers={"Accept-Encoding": "gzip"}) as answer:
                assert answer.status_code == 200
                assert answer.headers["content-encoding"] == "gzip"
                sizes.append(int(answer.headers["content-length"]))
        assert sum(sizes) < MOST_BYTES


async def test_nothing_inline_and_nothing_foreign_is_allowed() -> None:
    async with serving() as client:
        answer = await client.get("/")
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert not re.search(r"<script>|style=|\son\w+=|https?://", answer.text)


async def test_a_file_that_it_has_is_not_sent_again() -> None:
    async with serving() as client:
        tag = (await client.get("/page/page.css")).headers["etag"]
        again = await client.get("/page/page.css", headers={"If-None-Match": tag})
    assert again.status_code == 304


@pytest.mark.parametrize("name", ["none.js", "page.py", "__init__.py", "..%2Fapp.py"])
async def test_no_other_file_is_served(name: str) -> None:
    async with serving() as client:
        assert (await client.get(f"/page/{name}")).status_code == 404


def _luminance(color: str) -> float:
    """Relative luminance of #rrggbb (WCAG 2.1)."""
    parts = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _contrast(one: str, other: str) -> float:
    light, dark = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_texts_stand_out_from_what_they_are_on(scheme: int) -> None:
    block = re.findall(r":root \{([^}]*)\}", (HERE / "page.css").read_text(encoding="utf-8"))[scheme]
    colors = dict(re.findall(r"--(\w+): (#\w{6})", block))
    for text in ("text", "quiet", "used", "shed", "asked", "good", "bad"):
        for ground in ("ground", "card"):
            assert _contrast(colors[text], colors[ground]) >= 4.5, (text, ground)
    for line in ("used", "shed", "asked"):
        assert _contrast(colors[line], colors["event"]) >= 3, line
