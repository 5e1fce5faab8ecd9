-- One row per metric: how far real time (gold) was from batch (silver) that day, minute by minute, over all videos.
--   date            the day (UTC)
--   metric_name     a count of gold.rt_video_stats_1min, or completion_rate, skip_rate, velocity of all videos together
--   kind            'count': the difference of a minute is abs(real time - batch) / max(batch, 100); 'rate': abs(real time - batch)
--   minutes         minutes that either side has; the other one counts with 0 there
--   p95_difference  95th percentile of the minutes' differences, interpolated
--   max_difference  the largest of them
--   threshold       0.08 for counts, 0.03 for rates
--   status          'PASS': p95_difference is at most the threshold; 'WARN': at most twice that; 'CRIT': more
--   rt_total, batch_total   the day's sum; of a rate, the rate of the day's sums
--   computed_at     when
{% import "dialect" as d -%}
{%- set counts = ['impressions', 'play_start', 'play_finish', 'likes', 'shares', 'skips', 'watch_time_sum_ms'] -%}
{%- macro value_of(side) -%}
           CASE metric_name
{%- for count in counts %}
               WHEN '{{ count }}' THEN CAST({{ side }}_{{ count }} AS double)
{%- endfor %}
               WHEN 'completion_rate' THEN CAST({{ side }}_play_finish AS double) / greatest({{ side }}_play_start, 1)
               WHEN 'skip_rate' THEN CAST({{ side }}_skips AS double) / greatest({{ side }}_play_start, 1)
               WHEN 'velocity' THEN CAST({{ side }}_likes + 5 * {{ side }}_shares AS double) / greatest({{ side }}_impressions, 100)
           END
{%- endmacro -%}
WITH sides AS (
    SELECT {{ d.minute_of('event_timestamp') }} AS minute,
           count(CASE WHEN event_type = 'impression' THEN 1 END)  AS batch_impressions,
           count(CASE WHEN event_type = 'play_start' THEN 1 END)  AS batch_play_start,
           count(CASE WHEN event_type = 'play_finish' THEN 1 END) AS batch_play_finish,
           count(CASE WHEN event_type = 'like' THEN 1 END)        AS batch_likes,
           count(CASE WHEN event_type = 'share' THEN 1 END)       AS batch_shares,
           count(CASE WHEN event_type = 'skip' THEN 1 END)        AS batch_skips,
           coalesce(sum(watch_time_ms), 0)                        AS batch_watch_time_sum_ms,
{%- for count in counts %}
           CAST(0 AS bigint)                                      AS rt_{{ count }}{{ "," if not loop.last }}
{%- endfor %}
    FROM silver.fact_user_engagement
    WHERE event_timestamp >= {{ d.moment(day_start) }} AND event_timestamp < {{ d.moment(day_end) }}
    GROUP BY {{ d.minute_of('event_timestamp') }}
    UNION ALL
    SELECT window_start,
{%- for count in counts %}
           CAST(0 AS bigint)                                      AS batch_{{ count }},
{%- endfor %}
{%- for count in counts %}
           sum({{ count }})                                       AS rt_{{ count }}{{ "," if not loop.last }}
{%- endfor %}
    FROM gold.rt_video_stats_1min
    WHERE window_start >= {{ d.moment(day_start) }} AND window_start < {{ d.moment(day_end) }}
    GROUP BY window_start
),
-- The row without a minute is the whole day.
minutes AS (
    SELECT minute,
{%- for count in counts %}
           sum(rt_{{ count }}) AS rt_{{ count }},
           sum(batch_{{ count }}) AS batch_{{ count }}{{ "," if not loop.last }}
{%- endfor %}
    FROM sides
    GROUP BY GROUPING SETS ((minute), ())
),
measured AS (
    SELECT minute,
           metric_name,
           kind,
{{ value_of('rt') }} AS rt,
{{ value_of('batch') }} AS batch
    FROM minutes
    CROSS JOIN (VALUES
{%- for count in counts %}
        ('{{ count }}', 'count'),
{%- endfor %}
        ('completion_rate', 'rate'),
        ('skip_rate', 'rate'),
        ('velocity', 'rate')
    ) AS metric(metric_name, kind)
),
apart AS (
    SELECT minute,
           metric_name,
           kind,
           rt,
           batch,
           CASE WHEN kind = 'count' THEN abs(rt - batch) / greatest(batch, CAST(100 AS double)) ELSE abs(rt - batch) END AS difference
    FROM measured
),
ranked AS (
    SELECT apart.*,
           row_number() OVER (
               PARTITION BY metric_name, CASE WHEN minute IS NULL THEN 1 ELSE 0 END ORDER BY difference
           ) - 1 AS place,
           count(minute) OVER (PARTITION BY metric_name) AS minutes
    FROM apart
),
placed AS (
    SELECT ranked.*,
           {{ d.whole('95 * (minutes - 1)', 100) }} AS place_below
    FROM ranked
),
neighbours AS (
    SELECT metric_name,
           kind,
           minutes,
           min(CASE WHEN minute IS NOT NULL AND place = place_below THEN difference END)                          AS below,
           min(CASE WHEN minute IS NOT NULL AND place = least(place_below + 1, minutes - 1) THEN difference END) AS above,
           CAST(95 * (minutes - 1) - 100 * max(place_below) AS double) / 100                                      AS share_of_above,
           max(CASE WHEN minute IS NOT NULL THEN difference END)                                                  AS max_difference,
           max(CASE WHEN minute IS NULL THEN rt END)                                                              AS rt_total,
           max(CASE WHEN minute IS NULL THEN batch END)                                                           AS batch_total
    FROM placed
    WHERE minutes > 0
    GROUP BY metric_name, kind, minutes
),
quantiles AS (
    SELECT neighbours.*,
           below + (above - below) * share_of_above                                       AS p95_difference,
           CASE WHEN kind = 'count' THEN CAST(0.08 AS double) ELSE CAST(0.03 AS double) END AS threshold
    FROM neighbours
)
SELECT {{ d.date(date) }} AS date,
       metric_name,
       kind,
       minutes,
       p95_difference,
       max_difference,
       threshold,
       CASE
           WHEN p95_difference <= threshold THEN 'PASS'
           WHEN p95_difference <= 2 * threshold THEN 'WARN'
           ELSE 'CRIT'
       END AS status,
       rt_total,
       batch_total,
       {{ d.now() }} AS computed_at
FROM quantiles
