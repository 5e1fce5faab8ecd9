"""*Pulselake: service levels*: are the promises kept, and what wears the error budget?"""

from grafana_foundation_sdk.models import units

from .frame import FIRING, Rows, assemble
from .panels import AMBER, FRESHNESS, GREEN, RED, listing, number, series, states
from .sources import (
    level,
    now,
    now_as_table,
    of,
    over_time,
    quantile,
    recorded,
    rise,
    summed,
)

GOLD = 'table="gold.rt_video_stats_1min"'
LATENCY = "pulselake_end_to_end_latency_seconds"
FRESHNESS_LIMITS = [(180, AMBER), (600, RED)]
"""Above 3 min for 5 min gold is degraded, above 10 min stale."""

ALLOWED_LATE = 0.05
"""Of the rows of gold: the objective is 95 of 100, as in config/prometheus/rules/recording.yml."""

PRESENT: Rows = [
    (
        "Now",
        [
            number(
                "Freshness",
                "What decisions make of gold's age, the worst engine. Degraded: only REVIEW is decided. Stale: nothing is. Back after 15 healthy minutes.",
                units.Short,
                now(level("max", "pulselake_freshness_state")),
                meanings=FRESHNESS,
                runbook="GoldStale",
            ),
            number(
                "Age of gold",
                "From an event to its visible row over the last minutes, as decisions see it; where nothing is decided, the time since gold's last commit.",
                units.Seconds,
                now(f"max({recorded('instance:pulselake_gold_age:seconds')})"),
                limits=FRESHNESS_LIMITS,
                runbook="FreshnessDegraded",
            ),
            number(
                "Rate now",
                "Records taken from the source.",
                units.EventsPerSecond,
                now(f"sum({recorded('instance:pulselake_source_records:rate5m')})"),
            ),
            number(
                "Lag",
                "Records between the positions and the ends of the partitions.",
                units.Short,
                now(f"sum({recorded('instance:pulselake_consumer_lag_records:sum')})"),
                runbook="LagRising",
            ),
            number(
                "Budget left now",
                "Of the rows of gold that may be later than 3 minutes in 30 days.",
                units.PercentUnit,
                now(f"min({recorded('job:pulselake_freshness_budget:remaining_ratio')})"),
                limits=[(0, AMBER), (0.25, GREEN)],
                below=RED,
                runbook="FreshnessBudgetBurnsSlowly",
            ),
            number(
                "Engines",
                "That answer Prometheus.",
                units.Short,
                now(level("count", "pulselake_build_info")),
                limits=[(1, GREEN)],
                below=RED,
                runbook="Down",
            ),
        ],
    )
]

FRESH: Rows = [
    (
        "Freshness against what is promised",
        [
            series(
                "Gold: from a minute's end to its visible rows",
                "The first event of a minute is a minute older than its end, so 2 min here are the 3 min that are promised for P95. Usual: 10 to 25 s.",
                units.Seconds,
                over_time(quantile(0.5, LATENCY, GOLD), "P50"),
                over_time(quantile(0.95, LATENCY, GOLD), "P95"),
                over_time(quantile(0.99, LATENCY, GOLD), "P99"),
                limits=[(120, AMBER), (540, RED)],
                runbook="FreshnessDegraded",
            ),
            series(
                "Event to the live board",
                "From an event to its count on the board, which pages and API show. Promised: P95 below 1 s.",
                units.Seconds,
                over_time(quantile(0.5, "pulselake_board_latency_seconds"), "P50"),
                over_time(quantile(0.95, "pulselake_board_latency_seconds"), "P95"),
                over_time(quantile(0.99, "pulselake_board_latency_seconds"), "P99"),
                limits=[(1, AMBER)],
            ),
            series(
                "Event to row, P95 by table",
                "From an event or change (gold: its minute's end) to its visible row.",
                units.Seconds,
                over_time(quantile(0.95, LATENCY, by="table"), "{{table}}"),
            ),
            states(
                "State of freshness",
                "Of each engine: fresh, degraded (only REVIEW is decided), stale (nothing is decided).",
                FRESHNESS,
                over_time(of("pulselake_freshness_state"), "{{instance}}"),
                runbook="GoldStale",
            ),
            series(
                "Age of gold, P95",
                "What the state is made of. Above 3 min for 5 min: degraded. Above 10 min: stale. 15 healthy minutes: fresh.",
                units.Seconds,
                over_time(recorded("instance:pulselake_gold_age:seconds"), "{{instance}}"),
                limits=FRESHNESS_LIMITS,
                width=12,
                runbook="FreshnessDegraded",
            ),
        ],
    )
]


def burn_rate(window: str) -> str:
    return f"{recorded(f'job:pulselake_late_gold:ratio_rate{window}')} / {ALLOWED_LATE}"


