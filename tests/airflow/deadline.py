"""deadline.py DAY: what Airflow makes of pulselake_daily's schedule and deadline for a day, as one line of JSON. Run by airflow.sh."""

import json
import logging
import os
import sys
from datetime import timedelta

from airflow._shared.timezones import timezone
from airflow.dag_processing.dagbag import BundleDagBag
from airflow.serialization.encoders import coerce_to_core_timetable
from airflow.timetables.base import TimeRestriction

DAYS_AHEAD = timedelta(days=400)


class Kept(logging.Handler):
    """Keeps what is logged."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(record.getMessage())


def told(callback: object, context: dict) -> list[str]:
    """What the callback logs in this context."""
    kept, logger = Kept(), logging.getLogger("pulselake_deadline")
    logger.addHandler(kept)
    callback(context=context)
    logger.removeHandler(kept)
    return kept.texts


def main() -> None:
    folder = os.environ["AIRFLOW__CORE__DAGS_FOLDER"]
    bag = BundleDagBag(folder, bundle_path=folder, bundle_name="dags-folder")
    dag = bag.dags["pulselake_daily"]
    from pulselake_deadline import tell_of_missed_deadline

    timetable = coerce_to_core_timetable(dag.timetable)
    window = TimeRestriction(earliest=timezone.parse(sys.argv[1]), latest=None, catchup=True)
    planned = timetable.next_dagrun_info(last_automated_data_interval=None, restriction=window)
    logical_date, begins = planned.logical_date, planned.run_after
    due = logical_date + dag.deadline[0].interval
    run = {"logical_date": logical_date.isoformat(), "dag_run_id": "scheduled__1"}
    context = {"deadline": {"deadline_time": due}}
    print(
        json.dumps(
            {
                "day": logical_date.date().isoformat(),
                "begins": begins.isoformat(),
                "due": due.isoformat(),
                "max_active_runs": dag.max_active_runs,
                "told": told(tell_of_missed_deadline, context | {"dag_run": run | {"queued_at": begins.isoformat()}}),
                "told_of_a_caught_up_day": told(
                    tell_of_missed_deadline, context | {"dag_run": run | {"queued_at": (begins + DAYS_AHEAD).isoformat()}}
                ),
            }
        )
    )


main()
