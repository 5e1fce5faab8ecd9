-- One row: whether new videos are found by their viewers at present.
-- Counted are active videos younger than an hour that had an event in the last 30 minutes. "Present" is the newest minute in gold,
-- as in viral_velocity_30m.
--   window_end    end of that minute (UTC); NULL while gold is empty
--   videos        how many such videos there are
--   rising        those of them with velocity_30m > 0.05
--   rising_share  rising / videos; NULL without videos
--   state         green above 0.2, red below 0.1, else amber; NULL without videos
--   unseen        active videos younger than an hour without any event: uploaded, and shown to nobody
WITH present AS (
    SELECT max(window_end) AS window_end
    FROM gold.rt_video_stats_1min
),
young AS (
    SELECT video.video_id,
           velocity.velocity_30m
    FROM v_dim_videos AS video
    CROSS JOIN present
    LEFT JOIN viral_velocity_30m AS velocity ON velocity.video_id = video.video_id
    WHERE video.status = 'active'
      AND video.upload_time > present.window_end - INTERVAL '60' MINUTE
),
counted AS (
    SELECT count(velocity_30m)                                   AS videos,
           count(CASE WHEN velocity_30m > 0.05 THEN video_id END) AS rising,
           count(*) - count(velocity_30m)                        AS unseen
    FROM young
),
shares AS (
    SELECT counted.*,
           CAST(rising AS double) / nullif(videos, 0) AS rising_share
    FROM counted
)
SELECT present.window_end,
       videos,
       rising,
       rising_share,
       CASE
           WHEN rising_share > 0.2 THEN 'green'
           WHEN rising_share < 0.1 THEN 'red'
           WHEN rising_share IS NOT NULL THEN 'amber'
       END AS state,
       unseen
FROM present
CROSS JOIN shares
