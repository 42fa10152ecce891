"""The page at / in a browser: its numbers are the api's, and nothing comes from elsewhere."""

import time
import urllib.parse
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from selenium.webdriver.common.keys import Keys

from shared.commands.migrate import migrate
from shared.config import Database
from tests.support import servers
from tests.support.api_data import store, ven
from tests.support.api_process import ApiProcess, running_api
from tests.support.browser import Browser, browsing
from tests.support.model import R

KEY = "the-key"
# An id that would be markup, and two steps of a path.
STRANGE = "<b onclick=x>&/é"


@pytest.fixture(scope="module")
def filled(postgres: Database) -> Iterator[Database]:
    with servers.new_database(postgres) as database:
        migrate(database)
        now = int(time.time())
        store(
            database,
            [
                R(
                    f"v-{n:03}",
                    now - ago,
                    2.0 + n / 1000,
                    0.5,
                    1.0,
                    "evt-1",
                    (("heat", 1.25, 0.5), ("car", 0.5, 0.0)),
                )
                for n in range(60)
                for ago in (7200, 3600, 1800, 0)
            ],
        )
        ven(database, STRANGE, used_power_kw=7.5)
        yield database


@pytest.fixture(scope="module")
def api(filled: Database, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiProcess]:
    with running_api(tmp_path_factory.mktemp("api"), filled) as running:
        yield running


@pytest.fixture(scope="module")
def window() -> Iterator[Browser]:
    with browsing() as found:
        yield found


@pytest.fixture
def browser(window: Browser) -> Browser:
    window.size(1280, 1000)
    window.block()
    return window


def tile(browser: Browser, name: str) -> str:
    return browser.text(f'[data-name="{name}"] dd').replace("\n", " ").replace(",", "").strip()


def shown(value: float) -> str:
    return f"{value:.3f}" if abs(value) < 100 else f"{value:.1f}"


def test_its_figures_are_the_apis(browser: Browser, api: ApiProcess) -> None:
    browser.open(api.url)
    stats = httpx.get(f"{api.url}/api/stats/network").json()
    types = httpx.get(f"{api.url}/api/stats/loads").json()
    browser.waiting(lambda: tile(browser, "VENs online") == f"{stats['onlineVens']} of {stats['venCount']}")
    assert tile(browser, "power now").startswith(f"{shown(stats['householdUsageKw'])} kW")
    assert tile(browser, "can be shed").startswith(f"{shown(stats['potentialLoadReductionKw'])} kW")
    rows = [row.text.split()[:2] for row in browser.all('[data-part="loads"] tr')]
    assert rows == [[each["type"], shown(each["currentUsageKw"])] for each in types]


def test_its_chart_ends_with_the_apis_last_point(browser: Browser, api: ApiProcess) -> None:
    browser.open(api.url)
    start = time.strftime("%Y-%m-%dT%H:00:00Z", time.gmtime(time.time() - 86400))
    asked = {"start": start, "granularity": "5m"}
    points = httpx.get(f"{api.url}/api/stats/network/history", params=asked).json()["points"]
    label = f"shed {points[-1]['shedPowerKw']:.3f} kW"
    browser.waiting(
        lambda: label in (browser.all('[data-part="chart"]')[0].get_attribute("aria-label") or "")
    )
    assert len(browser.all('[data-part="chart"] canvas')) == 2


def test_a_range_is_switched_by_the_keyboard_alone(browser: Browser, api: ApiProcess) -> None:
    browser.open(api.url)
    week = browser.waiting(lambda: next((b for b in browser.all("button") if b.text == "week"), None))
    browser.run("document.querySelectorAll('[data-part=spans] button')[1].focus()")
    week.send_keys("\n")
    browser.waiting(
        lambda: "last week" in (browser.all('[data-part="chart"]')[0].get_attribute("aria-label") or "")
    )
    assert [b.get_attribute("aria-pressed") for b in browser.all('[data-part="spans"] button')] == [
        "false",
        "true",
        "false",
    ]


def test_a_ven_is_found_by_the_keyboard_alone(browser: Browser, api: ApiProcess) -> None:
    browser.open(api.url)
    browser.waiting(lambda: browser.all('[href="#/ven/v-003"]'))
    unmarked = []
    for _ in range(20):
        browser.press(Keys.TAB)
        if browser.run("return getComputedStyle(document.activeElement).outlineStyle") == "none":
            unmarked.append(browser.focused().get_attribute("outerHTML"))
        if browser.focused().text == "v-003":
            break
    assert browser.focused().text == "v-003"
    assert unmarked == []
    browser.press(Keys.ENTER)
    browser.waiting(lambda: tile(browser, "power") == "2.003 kW")
    assert browser.focused().get_attribute("id") == "view"


def test_an_event_is_one_span_in_the_chart(browser: Browser, api: ApiProcess) -> None:
    browser.open(api.url)
    spans = browser.run(
        """
        const [a, b, none] = ["a", "b", null];
        const points = [none, a, a, b, none, b].map((eventId, n) => ({ eventId, timestamp: new Date(n * 1000) }));
        return import("/page/plots.js").then(({ events }) => events({ points }));
        """
    )
    assert spans[:2] == [[1000, 3000], [3000, 4000]]
    assert [start for start, _ in spans] == [1000, 3000, 5000]


def test_nothing_comes_from_elsewhere_and_nothing_fails(browser: Browser, api: ApiProcess) -> None:
    browser.open(api.url)
    browser.waiting(lambda: tile(browser, "readings"))
    browser.open(f"{api.url}/#/ven/v-001")
    browser.waiting(lambda: browser.all('[data-part="loads-chart"] canvas'))
    asked = browser.requests()
    assert [url for url in asked if not url.startswith(f"{api.url}/")] == ["about:blank"] * asked.count(
        "about:blank"
    )
    assert browser.console() == []


