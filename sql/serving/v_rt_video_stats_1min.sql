-- One row per video and minute in which something happened to it: on-time counts and corrections added up.
-- Gold's rows are deltas: a window that late events reached has several. Whoever counts by minute starts here.
--   video_id           the video
--   window_start       start of the minute (UTC)
--   window_end         its end
--   impressions, play_start, play_finish, likes, shares, skips   events of that kind
--   watch_time_sum_ms  time watched in milliseconds, summed over all events
SELECT video_id,
       window_start,
       window_end,
       sum(impressions)       AS impressions,
       sum(play_start)        AS play_start,
       sum(play_finish)       AS play_finish,
       sum(likes)             AS likes,
       sum(shares)            AS shares,
       sum(skips)             AS skips,
       sum(watch_time_sum_ms) AS watch_time_sum_ms
FROM gold.rt_video_stats_1min
GROUP BY video_id, window_start, window_end
