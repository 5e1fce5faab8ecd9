-- One row per user as he or she is now; deleted ones are gone. Further columns of the source are in dims.dim_users alone.
--   user_id           the user
--   register_country  country of the registration
--   device_os         operating system
--   is_creator        whether the user uploads videos
--   ltv_segment       worth of the customer: VIP, High, Low
--   join_at           when the user registered (UTC)
--   updated_at        when the engine took the last change in
--   source_ts_ms      when that change happened in the source, milliseconds since 1970
SELECT user_id,
       register_country,
       device_os,
       is_creator,
       ltv_segment,
       join_at,
       updated_at,
       source_ts_ms
FROM dims.dim_users
