"""*Pulselake: content*: what viewers do, what is decided about it, and whether the daily batch agrees.

What the engine has a metric for comes from Prometheus; the rest is asked of the serving views and tables in Trino.
"""

from grafana_foundation_sdk.models import units

from .frame import CATALOG, VIEWS, Rows, assemble
from .panels import AMBER, BLUE, GREEN, RED, VERDICT, listing, number, series, states
from .sources import IN_TIME, Sql, level, now, over_time, quantile, recorded, rise

SERVING = "${catalog}.${views}"
WORD_COLOURS = {"BOOST": GREEN, "REVIEW": AMBER, "RESCUE": BLUE}
STATE_COLOURS = {"PENDING": BLUE, "ACKED": BLUE, "DONE": GREEN, "EXPIRED": AMBER, "HOLD": AMBER}
VERDICT_COLOURS = {"PASS": GREEN, "WARN": AMBER, "CRIT": RED}
DOOMSCROLL_LIMITS = [(0.40, AMBER), (0.45, RED)]

PRESENT: Rows = [
    (
        "At present: the newest minute in gold",
        [
            number(
                "Doomscroll rate now",
                "Skips / impressions of all videos in the newest minute. Above 40 % a warning, above 45 % an alert.",
                units.PercentUnit,
                Sql(f"SELECT doomscroll_rate FROM {SERVING}.global_doomscroll_rate ORDER BY metric_minute DESC LIMIT 1"),
                limits=DOOMSCROLL_LIMITS,
                field="doomscroll_rate",
                runbook="DoomscrollHigh",
            ),
            number(
                "Cold start",
                "Share of the active videos younger than an hour whose velocity is above 0.05. Aim: above 20 %; below 10 % is red.",
                units.PercentUnit,
                Sql(f"SELECT rising_share FROM {SERVING}.cold_start_health"),
                limits=[(0.1, AMBER), (0.2, GREEN)],
                below=RED,
                field="rising_share",
            ),
            number(
                "Seen by nobody",
                "Active videos younger than an hour without any event.",
                units.Short,
                Sql(f"SELECT unseen FROM {SERVING}.cold_start_health"),
                field="unseen",
            ),
            number(
                "Fresh supply",
                "Share of videos younger than an hour among the active ones that are watched. Falls when uploads stop.",
                units.PercentUnit,
                Sql(f"SELECT fresh_ratio FROM {SERVING}.fresh_supply"),
                field="fresh_ratio",
                runbook="FreshSupplyFalling",
            ),
            number(
                "Videos watched",
                "Videos with an event in the last 30 minutes on the live board.",
                units.Short,
                now(level("sum", "pulselake_board_videos")),
            ),
            number(
                "Decisions in an hour",
                "That entered the queue of actions. The first of a kind after a start is not among them: a counter begins with it.",
                units.Short,
                now(f"{rise('pulselake_taken_decisions_total', '1h')} or vector(0)"),
                decimals=0,
            ),
        ],
    )
]

