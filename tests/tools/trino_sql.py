"""trino_sql.py URL SQL…: asks the Trino of trino-up.sh; prints each row as one line of JSON, an array. Exits 1 with Trino's message."""

import json
import sys
import time
import urllib.request


def ask(url, sql, capabilities=""):
    """Rows of a statement. Timestamps come to the millisecond, with the capability PARAMETRIC_DATETIME as they are."""
    headers = {"X-Trino-User": "tests", "X-Trino-Catalog": "lake", "X-Trino-Client-Capabilities": capabilities}
    request = urllib.request.Request(f"{url}/v1/statement", data=sql.encode(), headers=headers)
    while True:
        with urllib.request.urlopen(request, timeout=120) as response:
            page = json.load(response)
        if "error" in page:
            sys.exit(f"{page['error']['errorName']}: {page['error']['message']}")
        yield from page.get("data", [])
        if "nextUri" not in page:
            return
        if not page.get("data"):
            time.sleep(0.05)
        request = urllib.request.Request(page["nextUri"], headers={"X-Trino-User": "tests"})


if __name__ == "__main__":
    for statement in sys.argv[2:]:
        for row in ask(sys.argv[1], statement):
            print(json.dumps(row))
