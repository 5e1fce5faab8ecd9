-- The operational database that Debezium follows: as many videos and users as the service `events` of compose.full.yaml knows, under
-- the same ids.

CREATE SCHEMA content;
CREATE SCHEMA users;

CREATE TABLE content.videos (
    video_id text PRIMARY KEY,
    creator_id text,
    category text,
    region text,
    hashtags text[],
    duration_ms integer,
    upload_time timestamptz,
    status text NOT NULL DEFAULT 'active'
);

CREATE TABLE users.profiles (
    user_id text PRIMARY KEY,
    register_country text,
    device_os text,
    is_creator boolean,
    ltv_segment text,
    join_at timestamptz
);

-- An update carries the whole row before it, large values included (docs/dimensions.md).
ALTER TABLE content.videos REPLICA IDENTITY FULL;
ALTER TABLE users.profiles REPLICA IDENTITY FULL;

INSERT INTO content.videos
SELECT
    'v_' || n,
    'u_' || 1 + n % 500,
    (ARRAY['comedy', 'dance', 'food', 'music', 'news', 'sports', 'travel'])[1 + n % 7],
    (ARRAY['BR', 'DE', 'IN', 'JP', 'US'])[1 + n % 5],
    ARRAY['#tag' || n % 40, '#tag' || n % 90],
    5000 + n * 7919 % 55000,
    now() - n * interval '7 minutes',
    'active'
FROM generate_series(1, 2000) AS n;

INSERT INTO users.profiles
SELECT
    'u_' || n,
    (ARRAY['BR', 'DE', 'IN', 'JP', 'US'])[1 + n % 5],
    (ARRAY['Android', 'iOS'])[1 + n % 2],
    n <= 500,
    (ARRAY['high', 'low', 'mid'])[1 + n % 3],
    now() - n * interval '11 minutes'
FROM generate_series(1, 20000) AS n;

-- Made here, by the tables' owner: so Debezium's role needs no right to make one.
CREATE PUBLICATION pulselake FOR TABLE content.videos, users.profiles;
