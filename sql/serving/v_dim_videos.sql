-- One row per video as it is now; deleted ones are gone. Further columns of the source are in dims.dim_videos alone.
--   video_id      the video
--   creator_id    who made it
--   category, region, hashtags   what it is about and where it is from
--   duration_ms   its length in milliseconds
--   upload_time   when it was uploaded (UTC)
--   status        active, banned
--   is_eligible   whether the rules may decide about it: status is active, and category, region and upload_time are given
--   updated_at    when the engine took the last change in
--   source_ts_ms  when that change happened in the source, milliseconds since 1970
SELECT video_id,
       creator_id,
       category,
       region,
       hashtags,
       duration_ms,
       upload_time,
       status,
       coalesce(status = 'active' AND category <> '' AND region <> '' AND upload_time IS NOT NULL, false) AS is_eligible,
       updated_at,
       source_ts_ms
FROM dims.dim_videos
