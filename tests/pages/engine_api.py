"""The engine's API as another client sees it: what the pages show is compared with this."""

import json
import os
import time
import urllib.request
from urllib.error import HTTPError

URL = os.environ.get("PULSELAKE_TEST_PAGES_URL", "")
TOKEN = os.environ.get("PULSELAKE_TEST_PAGES_TOKEN", "")
PATIENCE_S = 120


def get(path, url=None):
    """JSON of a path below /api/v1."""
    request = urllib.request.Request(f"{url or URL}/api/v1/{path}", headers={"Authorization": f"Bearer {TOKEN}"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


def status_of(path):
    """Status code of a GET."""
    try:
        get(path)
    except HTTPError as error:
        return error.code
    return 200


def wait_for(what, ask, patience_s=PATIENCE_S):
    """The first answer that is neither None nor False; fails with `what` when there is none in time."""
    deadline = time.monotonic() + patience_s
    while True:
        answer = ask()
        if answer is not None and answer is not False:
            return answer
        if time.monotonic() > deadline:
            raise AssertionError(f"{patience_s} s have passed before this was true: {what}")
        time.sleep(0.1)
