-- One row per segment of users that day, and one for all of them: whether people watch, or scroll on and on.
-- Of a session only what lies in the day counts; its length runs from its start, which may be before midnight, to its last
-- event of the day. Sessions end with a pause of 30 minutes. The order of events is their time, then their id.
--   date                 the day (UTC)
--   user_segment         a session's: of its user at its last event of the day; 'unknown' without one; NULL for all sessions
--   sessions, users      how many; a user with sessions in two segments counts in both
--   events, plays, skips all events, play_start and skip
--   avg_session_ms, p50_session_ms, p95_session_ms   lengths in whole milliseconds; percentiles by nearest rank
--   swipe_rate           skips / max(plays, 1)
--   skip_streak_share    share of sessions with 5 skips without a play_finish, like or share between them
--   longest_skip_streak  the most such skips of a session
--   night_share          share of sessions that began from 23:00 to before 05:00 (UTC)
--   reopen_share         share of sessions that began less than 60 minutes after the user's session before, if that has an
--                        event in the day, ended
{% import "dialect" as d -%}
WITH ordered AS (
    SELECT user_id,
           session_id,
           session_started_at,
           event_timestamp,
           event_type,
           -- Skips with the same number have nothing better between them.
           count(CASE WHEN event_type IN ('play_finish', 'like', 'share') THEN 1 END) OVER (
               PARTITION BY session_id ORDER BY event_timestamp, event_id
               ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
           ) AS stretch,
           last_value(coalesce(user_segment, 'unknown')) OVER (
               PARTITION BY session_id ORDER BY event_timestamp, event_id
               ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
           ) AS user_segment
    FROM silver.fact_user_engagement
    WHERE event_timestamp >= {{ d.moment(day_start) }} AND event_timestamp < {{ d.moment(day_end) }}
),
stretches AS (
    SELECT user_id,
           session_id,
           session_started_at,
           user_segment,
           count(*)                                              AS events,
           count(CASE WHEN event_type = 'play_start' THEN 1 END) AS plays,
           count(CASE WHEN event_type = 'skip' THEN 1 END)       AS skips,
           max(event_timestamp)                                  AS last_event
    FROM ordered
    GROUP BY user_id, session_id, session_started_at, user_segment, stretch
),
sessions AS (
    SELECT user_id,
           session_started_at,
           user_segment,
           sum(events)     AS events,
           sum(plays)      AS plays,
           sum(skips)      AS skips,
           max(skips)      AS longest_streak,
           max(last_event) AS last_event
    FROM stretches
    GROUP BY user_id, session_id, session_started_at, user_segment
),
judged AS (
    SELECT sessions.*,
           {{ d.whole(d.us_between('session_started_at', 'last_event'), 1000) }} AS length_ms,
           lag(last_event) OVER (PARTITION BY user_id ORDER BY session_started_at) AS before_ended_at
    FROM sessions
),
-- Each session twice: in its segment, and among all.
labelled AS (
    SELECT CASE WHEN side.is_all = 0 THEN user_segment END AS user_segment,
           user_id,
           events,
           plays,
           skips,
           longest_streak,
           length_ms,
           CASE WHEN EXTRACT(HOUR FROM session_started_at) IN (23, 0, 1, 2, 3, 4) THEN 1 END AS is_of_the_night,
           CASE WHEN {{ d.us_between('before_ended_at', 'session_started_at') }} < 3600000000 THEN 1 END AS is_reopened
    FROM judged
    CROSS JOIN (VALUES (0), (1)) AS side(is_all)
),
ranked AS (
    SELECT labelled.*,
           row_number() OVER (PARTITION BY user_segment ORDER BY length_ms) AS place,
           count(*) OVER (PARTITION BY user_segment)                       AS sessions
    FROM labelled
)
SELECT {{ d.date(date) }}                                                       AS date,
       user_segment,
       count(*)                                                                 AS sessions,
       count(DISTINCT user_id)                                                  AS users,
       sum(events)                                                              AS events,
       sum(plays)                                                               AS plays,
       sum(skips)                                                               AS skips,
       CAST(sum(length_ms) AS double) / count(*)                                AS avg_session_ms,
       min(CASE WHEN 100 * place >= 50 * sessions THEN length_ms END)           AS p50_session_ms,
       min(CASE WHEN 100 * place >= 95 * sessions THEN length_ms END)           AS p95_session_ms,
       CAST(sum(skips) AS double) / greatest(sum(plays), 1)                     AS swipe_rate,
       CAST(count(CASE WHEN longest_streak >= 5 THEN 1 END) AS double) / count(*) AS skip_streak_share,
       max(longest_streak)                                                      AS longest_skip_streak,
       CAST(count(is_of_the_night) AS double) / count(*)                        AS night_share,
       CAST(count(is_reopened) AS double) / count(*)                            AS reopen_share
FROM ranked
GROUP BY user_segment
