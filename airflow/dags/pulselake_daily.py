"""Every night at 03:00 UTC: the day before becomes silver and daily gold, is compared with real time, and gives baselines.

A run's logical date is the day that it makes. Tables and run log (qa.batch_runs) say what is done already: a task that is cleared or run
once more does what is missing, and nothing where nothing is. Two days before are looked at too, for events that came late.

Three variables in the environment of the DAG processor: with PULSELAKE_FIRST_DAY (such as 2026-01-31) days from then on are caught up, one
after the other; PULSELAKE_DEADLINE is the time of day at which tables are due, 09:00 without it, none when it is empty; PULSELAKE_METRICS_DIR
is where a worker leaves metrics for node_exporter's textfile collector, a file for each task, none without it.
"""

import os
from datetime import date, datetime, time, timedelta, timezone

from airflow.sdk import DAG, CronDataIntervalTimetable, DeadlineAlert, DeadlineReference, SyncCallback

from pulselake_deadline import tell_of_missed_deadline
from pulselake_operator import PulselakeOperator

FIRST_DAY = os.environ.get("PULSELAKE_FIRST_DAY")
BEGINS = time(hour=3)
"""Late enough for nearly all late events, six hours before the deadline."""
DEADLINE = os.environ.get("PULSELAKE_DEADLINE", "09:00")
METRICS_DIR = os.environ.get("PULSELAKE_METRICS_DIR")

DAY = ["--date", "{{ ds }}"]
WITH_LATE_DAYS = ["--from", "{{ macros.ds_add(ds, -2) }}", "--to", "{{ ds }}"]
SILVER = ["payload_fields", "fact_user_engagement"]
GOLD = ["batch_video_daily", "batch_quality_daily", "session_health_daily", "creator_retention_weekly"]


def batch_run(task_id: str, days: list[str], jobs: list[str], **options: object) -> PulselakeOperator:
    """A task that runs some jobs of `pulselake batch run`."""
    chosen = [word for job in jobs for word in ("--job", job)]
    metrics = ["--metrics-file", f"{METRICS_DIR}/pulselake_{task_id}.prom"] if METRICS_DIR else []
    return PulselakeOperator(task_id=task_id, arguments=["batch", "run", *days, *chosen, *metrics], **options)


def deadline() -> DeadlineAlert | None:
    """Asks for a run to have succeeded by DEADLINE on the day after its own, at which it begins."""
    if not DEADLINE:
        return None
    # A run's logical date is its day at BEGINS.
    own_day, next_day = date.min, date.min + timedelta(days=1)
    due = datetime.combine(next_day, time.fromisoformat(DEADLINE))
    return DeadlineAlert(
        name="ready in the morning",
        reference=DeadlineReference.DAGRUN_LOGICAL_DATE,
        interval=due - datetime.combine(own_day, BEGINS),
        callback=SyncCallback(tell_of_missed_deadline),
    )


with DAG(
    dag_id="pulselake_daily",
    description="Silver, daily gold, reconciliation and baselines of the day before",
    doc_md=__doc__,
    # Not a cron text alone: its logical date would be the moment of the run.
    schedule=CronDataIntervalTimetable(f"{BEGINS.minute} {BEGINS.hour} * * *", timezone="UTC"),
    start_date=datetime.fromisoformat(FIRST_DAY or "2020-01-01").replace(tzinfo=timezone.utc),
    catchup=FIRST_DAY is not None,
    max_active_runs=1,
    deadline=deadline(),
    default_args={"retries": 3, "retry_delay": timedelta(minutes=10)},
    tags=["pulselake"],
):
    silver = batch_run("silver", WITH_LATE_DAYS, SILVER)
    gold = batch_run("gold", WITH_LATE_DAYS, GOLD)
    # Fails at exit code 3, with the words of PulselakeOperator; what is behind it does not run then.
    reconciliation_gate = batch_run("reconciliation_gate", DAY, ["rt_batch_reconciliation"])
    baselines = batch_run("baselines", DAY, ["rt_rule_quantile_baselines"])
    silver >> gold >> reconciliation_gate >> baselines