VIRAL: Rows = [
    (
        "Viral velocity",
        [
            listing(
                "Trending",
                "The 50 videos with the highest velocity: (likes + 5 · shares) / max(impressions, 100) over 30 minutes.",
                Sql(
                    f"""
SELECT rank, video_id, category, region, velocity_30m, completion_rate_30m, skip_rate_30m, impressions_30m, upload_age_s
FROM {SERVING}.trending_videos
ORDER BY rank
"""
                ),
                units={
                    "completion_rate_30m": units.PercentUnit,
                    "skip_rate_30m": units.PercentUnit,
                    "impressions_30m": units.Short,
                    "upload_age_s": units.DurationSeconds,
                },
                limits={"skip_rate_30m": [(0.35, AMBER)]},
                height=12,
            ),
            series(
                "Velocity of the ten that lead",
                "How those that lead at present came up. Reads their minutes alone; a longer time costs more.",
                units.Short,
                Sql(
                    f"""
SELECT metric_minute AS time, velocity_30m, video_id
FROM {SERVING}.v_rt_video_metrics_30m_1m
WHERE video_id IN (SELECT video_id FROM {SERVING}.trending_videos WHERE rank <= 10)
  AND metric_minute {IN_TIME}
ORDER BY metric_minute
""",
                    is_time_series=True,
                ),
                named_by="video_id",
                width=12,
                height=12,
            ),
        ],
    ),
    (
        "Viewers",
        [
            series(
                "Doomscroll rate",
                "Skips / impressions of all videos by minute. Above 40 % a warning, above 45 % an alert.",
                units.PercentUnit,
                Sql(
                    f"""
SELECT metric_minute AS time, doomscroll_rate
FROM {SERVING}.global_doomscroll_rate
WHERE metric_minute {IN_TIME}
ORDER BY metric_minute
""",
                    is_time_series=True,
                ),
                limits=DOOMSCROLL_LIMITS,
                runbook="DoomscrollHigh",
            ),
            series(
                "Impressions and skips",
                "Of all videos by minute.",
                units.Short,
                Sql(
                    f"""
SELECT metric_minute AS time, impressions, skips
FROM {SERVING}.global_doomscroll_rate
WHERE metric_minute {IN_TIME}
ORDER BY metric_minute
""",
                    is_time_series=True,
                ),
            ),
            series(
                "Interactions by version of the app",
                "(likes + shares) / impressions by minute: a broken client stands out. Reads bronze, so keep the time short.",
                units.PercentUnit,
                Sql(
                    f"""
SELECT metric_minute AS time, interaction_rate, coalesce(app_version, 'unknown') AS app_version
FROM {SERVING}.interaction_rate_by_app_version
WHERE metric_minute {IN_TIME}
ORDER BY metric_minute
""",
                    is_time_series=True,
                ),
                named_by="app_version",
            ),
        ],
    ),
    (
        "New videos",
        [
            listing(
                "Cold start and fresh supply",
                "New videos: how many there are, how many rise, how many nobody has seen; and their share of what is watched.",
                Sql(
                    f"""
SELECT cold.window_end, cold.videos, cold.rising, cold.rising_share, cold.state, cold.unseen, supply.active, supply.fresh, supply.fresh_ratio
FROM {SERVING}.cold_start_health AS cold
CROSS JOIN {SERVING}.fresh_supply AS supply
"""
                ),
                units={"rising_share": units.PercentUnit, "fresh_ratio": units.PercentUnit},
                colours={"state": {"green": GREEN, "amber": AMBER, "red": RED}},
                width=16,
                height=6,
            ),
            series(
                "Uploads by hour",
                "Videos of the dimension by the hour of their upload: a drought shows here first.",
                units.Short,
                Sql(
                    f"""
SELECT date_trunc('hour', upload_time) AS time, count(*) AS uploads
FROM {SERVING}.v_dim_videos
WHERE upload_time {IN_TIME}
GROUP BY date_trunc('hour', upload_time)
ORDER BY time
""",
                    is_time_series=True,
                ),
                height=6,
                runbook="FreshSupplyFalling",
            ),
        ],
    ),
    (
        "As the alerts see it, without Trino",
        [
            series(
                "Doomscroll rate of the live board",
                "Skips / impressions of the newest minute that is over, all engines of a job. Above 45 % for 5 minutes is an alert.",
                units.PercentUnit,
                over_time(recorded("job:pulselake_doomscroll:ratio"), "{{job}}"),
                limits=DOOMSCROLL_LIMITS,
                width=12,
                height=6,
                runbook="DoomscrollHigh",
            ),
            series(
                "Fresh supply of the live board",
                "Share of videos younger than an hour among the active ones that are watched. Half of what it was in the six hours before is an alert.",
                units.PercentUnit,
                over_time(recorded("job:pulselake_fresh_supply:ratio"), "{{job}}"),
                width=12,
                height=6,
                runbook="FreshSupplyFalling",
            ),
        ],
    ),
]

DECISIONS: Rows = [
    (
        "Decisions",
        [
            series(
                "Decisions by type",
                "That entered the queue, in ten minutes.",
                units.Short,
                over_time(rise("pulselake_taken_decisions_total", "10m", by="type"), "{{type}}"),
                is_stacked=True,
            ),
            series(
                "Held back",
                "Decisions that the rules called for in ten minutes, by what held them back: the pause of a video, degraded data. "
                "Immature reviews wait for plays to end.",
                units.Short,
                over_time(rise("pulselake_suppressed_decisions_total", "10m", by="reason"), "{{reason}}"),
                over_time(rise("pulselake_immature_reviews_total", "10m"), "immature reviews"),
            ),
            series(
                "Partitions not decided about",
                "By reason: stale, not covered by the board, minute open, watermark behind.",
                units.Short,
                over_time(level("sum", "pulselake_undecided_partitions", by="reason"), "{{reason}}"),
                is_stacked=True,
            ),
            series(
                "Queue",
                "Actions in memory by state. PENDING that grows: nobody carries them out.",
                units.Short,
                over_time(level("sum", "pulselake_queued_actions", by="state"), "{{state}}"),
                is_stacked=True,
            ),
            series(
                "Rounds",
                "Time that a round takes with its commit, and how long ago the newest decided minute ended.",
                units.Seconds,
                over_time(quantile(0.95, "pulselake_decision_round_seconds"), "round, P95"),
                over_time(level("max", "pulselake_decided_minute_age_seconds", by="instance"), "{{instance}} newest minute"),
            ),
            series(
                "Outbox and trouble",
                "Actions that wait to be sent and those that expired; failed rounds, failures of the outbox, refused files of rules. Counts of ten minutes.",
                units.Short,
                over_time(level("sum", "pulselake_unsent_actions"), "unsent"),
                over_time(rise("pulselake_expired_actions_total", "10m"), "expired"),
                over_time(rise("pulselake_decision_failures_total", "10m"), "failed rounds"),
                over_time(rise("pulselake_outbox_failures_total", "10m"), "outbox failures"),
                over_time(rise("pulselake_refused_rules_files_total", "10m"), "refused files"),
            ),
            listing(
                "Newest actions",
                "gold.rt_action_queue: what was decided in the dashboard's time, by which numbers, and what became of it.",
                Sql(
                    f"""
SELECT decided_at, video_id, decision_type, state, velocity_30m, completion_rate_30m, skip_rate_30m, impressions_30m, rule_version,
       array_join(reason_codes, ', ') AS reasons
FROM ${{catalog}}.gold.rt_action_queue
WHERE decided_at {IN_TIME}
ORDER BY decided_at DESC
LIMIT 200
"""
                ),
                units={"completion_rate_30m": units.PercentUnit, "skip_rate_30m": units.PercentUnit},
                colours={"decision_type": WORD_COLOURS, "state": STATE_COLOURS},
                width=24,
            ),
        ],
    )
]

