"""Headless Chromium, as Debian packages it, with its console and its requests."""

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import pytest
from selenium import webdriver
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement

from tests.support.servers import wait_until

T = TypeVar("T")
# Without these, Chromium connects to its maker's hosts at every start.
_OPTIONS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


class Browser:
    """One tab."""

    def __init__(self, driver: webdriver.Chrome) -> None:
        self.driver = driver

    def open(self, url: str) -> None:
        """Go to `url` without a key, and with an empty console and an empty list of requests."""
        self.driver.get("about:blank")
        self.console()
        self.requests()
        self.driver.get(url)

    def all(self, css: str) -> list[WebElement]:
        """The elements of a CSS selector."""
        return self.driver.find_elements(By.CSS_SELECTOR, css)

    def text(self, css: str) -> str:
        """The text of the first element of a CSS selector; "" if there is none."""
        found = self.all(css)
        return found[0].text if found else ""

    def focused(self) -> WebElement:
        """The element that keys go to."""
        return self.driver.switch_to.active_element

    def press(self, key: str) -> None:
        """Press a key wherever the focus is."""
        ActionChains(self.driver).send_keys(key).perform()

    def waiting(self, condition: Callable[[], T | None], timeout: float = 15) -> T:
        """What `condition` returns once that is true; elements may be replaced meanwhile."""

        def asked() -> T | None:
            try:
                return condition()
            except StaleElementReferenceException:
                return None

        found = wait_until(asked, timeout, lambda: f"{self.text('body')}\n{self.console()}")
        assert found is not None
        return found

    def size(self, width: int, height: int, **media: str) -> None:
        """The window's size in px, and media features such as prefers_color_scheme."""
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        features = [{"name": name.replace("_", "-"), "value": value} for name, value in media.items()]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})

    def block(self, *addresses: str) -> None:
        """Let requests to these addresses fail (* stands for anything); without addresses, let all pass again."""
        self.driver.execute_cdp_cmd("Network.enable", {})
        self.driver.execute_cdp_cmd("Network.setBlockedURLs", {"urls": list(addresses)})

    def _log(self, kind: str) -> list[dict[str, Any]]:
        return list(self.driver.get_log(kind))  # type: ignore[no-untyped-call]

    def console(self) -> list[str]:
        """The messages on the console since the last call."""
        return [entry["message"] for entry in self._log("browser")]

    def requests(self) -> list[str]:
        """The addresses of the requests since the last call."""
        return [
            event["params"]["request"]["url"]
            for event in self.events()
            if event["method"] == "Network.requestWillBeSent"
        ]

    def events(self) -> list[dict[str, Any]]:
        """DevTools' events of the network since the last call, with `method` and `params`."""
        return [json.loads(entry["message"])["message"] for entry in self._log("performance")]

    def run(self, script: str) -> Any:
        """What a script returns."""
        return self.driver.execute_script(script)


@contextmanager
def browsing() -> Iterator[Browser]:
    """A browser; without Chromium, the test is skipped with the reason."""
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if chromium is None or driver is None:
        pytest.skip("needs chromium and chromedriver: apt-get install chromium chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for option in _OPTIONS:
        options.add_argument(option)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    running = webdriver.Chrome(options=options, service=Service(driver))
    try:
        yield Browser(running)
    finally:
        running.quit()
