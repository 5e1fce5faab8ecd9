"""Writes config/grafana/dashboards/*.json from the package beside this file; `--check` only says whether they are up to date.

    uv run --no-project --python 3.12 --with-requirements config/grafana/requirements.txt config/grafana/generate.py

The same code makes the same bytes: no clock, no random ids. Ends with 1 where --check finds a difference.
"""

import argparse
import json
import sys
from pathlib import Path

from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard
from pulselake_dashboards import content, engine_and_tables, service_levels

TARGET = Path(__file__).resolve().parent / "dashboards"
DASHBOARDS: dict[str, Dashboard] = {
    "service-levels.json": service_levels.DASHBOARD,
    "engine-and-tables.json": engine_and_tables.DASHBOARD,
    "content.json": content.DASHBOARD,
}


def as_text(dashboard: Dashboard) -> str:
    return json.dumps(dashboard, cls=JSONEncoder, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def outdated(target: Path = TARGET) -> list[str]:
    """What differs from the code: files that are missing, different, or of no dashboard."""
    found = [name for name, dashboard in DASHBOARDS.items() if not (target / name).is_file() or (target / name).read_text() != as_text(dashboard)]
    return found + sorted(file.name for file in target.glob("*.json") if file.name not in DASHBOARDS)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="change nothing; end with 1 if a file is not up to date")
    if parser.parse_args().check:
        names = outdated()
        for name in names:
            print(f"{TARGET / name} is not what the code makes: run {Path(__file__).name}", file=sys.stderr)
        return 1 if names else 0
    TARGET.mkdir(exist_ok=True)
    for name in outdated():
        (TARGET / name).unlink(missing_ok=True)
        if name in DASHBOARDS:
            (TARGET / name).write_text(as_text(DASHBOARDS[name]))
        print(f"{'wrote' if name in DASHBOARDS else 'removed'} {TARGET / name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
