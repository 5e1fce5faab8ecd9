-- One row per minute and version of the app: how often viewers act on what they are shown. A broken client stands out.
-- Read from bronze by the events' own time, so producers' retries count as often as they were sent.
--   metric_minute     start of the minute (UTC)
--   app_version       app_version of the events' body; NULL where it has none
--   impressions, play_start, likes, shares   events of that kind
--   interaction_rate  (likes + shares) / impressions; NULL where there were no impressions
WITH events AS (
    SELECT date_trunc('minute', event_timestamp)                  AS metric_minute,
           json_extract_scalar(payload_json, '$.app_version') AS app_version,
           event_type
    FROM bronze.raw_events
),
counted AS (
    SELECT metric_minute,
           app_version,
           count(CASE WHEN event_type = 'impression' THEN 1 END) AS impressions,
           count(CASE WHEN event_type = 'play_start' THEN 1 END) AS play_start,
           count(CASE WHEN event_type = 'like' THEN 1 END)       AS likes,
           count(CASE WHEN event_type = 'share' THEN 1 END)      AS shares
    FROM events
    GROUP BY metric_minute, app_version
)
SELECT counted.*,
       CAST(likes + shares AS double) / nullif(impressions, 0) AS interaction_rate
FROM counted
