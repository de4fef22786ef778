"""The browser of all tests, as it is when a person opens it."""

import driver
import pytest


@pytest.fixture
def browser(chromium):
    chromium.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "", "features": []})
    driver.errors(chromium)
    return chromium
