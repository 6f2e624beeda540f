"""Where the servers are that the SDKs talk to."""

import json
import os
import urllib.parse
import urllib.request

import pytest

# One red pixel.
PNG = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg=="
)


def required(name, what):
    url = os.environ.get(name)
    if not url:
        pytest.fail(f"{name} is not set: it must be the base URL of {what}", pytrace=False)
    return url.rstrip("/")


@pytest.fixture(scope="session")
def sim():
    return required("BACKSTOP_SIM_URL", "a running simulator, as printed by the example `sim`")


@pytest.fixture(scope="session")
def gateway():
    return required("BACKSTOP_GATEWAY_URL", "a running gateway, as printed by `backstop serve`")


@pytest.fixture(scope="session")
def text(sim):
    """The text that the simulator answers with, by model."""

    def fetch(model):
        url = f"{sim}/_sim/text?{urllib.parse.quote(model, safe='+=')}"
        with urllib.request.urlopen(url) as response:
            return json.load(response)["text"]

    return fetch
