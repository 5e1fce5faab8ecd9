-- Rolling 30 minutes per video at minute grain: the 29 minutes before each minute and the minute itself.
--   velocity_30m        = (likes + 5 * shares) / max(impressions, 100)
--   completion_rate_30m = play_finish / max(play_start, 1)
--   skip_rate_30m       = skips / max(play_start, 1)
WITH minutes AS (
    SELECT video_id,
           window_start,
           sum(impressions) AS impressions,
           sum(play_start)  AS play_start,
           sum(play_finish) AS play_finish,
           sum(likes)       AS likes,
           sum(shares)      AS shares,
           sum(skips)       AS skips
    FROM gold.rt_video_stats_1min
    GROUP BY video_id, window_start
),
rolling AS (
    SELECT video_id,
           window_start AS metric_minute,
           sum(impressions) OVER half_hour AS impressions_30m,
           sum(play_start)  OVER half_hour AS play_start_30m,
           sum(play_finish) OVER half_hour AS play_finish_30m,
           sum(likes)       OVER half_hour AS likes_30m,
           sum(shares)      OVER half_hour AS shares_30m,
           sum(skips)       OVER half_hour AS skips_30m
    FROM minutes
    WINDOW half_hour AS (
        PARTITION BY video_id ORDER BY window_start
        RANGE BETWEEN INTERVAL '29' MINUTE PRECEDING AND CURRENT ROW
    )
)
SELECT video_id,
       metric_minute,
       impressions_30m,
       (likes_30m + 5.0 * shares_30m) / greatest(impressions_30m, 100) AS velocity_30m,
       play_finish_30m * 1.0 / greatest(play_start_30m, 1)             AS completion_rate_30m,
       skips_30m * 1.0 / greatest(play_start_30m, 1)                   AS skip_rate_30m
FROM rolling
