-- One row per video on which something happened that day.
--   date                 the day (UTC)
--   video_id             the video
--   category_at_date     its category at the end of the day; NULL where it was not known, or deleted
--   impressions, play_start, play_finish, likes, shares, skips   events of that kind, each once
--   total_watch_time_hrs hours watched, over all its events
--   completion_rate      play_finish / max(play_start, 1); above 1 where plays began on the day before
--   unique_viewers       users with a play_start, about: by HyperLogLog
--   retention_d1         share of these users, counted exactly, who play any video on the next day; NULL until silver has that
--                        day, and for a video that nobody played
{% import "dialect" as d -%}
WITH events AS (
    SELECT video_id,
           user_id,
           event_type,
           watch_time_ms
    FROM silver.fact_user_engagement
    WHERE event_timestamp >= {{ d.moment(day_start) }} AND event_timestamp < {{ d.moment(day_end) }}
),
counted AS (
    SELECT video_id,
           count(CASE WHEN event_type = 'impression' THEN 1 END)  AS impressions,
           count(CASE WHEN event_type = 'play_start' THEN 1 END)  AS play_start,
           count(CASE WHEN event_type = 'play_finish' THEN 1 END) AS play_finish,
           count(CASE WHEN event_type = 'like' THEN 1 END)        AS likes,
           count(CASE WHEN event_type = 'share' THEN 1 END)       AS shares,
           count(CASE WHEN event_type = 'skip' THEN 1 END)        AS skips,
           coalesce(sum(watch_time_ms), 0)                        AS watch_time_ms,
           {{ d.approx_distinct("CASE WHEN event_type = 'play_start' THEN user_id END") }} AS unique_viewers
    FROM events
    GROUP BY video_id
),
next_day AS (
    SELECT user_id,
           event_type
    FROM silver.fact_user_engagement
    WHERE event_timestamp >= {{ d.moment(day_end) }} AND event_timestamp < {{ d.moment(minutes_from_start(2880)) }}
),
next_day_known AS (
    SELECT count(*) AS events
    FROM next_day
),
next_day_players AS (
    SELECT DISTINCT user_id
    FROM next_day
    WHERE event_type = 'play_start'
),
viewers AS (
    SELECT DISTINCT video_id,
           user_id
    FROM events
    WHERE event_type = 'play_start'
),
returned AS (
    SELECT viewers.video_id,
           count(*)                       AS viewers,
           count(next_day_players.user_id) AS returned
    FROM next_day_players
    RIGHT JOIN viewers ON viewers.user_id = next_day_players.user_id
    GROUP BY viewers.video_id
),
categories AS (
    SELECT video_id,
           category
    FROM {{ view('v_dim_videos_history') }} AS version
    WHERE started_at < {{ d.moment(day_end) }} AND (valid_to >= {{ d.moment(day_end) }} OR valid_to IS NULL) AND NOT is_deleted
)
SELECT {{ d.date(date) }}                                                        AS date,
       counted.video_id,
       categories.category                                                       AS category_at_date,
       counted.impressions,
       counted.play_start,
       counted.play_finish,
       counted.likes,
       counted.shares,
       counted.skips,
       CAST(counted.watch_time_ms AS double) / 3600000                           AS total_watch_time_hrs,
       CAST(counted.play_finish AS double) / greatest(counted.play_start, 1)     AS completion_rate,
       counted.unique_viewers,
       CASE WHEN next_day_known.events > 0 THEN CAST(returned.returned AS double) / returned.viewers END AS retention_d1
FROM counted
CROSS JOIN next_day_known
LEFT JOIN returned ON returned.video_id = counted.video_id
LEFT JOIN categories ON categories.video_id = counted.video_id
