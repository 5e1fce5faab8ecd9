//! What a row looks like in each of its versions: a function of key and version number alone.

use pulselake_model::Entity;

use super::CdcConfig;
use crate::audience::device_os;
use crate::catalogue::VideoDurations;
use crate::mix::{Role, mix64, trait_hash};

const CATEGORIES: [&str; 12] = [
    "comedy",
    "music",
    "dance",
    "food",
    "travel",
    "sports",
    "gaming",
    "beauty",
    "education",
    "pets",
    "news",
    "diy",
];
const REGIONS: [&str; 8] = ["US", "BR", "IN", "ID", "DE", "JP", "MX", "NG"];
const HASHTAGS: [&str; 16] = [
    "fyp", "viral", "café", "learn", "vlog", "prank", "recipe", "workout", "旅行", "cover", "duet", "hack",
    "cats", "unboxing", "fashion", "goal",
];
const MOST_HASHTAGS: u64 = 4;
/// (ltv_segment, share in percent).
const SEGMENTS: [(&str, u64); 3] = [("VIP", 5), ("High", 25), ("Low", 70)];

/// Every so many-th version of a video bans it; the one after lifts the ban.
const VERSIONS_PER_BAN: u64 = 8;
/// Versions after which a value is drawn anew.
const VERSIONS_PER_REGION: u64 = 5;
const VERSIONS_PER_CATEGORY: u64 = 11;
const VERSIONS_PER_COUNTRY: u64 = 9;
/// One user in so many uploads videos: those whose number leaves a remainder of 1.
const USERS_PER_CREATOR: u64 = 10;

/// Debezium's `op`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ChangeOperation {
    /// `c`
    Create,
    /// `u`
    Update,
    /// `d`
    Delete,
    /// `r`: the row as a snapshot found it.
    Snapshot,
}

impl ChangeOperation {
    /// The letter.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Create => "c",
            Self::Update => "u",
            Self::Delete => "d",
            Self::Snapshot => "r",
        }
    }
}

/// A row of the source's table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CdcRow {
    /// Of `content.videos`.
    Video(VideoRow),
    /// Of `users.profiles`.
    User(UserRow),
}

/// A row of `content.videos`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VideoRow {
    /// The number in the `video_id` `v_<number>`.
    pub video: u64,
    /// The number in the `creator_id` `u_<number>`.
    pub creator: u64,
    /// `category`
    pub category: &'static str,
    /// `region`
    pub region: &'static str,
    /// `hashtags`, at least one.
    pub hashtags: Vec<&'static str>,
    /// `duration_ms`: that of the video's events.
    pub duration_ms: u32,
    /// `upload_time`, ms since the epoch.
    pub upload_time_ms: i64,
    /// `status`: active or banned.
    pub status: &'static str,
}

/// A row of `users.profiles`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserRow {
    /// The number in the `user_id` `u_<number>`.
    pub user: u64,
    /// `register_country`
    pub register_country: &'static str,
    /// `device_os`: that of the user's events.
    pub device_os: &'static str,
    /// `is_creator`
    pub is_creator: bool,
    /// `ltv_segment`: VIP, High or Low.
    pub ltv_segment: &'static str,
    /// `join_at`, ms since the epoch.
    pub join_at_ms: i64,
}

/// What decides the rows of one entity.
pub(crate) struct RowLaws {
    entity: Entity,
    seed: u64,
    entity_seed: u64,
    users: u64,
    durations: VideoDurations,
}

impl RowLaws {
    pub(crate) fn new(config: &CdcConfig, entity_seed: u64) -> Self {
        Self {
            entity: config.entity,
            seed: config.seed,
            entity_seed,
            users: config.users.into(),
            durations: VideoDurations::of(config.seed),
        }
    }

    /// The row in a version (the one that a delete would have left), of a key that was created at this time (ms since
    /// the epoch).
    pub(crate) fn row(&self, key: u64, version: u64, created_ms: i64) -> CdcRow {
        let key_hash = trait_hash(self.entity_seed, Role::ChangeAttribute, key);
        match self.entity {
            Entity::Videos => CdcRow::Video(self.video(key, version, created_ms, key_hash)),
            Entity::Users => CdcRow::User(self.user(key, version, created_ms, key_hash)),
        }
    }

