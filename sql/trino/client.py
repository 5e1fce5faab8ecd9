"""Statements to a Trino server over its HTTP protocol, by Python's own library alone."""

import base64
import http.client
import json
import time
import urllib.error
import urllib.request
from collections.abc import Iterator

PATIENCE_S = 60
"""For one answer. A statement may take as many answers as it needs."""
TRIES = 5
"""Of a request that the server was too busy for (502, 503, 504) or that was lost: Trino's answers to one address can be asked for again."""


class TrinoError(Exception):
    """The server's refusal of a statement: `name`, such as TABLE_NOT_FOUND, and its words."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(f"{name}: {message}")
        self.name = name


class Trino:
    """A session: a server, a user, and the catalog in which names of two parts are looked up."""

    def __init__(self, url: str, catalog: str, user: str, password: str | None = None) -> None:
        self.url = url.rstrip("/")
        self.headers = {
            "X-Trino-User": user,
            "X-Trino-Catalog": catalog,
            "X-Trino-Source": "pulselake-batch",
            "X-Trino-Time-Zone": "UTC",
        }
        if password is not None:
            secret = base64.b64encode(f"{user}:{password}".encode()).decode()
            self.headers["Authorization"] = f"Basic {secret}"

    def rows(self, sql: str) -> Iterator[list]:
        """The rows of a statement.

        Raises TrinoError when the server refuses it.
        """
        page = self._ask(f"{self.url}/v1/statement", sql.encode(), tries=1)
        while True:
            if "error" in page:
                raise TrinoError(page["error"]["errorName"], page["error"]["message"])
            yield from page.get("data", [])
            if "nextUri" not in page:
                return
            page = self._ask(page["nextUri"], None, tries=TRIES)

    def run(self, sql: str) -> int | None:
        """Runs a statement to its end; gives the count of rows that it changed, where it changes rows."""
        found = list(self.rows(sql))
        return found[0][0] if found and isinstance(found[0][0], int) else None

    def _ask(self, url: str, body: bytes | None, tries: int) -> dict:
        for attempt in range(1, tries + 1):
            try:
                with urllib.request.urlopen(urllib.request.Request(url, body, self.headers), timeout=PATIENCE_S) as answer:
                    return json.load(answer)
            except urllib.error.HTTPError as error:
                if error.code not in (502, 503, 504) or attempt == tries:
                    raise SystemExit(f"{self.url} answered {error.code}: {error.read(2_000).decode('utf-8', 'replace')}") from None
            # An answer that was cut off, or is empty, counts as lost.
            except (OSError, http.client.HTTPException, json.JSONDecodeError) as error:
                if attempt == tries:
                    raise SystemExit(f"{self.url} does not answer: {error}") from None
            time.sleep(0.1 * 2**attempt)
        raise AssertionError("the last attempt returns or raises")
