//! What the dimensions follow: the two tables in PostgreSQL and the connectors that send their changes.

use crate::common::kafka::create_topic;
use crate::database::Database;
use crate::debezium::{Connector, Debezium};

/// Partitions of each topic of changes.
const PARTITIONS: i32 = 3;

const TABLES: &str = "
    CREATE SCHEMA content;
    CREATE SCHEMA users;
    CREATE TABLE content.videos (
        video_id text PRIMARY KEY, creator_id text, category text, region text, hashtags text[],
        duration_ms integer, upload_time timestamptz, status text NOT NULL DEFAULT 'active');
    CREATE TABLE users.profiles (
        user_id text PRIMARY KEY, register_country text, device_os text, is_creator boolean,
        ltv_segment text, join_at timestamptz);
    ALTER TABLE users.profiles REPLICA IDENTITY FULL;
    CREATE TABLE content.signals (id varchar(42) PRIMARY KEY, type varchar(32) NOT NULL, data varchar(2048));
    CREATE TABLE users.signals (id varchar(42) PRIMARY KEY, type varchar(32) NOT NULL, data varchar(2048));";

/// Database and connectors. The videos' records say the types of their columns and leave out what an update did not
/// touch (`before` is null); the users' records are bare, and complete.
pub struct Source {
    /// Where the rows are.
    pub database: Database,
    /// Who sends their changes.
    pub debezium: Debezium,
    /// Follows `content.videos`.
    pub videos: Connector,
    /// Follows `users.profiles`.
    pub users: Connector,
}

impl Source {
    /// Empty tables and empty topics `<topic_prefix>.content.videos` and `<topic_prefix>.users.profiles`; nobody follows yet.
    pub fn start(topic_prefix: &str) -> Self {
        let mut database = Database::start();
        database.run(TABLES);
        let connector = |name, table, signal_table, with_schema| {
            create_topic(&format!("{topic_prefix}.{table}"), PARTITIONS);
            Connector {
                name,
                table,
                topic_prefix: topic_prefix.to_owned(),
                with_schema,
                registry: None,
                signal_table,
            }
        };
        let videos = connector("videos", "content.videos", "content.signals", true);
        let users = connector("profiles", "users.profiles", "users.signals", false);
        let debezium = Debezium::start(database.port());
        Self { database, debezium, videos, users }
    }

    /// Registers both connectors; the present rows are their first snapshot.
    pub fn follow(&self) {
        self.debezium.register(&self.videos);
        self.debezium.register(&self.users);
    }

    /// The value of `--cdc-topics`.
    pub fn topics(&self) -> String {
        format!("{},{}", self.videos.topic(), self.users.topic())
    }

    /// Asks for an incremental snapshot of the videos, by the signal table.
    pub fn snapshot_videos_incrementally(&mut self) {
        self.database.run(
            "INSERT INTO content.signals VALUES (gen_random_uuid()::text, 'execute-snapshot',
             '{\"data-collections\":[\"content.videos\"],\"type\":\"incremental\"}')",
        );
    }
}