BUDGET: Rows = [
    (
        "Error budget: 95 of 100 rows of gold within 3 minutes of their events, over 30 days",
        [
            series(
                "Burn rate, fast windows",
                "How many times quicker than allowed the budget is spent: at 1 it lasts 30 days. "
                "Paged where an hour and its last five minutes are above 14.4, or six hours and their last half hour above 6.",
                units.Short,
                *(over_time(burn_rate(window), f"{window}, {{{{job}}}}") for window in ("5m", "30m", "1h", "6h")),
                limits=[(6, AMBER), (14.4, RED)],
                runbook="FreshnessBudgetBurnsFast",
            ),
            series(
                "Burn rate, slow windows",
                "A warning where a day and its last two hours are above 3, or three days and their last six hours above 1.",
                units.Short,
                *(over_time(burn_rate(window), f"{window}, {{{{job}}}}") for window in ("2h", "6h", "1d", "3d")),
                limits=[(1, AMBER), (3, RED)],
                runbook="FreshnessBudgetBurnsSlowly",
            ),
            series(
                "Budget left",
                "Of the rows that may be late in 30 days: 100 % nothing spent, 0 % spent, below that overspent. Right after 30 days of Prometheus' data.",
                units.PercentUnit,
                over_time(recorded("job:pulselake_freshness_budget:remaining_ratio"), "{{job}}"),
                minimum=None,
                maximum=1,
                runbook="FreshnessBudgetBurnsSlowly",
            ),
        ],
    )
]

INPUT: Rows = [
    (
        "What comes in",
        [
            series(
                "Rate",
                "Records taken from the source.",
                units.EventsPerSecond,
                over_time(summed("pulselake_source_records_total", by="instance"), "{{instance}}"),
                is_stacked=True,
            ),
            series(
                "Bytes",
                "Of the values taken from the source.",
                units.BytesPerSecondIEC,
                over_time(summed("pulselake_source_bytes_total", by="instance"), "{{instance}}"),
                is_stacked=True,
            ),
            series(
                "Lag by partition",
                "Records between the position and the end. One partition alone: a hot key. All of them: more comes in than is taken.",
                units.Short,
                over_time(level("sum", "pulselake_consumer_lag_records", by="partition"), "{{partition}}"),
                runbook="LagRising",
            ),
            series(
                "Lag of the watermark",
                "How far each partition's watermark is behind the clock. Without traffic it grows until the partition is idle.",
                units.Seconds,
                over_time(level("max", "pulselake_watermark_lag_seconds", by="partition"), "{{partition}}"),
            ),
            series(
                "Rate by partition",
                "Uneven where one key takes much of the traffic.",
                units.EventsPerSecond,
                over_time(summed("pulselake_source_records_total", by="partition"), "{{partition}}"),
            ),
            series(
                "Lost at the source",
                "Offsets that the source deleted before they were consumed, in five minutes. Any is too many: retention is too short.",
                units.Short,
                over_time(rise("pulselake_lost_records_total", "5m", by="partition"), "{{partition}}"),
                limits=[(1, RED)],
                runbook="RecordsLost",
            ),
        ],
    ),
    (
        "What is late, repeated or rejected",
        [
            series(
                "Late share",
                "Events that came after their window closed and make a correction, or were too late even for that, of all records over 15 minutes.",
                units.PercentUnit,
                over_time(recorded("job:pulselake_late_records:ratio_rate15m"), "late and too late, {{job}}"),
                over_time(f"{summed('pulselake_dropped_records_total')} / {summed('pulselake_source_records_total')}", "too late: not in gold"),
                limits=[(0.05, AMBER)],
                width=6,
                runbook="LateShareHigh",
            ),
            series(
                "Duplicates",
                "Events seen before within the deduplication horizon, of all records. Counted once in gold.",
                units.PercentUnit,
                over_time(f"{summed('pulselake_duplicate_records_total')} / {summed('pulselake_source_records_total')}", "duplicates"),
                width=6,
            ),
            series(
                "Quarantine by code",
                "Records that the decoder rejected, per minute. pulselake quarantine list shows them.",
                units.EventsPerMinute,
                over_time(f"60 * {summed('pulselake_rejected_records_total', by='code')} > 0", "{{code}}"),
                is_stacked=True,
                width=6,
                runbook="QuarantineSpike",
            ),
            series(
                "Share rejected by code",
                "Of all records, those of changes included. More than 1 % of one code, and more than 20 records in five minutes, is a spike.",
                units.PercentUnit,
                over_time(recorded("job_code:pulselake_rejected_records:ratio_rate5m"), "{{code}}, {{job}}"),
                limits=[(0.01, AMBER)],
                width=6,
                runbook="QuarantineSpike",
            ),
        ],
    ),
    (
        "Alerts",
        [
            listing(
                "Firing now",
                "Alerts of config/prometheus that fire. The runbook of each has its steps.",
                now_as_table(FIRING),
                columns={"Time": "as of", "severity": "severity", "alertname": "alert", "instance": "engine", "table": "table", "code": "code"},
                colours={"severity": {"critical": RED, "warning": AMBER}},
                width=24,
                height=8,
            )
        ],
    ),
]

DASHBOARD = assemble(
    uid="pulselake-service",
    title="Pulselake: service levels",
    description="Are the promises kept, and what wears the error budget? docs/grafana.md",
    refresh="30s",
    since="now-6h",
    rows=[*PRESENT, *FRESH, *BUDGET, *INPUT],
    further=[],
    uses_trino=False,
)