    fn video(&self, video: u64, version: u64, upload_time_ms: i64, key_hash: u64) -> VideoRow {
        let creators = self.users.div_ceil(USERS_PER_CREATOR);
        // Never in a ban's place for version 0: videos are uploaded active.
        let ban_phase = key_hash % (VERSIONS_PER_BAN - 1);
        let is_banned = (version + ban_phase) % VERSIONS_PER_BAN == VERSIONS_PER_BAN - 1;
        let hashtag_hash = self.version_hash(video, version) >> 32;
        let hashtags = (0..=hashtag_hash % MOST_HASHTAGS)
            .map(|place| pick(&HASHTAGS, mix64(hashtag_hash ^ place)))
            .collect();
        VideoRow {
            video,
            creator: 1 + USERS_PER_CREATOR * (mix64(key_hash) % creators),
            category: pick(&CATEGORIES, value_hash(key_hash, 1, version, VERSIONS_PER_CATEGORY)),
            region: pick(&REGIONS, value_hash(key_hash, 2, version, VERSIONS_PER_REGION)),
            hashtags,
            duration_ms: self.durations.duration_ms(video),
            upload_time_ms,
            status: if is_banned { "banned" } else { "active" },
        }
    }

    fn user(&self, user: u64, version: u64, join_at_ms: i64, key_hash: u64) -> UserRow {
        let mut rest = (self.version_hash(user, version) >> 32) % 100;
        let segment = SEGMENTS.iter().find(|(_, share)| {
            let is_here = rest < *share;
            rest = rest.saturating_sub(*share);
            is_here
        });
        UserRow {
            user,
            register_country: pick(&REGIONS, value_hash(key_hash, 3, version, VERSIONS_PER_COUNTRY)),
            device_os: device_os(self.seed, user),
            is_creator: user % USERS_PER_CREATOR == 1,
            // The shares are percentages: one is always found.
            ltv_segment: segment.map_or("Low", |(name, _)| name),
            join_at_ms,
        }
    }

    fn version_hash(&self, key: u64, version: u64) -> u64 {
        version_hash(self.entity_seed, key, version)
    }
}

/// What a version's own draws come from: its lower half decides deletes, its upper half values.
pub(crate) fn version_hash(entity_seed: u64, key: u64, version: u64) -> u64 {
    mix64(trait_hash(entity_seed, Role::ChangeVersion, key) ^ version)
}

/// The hash behind a value that is drawn anew every `versions_per_value` versions, not at the same ones for all keys.
fn value_hash(key_hash: u64, column: u64, version: u64, versions_per_value: u64) -> u64 {
    let column_hash = mix64(key_hash ^ (column << 56));
    mix64(column_hash ^ ((version + column_hash % versions_per_value) / versions_per_value))
}

fn pick(texts: &[&'static str], hash: u64) -> &'static str {
    texts[(hash % texts.len() as u64) as usize]
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::{GeneratorConfig, World};

    fn laws(entity: Entity) -> RowLaws {
        RowLaws::new(&CdcConfig::beside(&GeneratorConfig::default(), entity), 5)
    }

    #[test]
    fn videos_begin_active_and_are_banned_for_a_while() {
        let laws = laws(Entity::Videos);
        let mut categories = HashSet::new();
        for video in 1..=500 {
            let rows: Vec<VideoRow> = (0..80)
                .map(|version| match laws.row(video, version, 7) {
                    CdcRow::Video(row) => row,
                    CdcRow::User(row) => panic!("{row:?}"),
                })
                .collect();
            assert_eq!(rows[0].status, "active");
            assert_eq!(rows.iter().filter(|row| row.status == "banned").count(), 10);
            assert!(rows.iter().all(|row| row.creator % 10 == 1 && row.creator <= 100_000));
            assert!(rows.iter().all(|row| (1..=4).contains(&row.hashtags.len())));
            assert!(rows.windows(2).filter(|pair| pair[0].category != pair[1].category).count() <= 8);
            categories.extend(rows.iter().map(|row| row.category));
        }
        assert_eq!(categories.len(), CATEGORIES.len());
    }

    #[test]
    fn a_row_says_the_same_as_the_events() {
        let config = GeneratorConfig { videos: 300, ..GeneratorConfig::default() };
        let world = World::new(std::sync::Arc::new(config)).unwrap();
        let laws = laws(Entity::Videos);
        for (_, video) in world.catalogue.weighted() {
            let CdcRow::Video(row) = laws.row(video.number.into(), 3, 7) else { panic!("not a video") };
            assert_eq!(row.duration_ms, video.duration_ms);
        }
    }

    #[test]
    fn segments_have_their_shares() {
        assert_eq!(SEGMENTS.iter().map(|(_, share)| share).sum::<u64>(), 100);
        let laws = laws(Entity::Users);
        let vips = (1..=10_000)
            .filter(|user| matches!(laws.row(*user, 0, 7), CdcRow::User(row) if row.ltv_segment == "VIP"))
            .count();
        assert!((400..600).contains(&vips), "{vips}");
    }
}
