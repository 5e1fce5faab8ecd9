-- One row per video with an event in the last 30 minutes: how it does at present, best read with ORDER BY velocity_30m DESC.
-- "Present" is the newest minute in gold, not the clock: the same tables always give the same rows. Where the engine writes, it
-- is about a quarter of a minute behind. Minutes in which nothing happened to the video count as zeros.
--   video_id             the video
--   metric_minute        the newest minute in gold (UTC), the same in every row
--   window_end           its end: the moment that the row is about
--   impressions_30m, play_start_30m, play_finish_30m, likes_30m, shares_30m, skips_30m   events of that kind in the 30 minutes
--   velocity_30m, completion_rate_30m, skip_rate_30m   as in v_rt_video_metrics_30m_1m, which holds the past
--   category, region, status, upload_time   as in v_dim_videos; NULL for a video that the dimension doesn't know
--   upload_age_s         seconds from upload to window_end
WITH present AS (
    SELECT max(window_start) AS metric_minute,
           max(window_end)   AS window_end
    FROM gold.rt_video_stats_1min
),
sums AS (
    SELECT video_id,
           sum(impressions) AS impressions_30m,
           sum(play_start)  AS play_start_30m,
           sum(play_finish) AS play_finish_30m,
           sum(likes)       AS likes_30m,
           sum(shares)      AS shares_30m,
           sum(skips)       AS skips_30m
    FROM gold.rt_video_stats_1min
    WHERE window_start >= (SELECT max(window_start) - INTERVAL '29' MINUTE FROM gold.rt_video_stats_1min)
    GROUP BY video_id
)
SELECT sums.video_id,
       present.metric_minute,
       present.window_end,
       impressions_30m,
       play_start_30m,
       play_finish_30m,
       likes_30m,
       shares_30m,
       skips_30m,
       CAST(likes_30m + 5 * shares_30m AS double) / greatest(impressions_30m, 100)        AS velocity_30m,
       CAST(play_finish_30m AS double) / greatest(play_start_30m, 1)                      AS completion_rate_30m,
       CAST(skips_30m AS double) / greatest(play_start_30m, 1)                            AS skip_rate_30m,
       video.category,
       video.region,
       video.status,
       video.upload_time,
       CAST(date_diff('millisecond', video.upload_time, present.window_end) AS double) / 1000 AS upload_age_s
FROM sums
CROSS JOIN present
LEFT JOIN v_dim_videos AS video ON video.video_id = sums.video_id
