-- One row per minute: how many of all impressions were skipped.
--   metric_minute    start of the minute (UTC)
--   impressions      impressions of all videos
--   skips            skips of all videos
--   doomscroll_rate  skips / impressions; NULL where there were no impressions
--   state            alert above 0.45, warn above 0.40, else ok; NULL without a rate
WITH minutes AS (
    SELECT window_start     AS metric_minute,
           sum(impressions) AS impressions,
           sum(skips)       AS skips
    FROM gold.rt_video_stats_1min
    GROUP BY window_start
),
rates AS (
    SELECT minutes.*,
           CAST(skips AS double) / nullif(impressions, 0) AS doomscroll_rate
    FROM minutes
)
SELECT rates.*,
       CASE
           WHEN doomscroll_rate > 0.45 THEN 'alert'
           WHEN doomscroll_rate > 0.40 THEN 'warn'
           WHEN doomscroll_rate IS NOT NULL THEN 'ok'
       END AS state
FROM rates
