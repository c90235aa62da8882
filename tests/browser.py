"""A real Chromium to look at pages with: for tests, and for the screenshots of `make docs`."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any, Final

CHROMIUM: Final = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
DRIVER: Final = shutil.which("chromedriver")

SWITCHES: Final = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def open_browser(profile: Path) -> Any:
    """A driver of a Chromium that keeps what browsers keep in `profile`, and asks no network."""
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = str(CHROMIUM)
    for switch in (*SWITCHES, f"--user-data-dir={profile}"):
        options.add_argument(switch)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    return webdriver.Chrome(options=options, service=Service(str(DRIVER)))


def show(driver: Any, page: Path, *, width: int, dark: bool = False, height: int = 1600) -> None:
    """Open a page in a window of this width, in light or in dark."""
    driver.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride", {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
    )
    scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
    driver.get(page.resolve().as_uri())


def main(page: Path, folder: Path) -> None:
    """Write the whole page as pictures, wide and narrow, light and dark."""
    import base64
    import tempfile

    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as profile:
        driver = open_browser(Path(profile))
        try:
            for width in (1280, 400):
                for dark in (False, True):
                    show(driver, page, width=width, dark=dark)
                    taken = driver.execute_cdp_cmd("Page.captureScreenshot", {"captureBeyondViewport": True})
                    name = f"{page.stem}-{width}-{'dark' if dark else 'light'}.png"
                    (folder / name).write_bytes(base64.b64decode(taken["data"]))
        finally:
            driver.quit()


if __name__ == "__main__":
    if CHROMIUM and DRIVER:
        main(Path(sys.argv[1]), Path(sys.argv[2]))
    else:
        print("no Chromium with its driver: no screenshots are made", file=sys.stderr)
