-- One row: how much of what is watched at present is new.
-- Counted are videos whose status is active and that had an event in the last 30 minutes. "Present" is the newest minute in gold, as
-- in viral_velocity_30m.
--   window_end    end of that minute (UTC); NULL while gold is empty
--   active        how many such videos there are
--   fresh         those of them that were uploaded within the last hour
--   fresh_ratio   fresh / active; NULL without active videos
WITH counted AS (
    SELECT count(*)                                            AS active,
           count(CASE WHEN upload_age_s < 3600 THEN video_id END) AS fresh
    FROM viral_velocity_30m
    WHERE status = 'active'
),
present AS (
    SELECT max(window_end) AS window_end
    FROM gold.rt_video_stats_1min
)
SELECT present.window_end,
       counted.active,
       counted.fresh,
       CAST(counted.fresh AS double) / nullif(counted.active, 0) AS fresh_ratio
FROM counted
CROSS JOIN present
