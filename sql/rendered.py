"""What `pulselake batch render --format json` prints: the statements of a day, for the jobs in `spark/` and `trino/`.

A statement is one job's query for one day, the table that its rows go to, and what they replace there. The names of tables have
two parts (`silver.fact_user_engagement`); the catalog is the session's.
"""

import argparse
import json
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path


@dataclass(frozen=True)
class Statement:
    """One query and where its rows go.

    `replaces` is the condition on the rows of `target` that go in the same moment: of the day, or "TRUE" for all of them; None: rows are
    only added. `partition` is how the target is partitioned: "date", "day(event_timestamp)", None.
    """

    job: str
    date: str
    target: str
    columns: tuple[str, ...]
    partition: str | None
    replaces: str | None
    sql: str


def statements_of(document: dict) -> list[Statement]:
    """The statements of a document, in the order in which they have to run."""
    return [
        Statement(
            job=found["job"],
            date=found["date"],
            target=found["target"],
            columns=tuple(found["columns"]),
            partition=found["partition"],
            replaces=found["replaces"],
            sql=found["sql"] if found["replaces"] else published_once(found),
        )
        for found in document["statements"]
    ]


def published_once(found: dict) -> str:
    """The query of a baseline, without rows where it must not be published: while the day's reconciliation is missing or CRIT, and a
    second time for the same rules and day. What is published never changes."""
    verdicts = f"SELECT 1 FROM gold.rt_batch_reconciliation WHERE date = DATE '{found['date']}'"
    return f"""SELECT made.*
FROM (
{found["sql"]}
) AS made
WHERE EXISTS ({verdicts})
  AND NOT EXISTS ({verdicts} AND status = 'CRIT')
  AND NOT EXISTS (
      SELECT 1
      FROM {found["target"]} AS published
      WHERE published.rule_version = made.rule_version AND published.effective_from = made.effective_from
  )"""


def into_namespaces(statements: list[Statement], prefix: str) -> list[Statement]:
    """The same with PREFIX in front of the namespaces of all tables that the statements write, also where they read them.

    `prefix` "try_" makes `try_silver.fact_user_engagement`. What the stream writes (bronze, dimensions, real-time gold) is read where
    it is.
    """
    targets = sorted({statement.target for statement in statements}, key=len, reverse=True)
    if not prefix or not targets:
        return statements
    names = re.compile(r"(?<![\w.])(" + "|".join(re.escape(target) for target in targets) + r")(?!\w)")
    return [
        replace(statement, target=prefix + statement.target, sql=names.sub(lambda name: prefix + name[0], statement.sql))
        for statement in statements
    ]


def days_between(first: str, last: str) -> Iterator[str]:
    """Both ends belong to it."""
    day, end = date.fromisoformat(first), date.fromisoformat(last)
    while day <= end:
        yield day.isoformat()
        day += timedelta(days=1)


def add_arguments(options: argparse.ArgumentParser) -> None:
    """The arguments that say which statements are run, and where their rows go."""
    options.add_argument("--date", metavar="DAY", help="the day (UTC), such as 2026-02-07")
    options.add_argument("--from", dest="first", metavar="DAY", help="first day of several, which run in order")
    options.add_argument("--to", dest="last", metavar="DAY", help="last day of several")
    options.add_argument("--job", action="append", default=[], metavar="JOB", help="only this job; may be repeated")
    options.add_argument(
        "--rendered",
        type=Path,
        metavar="DIR",
        help="read DIR/DAY.json instead of running pulselake: what `pulselake batch render --format json` has written",
    )
    options.add_argument("--pulselake", default="pulselake", metavar="PROGRAM", help="the program that renders")
    options.add_argument(
        "--render-option",
        action="append",
        default=[],
        metavar="OPTION",
        help="handed on to `pulselake batch render`, such as --render-option=--config=/etc/pulselake/pulselake.toml; may be repeated",
    )
    options.add_argument(
        "--target-namespace-prefix",
        default="",
        metavar="PREFIX",
        help="write to PREFIXsilver, PREFIXgold, … instead: for comparing engines; tables that are missing are made",
    )


def days_of(chosen: argparse.Namespace, options: argparse.ArgumentParser) -> list[str]:
    """The days that the arguments name."""
    if chosen.date and not chosen.first and not chosen.last:
        return [date.fromisoformat(chosen.date).isoformat()]
    if chosen.first and chosen.last and not chosen.date:
        days = list(days_between(chosen.first, chosen.last))
        if days:
            return days
    options.error("give --date DAY, or --from DAY --to DAY, the earlier one first")


def run_days(
    chosen: argparse.Namespace,
    dialect: str,
    days: list[str],
    make_target: Callable[[Statement, str], None],
    run: Callable[[Statement], int],
) -> None:
    """Runs every statement of the days; one line of JSON for each says what it wrote.

    `run` gives the rows that it wrote. `make_target` makes a table that stands beside the one of that name, for a comparison.
    """
    prefix = chosen.target_namespace_prefix
    for day in days:
        for statement in statements_for(chosen, dialect, day):
            if prefix:
                make_target(statement, statement.target.removeprefix(prefix))
            started = time.monotonic()
            rows = run(statement)
            told = {"job": statement.job, "date": statement.date, "target": statement.target, "rows": rows}
            print(json.dumps(told | {"seconds": round(time.monotonic() - started, 3)}), flush=True)


def statements_for(chosen: argparse.Namespace, dialect: str, day: str) -> list[Statement]:
    """A day's statements in `dialect`, rendered by pulselake or earlier."""
    if chosen.rendered:
        text = (chosen.rendered / f"{day}.json").read_text()
    else:
        text = render(chosen, dialect, day)
    document = json.loads(text)
    if document["dialect"] != dialect:
        raise SystemExit(f"the statements of {day} are {document['dialect']}'s: render them with --dialect {dialect}")
    statements = into_namespaces(statements_of(document), chosen.target_namespace_prefix)
    known = list(dict.fromkeys(statement.job for statement in statements))
    for job in chosen.job:
        if job not in known:
            raise SystemExit(f"there is no job {job!r}: {', '.join(known)}")
    return [statement for statement in statements if not chosen.job or statement.job in chosen.job]


def render(chosen: argparse.Namespace, dialect: str, day: str) -> str:
    """Runs `pulselake batch render`. All jobs: which tables are written decides which names get the prefix."""
    command = [chosen.pulselake, "batch", "render", "--dialect", dialect, "--date", day, "--format", "json", *chosen.render_option]
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    except FileNotFoundError:
        raise SystemExit(f"{chosen.pulselake} was not found: name it by --pulselake, or render elsewhere and use --rendered") from None
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(command)} ended with exit code {done.returncode}: see its message above")
    return done.stdout
