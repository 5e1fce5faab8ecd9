-- One row per percentile of one metric, of all videos or of a cohort: what the rules call much and little from the next day on.
-- The sample are a video's rolling 30 minutes, in each minute of the day in which something happened to it, where they have at
-- least 100 impressions. No rows below a sample of 1000.
--   rule_version     version of the rules in force
--   effective_from   the day after
--   effective_to     NULL: until another one follows
--   metric_name, percentile   velocity_30m and 90; impressions_30m and 40
--   cohort_category, cohort_region   of the version of the video at the end of the minute; both NULL: all videos. Only cohorts with
--                    a sample of at least 200
--   threshold_value  the percentile, interpolated
--   sample_size      rows of the sample
--   is_fallback      false
--   computed_at      when
{% import "dialect" as d -%}
{%- macro percentile(metric, percent) -%}
min(CASE WHEN {{ metric }}_place = {{ metric }}_below THEN {{ metric }} END)
               + (min(CASE WHEN {{ metric }}_place = least({{ metric }}_below + 1, sample_size - 1) THEN {{ metric }} END)
                  - min(CASE WHEN {{ metric }}_place = {{ metric }}_below THEN {{ metric }} END))
               * (CAST({{ percent }} * (sample_size - 1) - 100 * max({{ metric }}_below) AS double) / 100)
{%- endmacro -%}
WITH minutes AS (
    SELECT video_id,
           {{ d.minute_of('event_timestamp') }} AS minute,
           count(CASE WHEN event_type = 'impression' THEN 1 END) AS impressions,
           count(CASE WHEN event_type = 'like' THEN 1 END)       AS likes,
           count(CASE WHEN event_type = 'share' THEN 1 END)      AS shares
    FROM silver.fact_user_engagement
    WHERE event_timestamp >= {{ d.moment(minutes_from_start(-29)) }} AND event_timestamp < {{ d.moment(day_end) }}
    GROUP BY video_id, {{ d.minute_of('event_timestamp') }}
),
rolling AS (
    SELECT video_id,
           minute,
           sum(impressions) OVER newest_30m AS impressions,
           sum(likes) OVER newest_30m       AS likes,
           sum(shares) OVER newest_30m      AS shares
    FROM minutes
    WINDOW newest_30m AS (
        PARTITION BY video_id ORDER BY minute
        RANGE BETWEEN INTERVAL '29' MINUTE PRECEDING AND CURRENT ROW
    )
),
seen AS (
    SELECT video_id,
           minute + INTERVAL '1' MINUTE                                     AS minute_end,
           CAST(impressions AS double)                                      AS impressions_30m,
           CAST(likes + 5 * shares AS double) / greatest(impressions, 100) AS velocity_30m
    FROM rolling
    WHERE minute >= {{ d.moment(day_start) }} AND impressions >= 100
),
placed AS (
    SELECT seen.impressions_30m,
           seen.velocity_30m,
           version.category,
           version.region
    FROM {{ view('v_dim_videos_history') }} AS version
    RIGHT JOIN seen ON seen.video_id = version.video_id AND NOT version.is_deleted
        AND version.started_at < seen.minute_end AND (version.valid_to >= seen.minute_end OR version.valid_to IS NULL)
),
-- Each row twice: among all, and in its cohort.
labelled AS (
    SELECT CASE WHEN side.is_all = 0 THEN category END AS cohort_category,
           CASE WHEN side.is_all = 0 THEN region END   AS cohort_region,
           side.is_all,
           impressions_30m,
           velocity_30m
    FROM placed
    CROSS JOIN (VALUES (0), (1)) AS side(is_all)
    WHERE side.is_all = 1 OR (category IS NOT NULL AND region IS NOT NULL)
),
ranked AS (
    SELECT labelled.*,
           row_number() OVER (PARTITION BY cohort_category, cohort_region ORDER BY velocity_30m) - 1    AS velocity_30m_place,
           row_number() OVER (PARTITION BY cohort_category, cohort_region ORDER BY impressions_30m) - 1 AS impressions_30m_place,
           count(*) OVER (PARTITION BY cohort_category, cohort_region)                                  AS sample_size,
           sum(is_all) OVER ()                                                                          AS rows_of_all
    FROM labelled
),
bounded AS (
    SELECT ranked.*,
           {{ d.whole('90 * (sample_size - 1)', 100) }} AS velocity_30m_below,
           {{ d.whole('40 * (sample_size - 1)', 100) }} AS impressions_30m_below
    FROM ranked
    WHERE rows_of_all >= 1000 AND sample_size >= CASE WHEN is_all = 1 THEN 1000 ELSE 200 END
),
percentiles AS (
    SELECT cohort_category,
           cohort_region,
           sample_size,
           {{ percentile('velocity_30m', 90) }} AS velocity_p90,
           {{ percentile('impressions_30m', 40) }} AS impressions_p40
    FROM bounded
    GROUP BY cohort_category, cohort_region, sample_size
)
SELECT '{{ rule_version | replace("'", "''") }}' AS rule_version,
       {{ d.date(day_after) }} AS effective_from,
       CAST(NULL AS date)      AS effective_to,
       metric.metric_name,
       CAST(metric.percentile AS integer) AS percentile,
       cohort_category,
       cohort_region,
       CASE metric.metric_name WHEN 'velocity_30m' THEN velocity_p90 ELSE impressions_p40 END AS threshold_value,
       sample_size,
       false                   AS is_fallback,
       {{ d.now() }}           AS computed_at
FROM percentiles
CROSS JOIN (VALUES ('velocity_30m', 90), ('impressions_30m', 40)) AS metric(metric_name, percentile)