BATCH: Rows = [
    (
        "Batch: does real time agree?",
        [
            number(
                "Verdict of the newest day",
                "The worst metric of the newest reconciled day. CRIT holds the day's baseline back. From the file that batch run writes for node_exporter.",
                units.Short,
                now("max(pulselake_reconciliation_status)"),
                meanings=VERDICT,
                runbook="ReconciliationCrit",
            ),
            number(
                "Reconciled day",
                "How long ago the newest reconciled day began. More than two days: the batch does not run.",
                units.DurationSeconds,
                now("time() - max(pulselake_reconciled_day_timestamp_seconds)"),
                limits=[(172_800, AMBER)],
                runbook="ReconciliationCrit",
            ),
            states(
                "Verdict by metric",
                "Of the newest reconciled day, over time.",
                VERDICT,
                over_time("max by (metric) (pulselake_reconciliation_status)", "{{metric}}"),
                width=8,
            ),
            series(
                "Difference beside what is allowed",
                "95th percentile of the minutes' differences over what it may be: 100 % is the limit to WARN, 200 % to CRIT.",
                units.PercentUnit,
                over_time(
                    "max by (metric) (pulselake_reconciliation_p95_difference / on (metric, instance) pulselake_reconciliation_threshold)",
                    "{{metric}}",
                ),
                limits=[(1, AMBER), (2, RED)],
                runbook="ReconciliationCrit",
            ),
            listing(
                "Reconciliation by day",
                "gold.rt_batch_reconciliation of the last 14 days that are there: real time against batch, the worst first.",
                Sql(
                    """
SELECT date, metric_name, status, p95_difference, threshold, max_difference, rt_total, batch_total, minutes
FROM ${catalog}.gold.rt_batch_reconciliation
WHERE date > (SELECT max(date) FROM ${catalog}.gold.rt_batch_reconciliation) - INTERVAL '14' DAY
ORDER BY date DESC, p95_difference / threshold DESC
"""
                ),
                units={"rt_total": units.Short, "batch_total": units.Short},
                colours={"status": VERDICT_COLOURS},
            ),
            listing(
                "Batch runs",
                "qa.batch_runs: the newest runs of jobs, why they ran or failed, and how long they took.",
                Sql(
                    """
SELECT started_at, job, date, status, reason, rows_in, rows_out, files, date_diff('second', started_at, finished_at) AS duration_s
FROM ${catalog}.qa.batch_runs
ORDER BY started_at DESC
LIMIT 100
"""
                ),
                units={"duration_s": units.DurationSeconds, "rows_in": units.Short, "rows_out": units.Short},
                colours={"status": {"done": GREEN, "unchanged": BLUE, "failed": RED}},
            ),
            series(
                "Payload fields",
                "Of the newest day: fields seen for the first time, values that did not fit their column, values in bronze alone. A new client shows here.",
                units.Short,
                over_time("max(pulselake_payload_new_fields)", "new fields"),
                over_time("max(pulselake_payload_conflicting_values)", "conflicting values"),
                over_time("max(pulselake_payload_values_without_column)", "without column"),
                width=24,
                height=6,
            ),
        ],
    )
]

DASHBOARD = assemble(
    uid="pulselake-content",
    title="Pulselake: content",
    description="What viewers do, what is decided about it, and whether the daily batch agrees. Needs the serving views in Trino. docs/grafana.md",
    refresh="5m",
    since="now-3h",
    rows=[*PRESENT, *VIRAL, *DECISIONS, *BATCH],
    further=[CATALOG, VIEWS],
    uses_trino=True,
)