def test_the_fleet_is_searched_not_fetched_whole(browser: Browser, api: ApiProcess) -> None:
    browser.open(api.url)
    browser.waiting(lambda: len(browser.all('[data-part="vens"] tr')) == 50)
    browser.all('[data-part="prefix"]')[0].send_keys("v-05")
    browser.waiting(lambda: len(browser.all('[data-part="vens"] tr')) == 10)
    assert browser.text('[data-part="more"]') == "10 in all"
    pages = [urllib.parse.urlsplit(url).query for url in browser.requests() if "/api/fleet?" in url]
    assert all("limit=50" in query for query in pages)


def test_a_vens_own_page_and_back(browser: Browser, api: ApiProcess) -> None:
    browser.open(api.url)
    browser.waiting(lambda: browser.all('[href="#/ven/v-001"]'))[0].click()
    browser.waiting(lambda: tile(browser, "power") == "2.001 kW")
    assert tile(browser, "shed") == "0.500 kW for evt-1"
    browser.waiting(lambda: "heat 1.250 kW" in browser.text('[data-part="loads-legend"]'))
    browser.driver.back()
    browser.waiting(lambda: tile(browser, "VENs online"))


def test_an_id_is_text_whatever_it_holds(browser: Browser, api: ApiProcess) -> None:
    browser.open(f"{api.url}/#/ven/{urllib.parse.quote(STRANGE, safe='')}")
    browser.waiting(lambda: tile(browser, "power") == "7.500 kW")
    assert browser.text('[data-part="title"]') == STRANGE
    assert browser.all("main b") == []


def test_it_says_that_the_api_is_away(browser: Browser, filled: Database, tmp_path: Path) -> None:
    with running_api(tmp_path, filled) as api:
        browser.open(api.url)
        before = browser.waiting(lambda: tile(browser, "VENs online"))
    browser.waiting(lambda: "the api does not answer" in browser.text("#trouble"))
    assert tile(browser, "VENs online") == before


def test_a_trouble_goes_with_the_first_answer(browser: Browser, api: ApiProcess) -> None:
    browser.open(api.url)
    week = browser.waiting(lambda: next((b for b in browser.all("button") if b.text == "week"), None))
    browser.waiting(lambda: browser.all('[data-part="chart"] canvas'))
    # The history, which is repeated every 30 s, is not repeated by its own timer.
    browser.run("const real = setTimeout; window.setTimeout = (f, ms) => (ms < 30000 ? real(f, ms) : 0)")
    browser.block("*/api/*")
    week.click()
    browser.waiting(lambda: browser.text("#trouble"))
    browser.block()
    browser.waiting(lambda: browser.text("#trouble") == "")


def test_a_trouble_stays_while_other_requests_are_answered(browser: Browser, api: ApiProcess) -> None:
    browser.open(api.url)
    day, week = browser.waiting(lambda: browser.all('[data-part="spans"] button')[:2])
    browser.waiting(lambda: browser.all('[data-part="chart"] canvas'))
    browser.block("*/network/history*")
    week.click()
    said = browser.waiting(lambda: browser.text("#trouble"))
    answered = browser.text("#now")
    browser.waiting(lambda: browser.text("#now") != answered)
    assert browser.text("#trouble") == said
    browser.block()
    day.click()
    browser.waiting(lambda: browser.text("#trouble") == "")


def test_it_asks_for_the_key_and_keeps_it(browser: Browser, filled: Database, tmp_path: Path) -> None:
    with running_api(tmp_path, filled, keys=KEY) as api:
        browser.open(api.url)
        field = browser.waiting(lambda: next((f for f in browser.all("#key") if f.is_displayed()), None))
        field.send_keys("wrong\n")
        browser.waiting(lambda: field.is_displayed() and field.get_attribute("value") == "")
        field.send_keys(f"{KEY}\n")
        browser.waiting(lambda: tile(browser, "VENs online"))
        browser.driver.refresh()
        browser.waiting(lambda: tile(browser, "VENs online"))
        assert not browser.all("#key")[0].is_displayed()
        assert KEY not in "".join(browser.requests())


def test_on_a_phone_the_link_stands_beside_the_title(browser: Browser, api: ApiProcess) -> None:
    browser.size(360, 740)
    browser.open(api.url)
    browser.waiting(lambda: browser.text("#now"))
    title, link = (browser.all(css)[0].rect for css in ("h1 a", ".links a"))
    assert title["y"] <= link["y"] < title["y"] + title["height"]


@pytest.mark.parametrize(("width", "height"), [(360, 740), (820, 1180), (1600, 1000)])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_and_stays_where_it_is(
    browser: Browser, api: ApiProcess, width: int, height: int, scheme: str
) -> None:
    browser.size(width, height, prefers_color_scheme=scheme, prefers_reduced_motion="reduce")
    browser.open(api.url)
    browser.waiting(lambda: tile(browser, "VENs online"))
    assert browser.run("return document.documentElement.scrollWidth") <= width
    places = "return [...document.querySelectorAll('h2')].map((each) => Math.round(each.getBoundingClientRect().top))"
    browser.waiting(lambda: browser.all('[data-part="chart"] canvas'))
    before, asked = browser.run(places), browser.text("#now")
    browser.waiting(lambda: browser.text("#now") != asked)
    assert browser.run(places) == before
