"""One Chromium and what the tests ask of it: open, find, press, look."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver import Chrome, ChromeOptions, ChromeService
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait

WAIT_SECONDS = 30.0
DESKTOP = (1280, 900)
PHONE = (390, 844)
_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-proxy-server",
    "--window-size=1280,900",
    # A process for every site and page, kept after it was left, is half of a browser's work.
    "--in-process-gpu",
    "--renderer-process-limit=1",
    "--disable-site-isolation-trials",
    "--disable-features=BackForwardCache",
)

# In one question to the browser; element by element, it is the larger part of a test's time.
_LIST_VISIBLE = """[...document.querySelectorAll(arguments[0])].filter((item) =>
    item.checkVisibility({visibilityProperty: true}) && item.getClientRects().length)"""

Found = TypeVar("Found")


def start_chromium(*, binary: str, driver: str, profile: Path) -> Chrome:
    options = ChromeOptions()
    options.binary_location = binary
    if "headless-shell" in binary:
        options.set_capability("browserName", "chrome-headless-shell")
    for flag in (*_FLAGS, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    chrome = Chrome(options=options, service=ChromeService(executable_path=driver))
    chrome.set_page_load_timeout(60)
    return chrome


class Page:
    """The page that the browser shows; paths are below ``base_url``."""

    def __init__(self, chrome: Chrome, *, base_url: str, shots: Path | None) -> None:
        self.chrome = chrome
        self._base_url = base_url
        self._shots = shots
        self.resize(DESKTOP)

    @property
    def text(self) -> str:
        """What a person can read. The driver's own way takes seconds on a long page."""
        return str(self.run("return document.body ? document.body.innerText : ''"))

    def open(self, path: str) -> None:
        before = self.find("html")
        self.chrome.get(f"{self._base_url}{path}")
        self._wait_until_shown(instead_of=before)

    def take_cookie(self, name: str, value: str) -> None:
        """Go on with what was begun elsewhere, such as a session."""
        self.chrome.execute_cdp_cmd(
            "Network.setCookie",
            {"name": name, "value": value, "url": self._base_url, "httpOnly": True},
        )

    def resize(self, size: tuple[int, int]) -> None:
        """By emulation: a headless window cannot be as narrow as a phone."""
        width, height = size
        self.chrome.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False},
        )

    def find(self, css: str) -> WebElement:
        """The first visible element, waited for."""
        return self.wait(
            f"{css} is visible",
            lambda: self.run(f"return {_LIST_VISIBLE}[0] || null", css),
        )

    def find_all(self, css: str) -> list[WebElement]:
        return self.chrome.find_elements(By.CSS_SELECTOR, css)

    def find_button(self, words: str) -> WebElement:
        return self.wait(
            f"a button says {words!r}",
            lambda: self.run(
                f"return {_LIST_VISIBLE}.find((b) => b.innerText.trim() === arguments[1]) || null",
                "button",
                words,
            ),
        )

    def list_buttons(self, css: str = "button") -> list[str]:
        return list(self.run(f"return {_LIST_VISIBLE}.map((b) => b.innerText.trim())", css))

    def press_and_load(
        self, element: WebElement, *, by: Callable[[WebElement], None] = WebElement.click
    ) -> None:
        """Press what leads to another page, and wait until that is there."""
        before = self.find("html")
        by(element)
        self._wait_until_shown(instead_of=before)

    def _wait_until_shown(self, *, instead_of: WebElement) -> None:
        """The driver's own wait ends early on a busy machine, while all is still hidden."""
        self.wait("another page is there", lambda: _is_gone(instead_of))
        self.wait("it has loaded", lambda: self.run("return document.readyState") == "complete")
        self.wait("it is shown", lambda: not self.find_all("html[x-cloak]"))

    def fill(self, css: str, text: str) -> WebElement:
        box = self.find(css)
        box.send_keys(Keys.CONTROL, "a")
        box.send_keys(Keys.DELETE)
        box.send_keys(text)
        return box

    def press_tab_until(self, words: str, *, at_most: int = 80) -> list[str]:
        """Where the focus stops on its way: the id of fields, the words of all else."""
        stops: list[str] = []
        while not (stops and stops[-1].startswith(words)):
            ActionChains(self.chrome).send_keys(Keys.TAB).perform()
            focused = self.chrome.switch_to.active_element
            assert focused.is_displayed(), focused.get_attribute("outerHTML")
            is_field = focused.tag_name in {"input", "textarea", "select"}
            named = focused.get_attribute("id") if is_field else focused.text.strip()
            stops.append(named or str(focused.get_attribute("href") or focused.id))
            assert len(stops) <= at_most, stops
        return stops

    def run(self, script: str, *arguments: Any) -> Any:
        return self.chrome.execute_script(script, *arguments)

    def wait(self, what: str, probe: Callable[[], Found | None]) -> Found:
        """The first true answer of ``probe``."""
        waiting = WebDriverWait(
            self.chrome, WAIT_SECONDS, 0.05, ignored_exceptions=[StaleElementReferenceException]
        )
        return waiting.until(lambda _: probe(), f"not true on {self.chrome.current_url}: {what}")

    def shoot(self, name: str) -> None:
        """Save a picture for people to look at, in the folder AUTORES_SHOTS; none without it."""
        if self._shots is None:
            return
        self._shots.mkdir(parents=True, exist_ok=True)
        self.chrome.save_screenshot(str(self._shots / f"{name}.png"))

    def find_overflow(self) -> list[str]:
        """What makes the page wider than its window, if anything does."""
        return self.run(
            """
            const width = document.documentElement.clientWidth;
            if (document.documentElement.scrollWidth <= width) { return []; }
            return [...document.body.querySelectorAll("*")]
                .filter((item) => item.getBoundingClientRect().right > width + 1)
                .slice(0, 8)
                .map((item) => item.outerHTML.slice(0, 160));
            """
        )

    def take_errors(self) -> list[str]:
        """What the console has shown in red since the last call."""
        return [
            entry["message"]
            for entry in self.chrome.get_log("browser")
            if entry["level"] == "SEVERE" and "/favicon.ico" not in entry["message"]
        ]


def _is_gone(element: WebElement) -> bool:
    try:
        element.is_enabled()
    except StaleElementReferenceException:
        return True
    return False
