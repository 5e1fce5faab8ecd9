-- One row per rank, 1 to 50: the videos with the highest velocity at present; among equals by video_id.
-- "Present" is the newest minute in gold, as in viral_velocity_30m, which has all videos and says what the columns are. Minutes come
-- to gold when they are closed; the engine's own board, and so its pages, is ahead of this by the open minute.
--   rank   1 for the highest velocity
SELECT row_number() OVER (ORDER BY velocity_30m DESC, video_id) AS rank,
       video_id,
       metric_minute,
       window_end,
       category,
       region,
       status,
       upload_time,
       upload_age_s,
       velocity_30m,
       completion_rate_30m,
       skip_rate_30m,
       impressions_30m,
       play_start_30m,
       play_finish_30m,
       likes_30m,
       shares_30m,
       skips_30m
FROM viral_velocity_30m
ORDER BY velocity_30m DESC, video_id
LIMIT 50
