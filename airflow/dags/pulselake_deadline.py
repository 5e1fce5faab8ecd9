"""What happens when a day is not ready by 09:00 UTC: an error in the log, in whose place your own notifier belongs."""

import logging
from datetime import datetime

log = logging.getLogger(__name__)


def tell_of_missed_deadline(context: dict, **_: object) -> None:
    """Says that the day's tables are late. Days that are caught up are not: their run was made when they were due already."""
    run, due = context["dag_run"], moment(context["deadline"]["deadline_time"])
    if moment(run["queued_at"]) >= due:
        return
    log.error("Pulselake: the tables of %s are not ready, they were due at %s (run %s)", run["logical_date"][:10], due, run["dag_run_id"])


def moment(given: str | datetime) -> datetime:
    """Airflow hands moments on as text or as they are, by the way that the context has taken."""
    return given if isinstance(given, datetime) else datetime.fromisoformat(given.replace("Z", "+00:00"))
