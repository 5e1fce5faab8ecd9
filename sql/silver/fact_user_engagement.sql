{% import "dialect" as d -%}
-- One row per event of the day, once per event_id: with its session, its payload as typed columns, and what was known of the
-- video and of the user at that moment.
-- Of several rows with one id counts the one that was delivered first. A session ends with 30 minutes without an event; it
-- goes on across midnight from what silver has of the day before (carry_over = silver), else from bronze of that one day.
--   session_id           user_id, @, and session_started_at in microseconds since the epoch
--   watch_time_ms        a whole number from 0 to 604,800,000 in the payload, else null
--   video_duration_ms    a whole positive number in the payload, else the dimension's
--   completion_rate      watch_time_ms / video_duration_ms, at most 1
--   category … is_creator   of the versions valid at the event; null where nothing was known, or the row was deleted
-- Columns of new payload fields stand at the end; on the way there they have numbers for names, which no other column has.
{% set kept = ["event_id", "event_timestamp", "video_id", "user_id", "event_type", "schema_version", "header_extra_json",
               "source_partition", "source_offset", "ingested_at"] -%}
{% macro whole_number(raw) -%}
CASE WHEN regexp_like({{ raw }}, '^-?[0-9]+$') THEN TRY_CAST({{ raw }} AS bigint)
                WHEN regexp_like({{ raw }}, '^-?[0-9]') AND abs(TRY_CAST({{ raw }} AS double)) < 9007199254740992
                     AND TRY_CAST({{ raw }} AS double) = floor(TRY_CAST({{ raw }} AS double))
                THEN CAST(TRY_CAST({{ raw }} AS double) AS bigint) END
{%- endmacro -%}
{% macro number(raw) -%}
CASE WHEN regexp_like({{ raw }}, '^-?[0-9]') AND NOT regexp_like({{ raw }}, '^-?[0-9]{16,}$')
                     AND abs(TRY_CAST({{ raw }} AS double)) <= 1.7976931348623157E308
                THEN TRY_CAST({{ raw }} AS double) END
{%- endmacro -%}
{% macro typed(column, raw, string) -%}
{% if column.type == "long" %}{{ whole_number(raw) }}
{%- elif column.type == "double" %}{{ number(raw) }}
{%- elif column.type == "boolean" %}CASE {{ raw }} WHEN 'true' THEN true WHEN 'false' THEN false END
{%- else %}CASE WHEN {{ raw }} <> 'null' THEN coalesce({{ string }}, {{ raw }}) END
{%- endif %}
{%- endmacro -%}
{% macro deliveries(from, to) -%}
SELECT event.*,
           row_number() OVER (PARTITION BY event_id ORDER BY source_partition, source_offset, source_topic) AS delivery
    FROM bronze.raw_events AS event
    WHERE event_timestamp >= {{ d.moment(from) }}
      AND event_timestamp < {{ d.moment(to) }}
{%- endmacro -%}
{#- The stretches of the day in which the attributes of a key were the same. A new snapshot of the source is a version of every
    key; held in memory for the join is what is another than before. -#}
{% macro stretches(history, key, attributes) -%}
SELECT {{ key }},
           started_at,
           coalesce(ends_at, {{ d.moment(day_end) }}) AS ends_at,
           {{ attributes | join(", ") }}
    FROM (
        SELECT changes.*,
               lead(started_at) OVER (PARTITION BY {{ key }} ORDER BY version) AS ends_at
        FROM (
            SELECT {{ key }},
                   version,
                   started_at,
                   is_deleted,
                   {{ attributes | join(", ") }},
                   CASE WHEN lag(version) OVER (PARTITION BY {{ key }} ORDER BY version) IS NULL
                {%- for attribute in ["is_deleted"] + attributes %}
                          OR ({{ attribute }} IS DISTINCT FROM lag({{ attribute }}) OVER (PARTITION BY {{ key }} ORDER BY version))
                {%- endfor %}
                        THEN true ELSE false END AS is_another
            FROM {{ view(history) }} AS version_of
            WHERE started_at < {{ d.moment(day_end) }}
        ) AS changes
        WHERE is_another
    ) AS stretch
    WHERE (ends_at > {{ d.moment(day_start) }} OR ends_at IS NULL)
      AND NOT is_deleted
{%- endmacro -%}
WITH
{%- if dialect == "datafusion" %}
bodies AS (
    SELECT {{ kept | join(", ") }},
           session_start(user_id, event_timestamp) AS session_started_at,
           event_payload(payload_json)             AS body
    FROM bronze.raw_events
    WHERE event_timestamp >= {{ d.moment(day_start) }}
      AND event_timestamp < {{ d.moment(day_end) }}
    {%- if has_duplicates %}
      AND counts_once(source_topic, source_partition, source_offset)
    {%- endif %}
    {%- if slices > 1 %}
      AND user_slice(user_id) = {{ slice }}
    {%- endif %}
),
fields AS (
    SELECT {{ kept | join(", ") }},
           session_started_at,
    {%- for column in columns %}
    {%- if not column.is_known %}
           body['{{ column.column_name }}'] AS value_{{ loop.index }},
    {%- endif %}
    {%- if column.conflict_column %}
           body['{{ column.conflict_column }}'] AS misfit_{{ loop.index }},
    {%- endif %}
    {%- endfor %}
           body['watch_time_ms']     AS watch_time_ms,
           body['video_duration_ms'] AS video_duration_ms,
           body['device_os']         AS device_os,
           body['app_version']       AS app_version,
           body['network_type']      AS network_type,
           body['referral_source']   AS referral_source
    FROM bodies
),
{%- else %}
once AS (
    SELECT delivered.*
    FROM (
    {{ deliveries(day_start, day_end) }}
    ) AS delivered
    WHERE delivery = 1
),
open_sessions AS (
{%- if carry_over == "silver" %}
    SELECT user_id,
           max(session_started_at) AS session_started_at,
           max(event_timestamp)    AS last_at
    FROM silver.fact_user_engagement
    WHERE event_timestamp >= {{ d.moment(minutes_from_start(-30)) }}
      AND event_timestamp < {{ d.moment(day_start) }}
    GROUP BY user_id
{%- else %}
    SELECT user_id,
           max(begins_at)       AS session_started_at,
           max(event_timestamp) AS last_at
    FROM (
        SELECT user_id,
               event_timestamp,
               CASE WHEN {{ d.us_between("lag(event_timestamp) OVER (PARTITION BY user_id ORDER BY event_timestamp, event_id)", "event_timestamp") }} < 1800000000
                    THEN NULL ELSE event_timestamp END AS begins_at
        FROM (
    {{ deliveries(minutes_from_start(-1440), day_start) }}
        ) AS delivered
        WHERE delivery = 1
    ) AS before
    GROUP BY user_id
    HAVING max(event_timestamp) >= {{ d.moment(minutes_from_start(-30)) }}
{%- endif %}
),
beginnings AS (
    SELECT event.*,
           carried.session_started_at AS carried_started_at,
           CASE WHEN {{ d.us_between("coalesce(lag(event.event_timestamp) OVER (PARTITION BY event.user_id ORDER BY event.event_timestamp, event.event_id), carried.last_at)", "event.event_timestamp") }} < 1800000000
                THEN NULL ELSE event.event_timestamp END AS begins_at
    FROM open_sessions AS carried
    RIGHT JOIN once AS event ON event.user_id = carried.user_id
),
bodies AS (
    SELECT {{ kept | join(", ") }},
           coalesce(max(begins_at) OVER (PARTITION BY user_id ORDER BY event_timestamp, event_id ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW),
                    carried_started_at) AS session_started_at,
           {{ d.body("payload_json") }} AS body
    FROM beginnings
),
raw_fields AS (
    SELECT {{ kept | join(", ") }},
           session_started_at,
    {%- for column in columns %}
           {{ d.body_json("body", column.field) }} AS raw_{{ loop.index }},
           {{ d.body_string("body", column.field) }} AS string_{{ loop.index }},
    {%- endfor %}
           {{ d.body_json("body", "watch_time_ms") }} AS raw_watch_time_ms,
           {{ d.body_json("body", "video_duration_ms") }} AS raw_video_duration_ms,
    {%- for key in ["device_os", "app_version", "network_type", "referral_source"] %}
           {{ d.body_json("body", key) }} AS raw_{{ key }},
           {{ d.body_string("body", key) }} AS string_{{ key }}{{ "" if loop.last else "," }}
    {%- endfor %}
    FROM bodies
),
typed_fields AS (
    SELECT raw_fields.*,
           {{ whole_number("raw_watch_time_ms") }} AS whole_watch_time_ms,
           {{ whole_number("raw_video_duration_ms") }} AS whole_video_duration_ms,
    {%- for key in ["device_os", "app_version", "network_type", "referral_source"] %}
           CASE WHEN raw_{{ key }} <> 'null' AND substr(raw_{{ key }}, 1, 1) NOT IN ('{', '[') THEN coalesce(string_{{ key }}, raw_{{ key }}) END AS {{ key }},
    {%- endfor %}
    {%- for column in columns %}
    {%- if not column.is_known %}
           {{ typed(column, "raw_" ~ loop.index, "string_" ~ loop.index) }} AS value_{{ loop.index }},
    {%- endif %}
    {%- endfor %}
           0 AS nothing
    FROM raw_fields
),
known_fields AS (
    SELECT typed_fields.*,
           CASE WHEN whole_watch_time_ms BETWEEN 0 AND 604800000 THEN whole_watch_time_ms END AS watch_time_ms,
           CASE WHEN whole_video_duration_ms > 0 THEN whole_video_duration_ms END AS video_duration_ms
    FROM typed_fields
),
fields AS (
    SELECT {{ kept | join(", ") }},
           session_started_at,
    {%- for column in columns %}
    {%- set value = column.field if column.is_known else "value_" ~ loop.index %}
    {%- if not column.is_known %}
           {{ value }},
    {%- endif %}
    {%- if column.conflict_column %}
           CASE WHEN {{ value }} IS NULL AND raw_{{ loop.index }} <> 'null' THEN coalesce(string_{{ loop.index }}, raw_{{ loop.index }}) END AS misfit_{{ loop.index }},
    {%- endif %}
    {%- endfor %}
           watch_time_ms,
           video_duration_ms,
           device_os,
           app_version,
           network_type,
           referral_source
    FROM known_fields
),
{%- endif %}
video_versions AS (
    {{ stretches("v_dim_videos_history", "video_id", ["category", "region", "creator_id", "status", "upload_time", "duration_ms"]) }}
),
user_versions AS (
    {{ stretches("v_dim_users_history", "user_id", ["ltv_segment", "register_country", "is_creator"]) }}
    {%- if dialect == "datafusion" and slices > 1 %}
      AND user_slice(user_id) = {{ slice }}
    {%- endif %}
),
with_video AS (
    SELECT event.*,
           video.category,
           video.region,
           video.creator_id,
           video.status AS video_status,
           video.upload_time,
           CASE WHEN video.duration_ms > 0 THEN video.duration_ms END AS known_duration_ms
    FROM video_versions AS video
    RIGHT JOIN fields AS event
           ON video.video_id = event.video_id
          AND video.started_at <= event.event_timestamp
          AND video.ends_at > event.event_timestamp
),
with_user AS (
    SELECT event.*,
           coalesce(event.video_duration_ms, event.known_duration_ms) AS duration_ms,
           person.ltv_segment      AS user_segment,
           person.register_country AS user_country,
           person.is_creator
    FROM user_versions AS person
    RIGHT JOIN with_video AS event
           ON person.user_id = event.user_id
          AND person.started_at <= event.event_timestamp
          AND person.ends_at > event.event_timestamp
)
SELECT event_id,
       event_timestamp,
       video_id,
       user_id,
       event_type,
       schema_version,
       user_id || '@' || {{ d.text(d.us("session_started_at")) }} AS session_id,
       session_started_at,
       watch_time_ms,
       duration_ms AS video_duration_ms,
       CASE WHEN watch_time_ms >= duration_ms THEN CAST(1 AS double)
            ELSE CAST(watch_time_ms AS double) / CAST(duration_ms AS double) END AS completion_rate,
       device_os,
       app_version,
       network_type,
       referral_source,
       category,
       region,
       creator_id,
       video_status,
       upload_time,
       user_segment,
       user_country,
       is_creator,
       header_extra_json,
       source_partition,
       source_offset,
       ingested_at
{%- for column in columns %}
{%- if not column.is_known %},
       value_{{ loop.index }} AS {{ d.name(column.column_name) }}
{%- endif %}
{%- if column.conflict_column %},
       misfit_{{ loop.index }} AS {{ d.name(column.conflict_column) }}
{%- endif %}
{%- endfor %}
FROM with_user
