-- One row per video and minute: on-time counts and corrections added up.
SELECT video_id,
       window_start,
       sum(impressions)       AS impressions,
       sum(play_start)        AS play_start,
       sum(play_finish)       AS play_finish,
       sum(likes)             AS likes,
       sum(shares)            AS shares,
       sum(skips)             AS skips,
       sum(watch_time_sum_ms) AS watch_time_sum_ms
FROM gold.rt_video_stats_1min
GROUP BY video_id, window_start
