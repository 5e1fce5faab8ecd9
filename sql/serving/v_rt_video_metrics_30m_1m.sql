-- One row per video and minute in which something happened to it: its last 30 minutes, that minute and the 29 before.
--   video_id             the video
--   metric_minute        start of the last of the 30 minutes (UTC)
--   window_end           its end: the moment that the row is about
--   impressions_30m, play_start_30m, play_finish_30m, likes_30m, shares_30m, skips_30m   events of that kind in the 30 minutes
--   velocity_30m         (likes + 5 * shares) / max(impressions, 100)
--   completion_rate_30m  play_finish / max(play_start, 1); above 1 where plays began before the 30 minutes
--   skip_rate_30m        skips / max(play_start, 1)
--   play_start_2m, play_start_3m, play_start_4m, play_start_5m   plays that began in the newest 2 to 5 minutes: some may be running
WITH rolling AS (
    SELECT video_id,
           window_start AS metric_minute,
           window_end,
           sum(impressions) OVER newest_30m AS impressions_30m,
           sum(play_start)  OVER newest_30m AS play_start_30m,
           sum(play_finish) OVER newest_30m AS play_finish_30m,
           sum(likes)       OVER newest_30m AS likes_30m,
           sum(shares)      OVER newest_30m AS shares_30m,
           sum(skips)       OVER newest_30m AS skips_30m,
           sum(play_start)  OVER newest_2m  AS play_start_2m,
           sum(play_start)  OVER newest_3m  AS play_start_3m,
           sum(play_start)  OVER newest_4m  AS play_start_4m,
           sum(play_start)  OVER newest_5m  AS play_start_5m
    FROM v_rt_video_stats_1min
    WINDOW newest_30m AS (
               PARTITION BY video_id ORDER BY window_start
               RANGE BETWEEN INTERVAL '29' MINUTE PRECEDING AND CURRENT ROW
           ),
           newest_2m AS (
               PARTITION BY video_id ORDER BY window_start
               RANGE BETWEEN INTERVAL '1' MINUTE PRECEDING AND CURRENT ROW
           ),
           newest_3m AS (
               PARTITION BY video_id ORDER BY window_start
               RANGE BETWEEN INTERVAL '2' MINUTE PRECEDING AND CURRENT ROW
           ),
           newest_4m AS (
               PARTITION BY video_id ORDER BY window_start
               RANGE BETWEEN INTERVAL '3' MINUTE PRECEDING AND CURRENT ROW
           ),
           newest_5m AS (
               PARTITION BY video_id ORDER BY window_start
               RANGE BETWEEN INTERVAL '4' MINUTE PRECEDING AND CURRENT ROW
           )
)
SELECT video_id,
       metric_minute,
       window_end,
       impressions_30m,
       play_start_30m,
       play_finish_30m,
       likes_30m,
       shares_30m,
       skips_30m,
       CAST(likes_30m + 5 * shares_30m AS double) / greatest(impressions_30m, 100) AS velocity_30m,
       CAST(play_finish_30m AS double) / greatest(play_start_30m, 1)               AS completion_rate_30m,
       CAST(skips_30m AS double) / greatest(play_start_30m, 1)                     AS skip_rate_30m,
       play_start_2m,
       play_start_3m,
       play_start_4m,
       play_start_5m
FROM rolling
