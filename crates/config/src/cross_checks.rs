//! Settings that are right one by one and wrong together.

use std::net::SocketAddr;

use crate::settings::{Settings, SourceKind};

/// Settings that don't go together.
pub(crate) struct Conflict {
    /// The settings concerned; the first one is named.
    pub(crate) keys: &'static [&'static str],
    /// What is wrong and what is allowed.
    pub(crate) message: String,
}

/// Everything that does not go together.
pub(crate) fn conflicts(settings: &Settings) -> Vec<Conflict> {
    let checks: [fn(&Settings) -> Option<Conflict>; 14] = [
        kafka_needs_brokers,
        files_need_paths,
        longest_line_holds_a_record,
        backoff_grows,
        heartbeat_has_time_to_answer,
        generator_shares_fit,
        open_address_needs_token,
        one_way_into_the_rest_catalog,
        compaction_has_memory_for_a_file,
        orphans_are_older_than_any_commit,
        changes_come_from_a_topic,
        entities_have_topics_of_their_own,
        registry_has_user_and_password,
        actions_have_a_topic_of_their_own,
    ];
    checks.iter().filter_map(|check| check(settings)).collect()
}

fn kafka_needs_brokers(settings: &Settings) -> Option<Conflict> {
    let missing = settings.source.kind == SourceKind::Kafka && settings.kafka.brokers.trim().is_empty();
    missing.then(|| Conflict {
        keys: &["kafka.brokers", "source.kind"],
        message: "empty, and source.kind = \"kafka\" needs at least one host:port".to_owned(),
    })
}

fn files_need_paths(settings: &Settings) -> Option<Conflict> {
    let missing = settings.source.kind == SourceKind::Files && settings.files.paths.is_empty();
    missing.then(|| Conflict {
        keys: &["files.paths", "source.kind"],
        message: "empty, and source.kind = \"files\" needs at least one path".to_owned(),
    })
}

fn longest_line_holds_a_record(settings: &Settings) -> Option<Conflict> {
    let (line, record) = (settings.files.max_line_bytes, settings.decode.max_record_bytes);
    (line < record).then(|| Conflict {
        keys: &["files.max_line_bytes", "decode.max_record_bytes"],
        message: format!(
            "found {line}, which cuts records that decode.max_record_bytes = {record} allows; at least that"
        ),
    })
}

fn backoff_grows(settings: &Settings) -> Option<Conflict> {
    let (initial, max) = (settings.supervision.backoff_initial_ms, settings.supervision.backoff_max_ms);
    (max < initial).then(|| Conflict {
        keys: &["supervision.backoff_max_ms", "supervision.backoff_initial_ms"],
        message: format!("found {max}, allowed is at least supervision.backoff_initial_ms = {initial}"),
    })
}

fn heartbeat_has_time_to_answer(settings: &Settings) -> Option<Conflict> {
    let (interval, timeout) =
        (settings.supervision.heartbeat_interval_ms, settings.supervision.heartbeat_timeout_ms);
    (timeout < 2 * interval).then(|| Conflict {
        keys: &["supervision.heartbeat_timeout_ms", "supervision.heartbeat_interval_ms"],
        message: format!(
            "found {timeout}, allowed is at least twice supervision.heartbeat_interval_ms = {interval}"
        ),
    })
}

fn generator_shares_fit(settings: &Settings) -> Option<Conflict> {
    let generator = &settings.generator;
    let sum = generator.invalid_ratio + generator.duplicate_ratio + generator.late_ratio;
    (sum > 1.0).then(|| Conflict {
        keys: &["generator.invalid_ratio", "generator.duplicate_ratio", "generator.late_ratio"],
        message: format!(
            "with generator.duplicate_ratio and generator.late_ratio it makes {sum}, allowed is at most 1"
        ),
    })
}

fn open_address_needs_token(settings: &Settings) -> Option<Conflict> {
    let address: SocketAddr = settings.http.bind.parse().ok()?;
    let open = !address.ip().is_loopback() && settings.http.token.is_empty();
    open.then(|| Conflict {
        keys: &["http.bind", "http.token", "http.token_file"],
        message: format!("{address} can be reached from other machines: set http.token_file (or http.token), or bind to 127.0.0.1"),
    })
}

fn one_way_into_the_rest_catalog(settings: &Settings) -> Option<Conflict> {
    let both = !settings.rest.credential.is_empty() && !settings.rest.token.is_empty();
    both.then(|| Conflict {
        keys: &["rest.token", "rest.credential"],
        message: "rest.credential is set too; allowed is one of them".to_owned(),
    })
}

fn compaction_has_memory_for_a_file(settings: &Settings) -> Option<Conflict> {
    let maintenance = &settings.maintenance;
    let (file, memory) = (maintenance.target_file_bytes, maintenance.memory_bytes);
    (memory < file).then(|| Conflict {
        keys: &["maintenance.memory_bytes", "maintenance.target_file_bytes"],
        message: format!("found {memory}, allowed is at least maintenance.target_file_bytes = {file}"),
    })
}

/// A flush is open for an interval before its commit begins, and that may wait for half the age.
fn orphans_are_older_than_any_commit(settings: &Settings) -> Option<Conflict> {
    let (age, interval) = (settings.maintenance.orphan_min_age_ms, settings.bronze.commit_interval_ms);
    (age < 8 * interval).then(|| Conflict {
        keys: &["maintenance.orphan_min_age_ms", "bronze.commit_interval_ms"],
        message: format!(
            "found {age}, allowed is at least 8 times bronze.commit_interval_ms = {interval}: a file of a commit under way must not be taken for an orphan"
        ),
    })
}

fn changes_come_from_a_topic(settings: &Settings) -> Option<Conflict> {
    let unread = settings.source.kind == SourceKind::Files && settings.cdc.is_enabled();
    unread.then(|| Conflict {
        keys: &["cdc.videos_topic", "cdc.users_topic", "source.kind"],
        message: "set, and source.kind = \"files\" has no topics of changes; leave it empty".to_owned(),
    })
}

fn entities_have_topics_of_their_own(settings: &Settings) -> Option<Conflict> {
    let (videos, users) = (&settings.cdc.videos_topic, &settings.cdc.users_topic);
    let same = !videos.is_empty() && (videos == users || *videos == settings.source.topic)
        || !users.is_empty() && *users == settings.source.topic;
    same.then(|| Conflict {
        keys: &["cdc.videos_topic", "cdc.users_topic", "source.topic"],
        message: "events, changes of videos and changes of users need a topic each; name three".to_owned(),
    })
}

fn registry_has_user_and_password(settings: &Settings) -> Option<Conflict> {
    let cdc = &settings.cdc;
    let half = cdc.schema_registry_user.is_empty() != cdc.schema_registry_password.is_empty();
    half.then(|| Conflict {
        keys: &["cdc.schema_registry_user", "cdc.schema_registry_password"],
        message: "one is set without the other; allowed is both or neither".to_owned(),
    })
}

fn actions_have_a_topic_of_their_own(settings: &Settings) -> Option<Conflict> {
    let topic = &settings.decisions.actions_topic;
    if topic.is_empty() {
        return None;
    }
    let (source, cdc) = (&settings.source, &settings.cdc);
    let message = if source.kind != SourceKind::Kafka {
        "set, and only source.kind = \"kafka\" has brokers to send to; leave it empty".to_owned()
    } else if [&source.topic, &cdc.videos_topic, &cdc.users_topic].contains(&topic) {
        format!("found {topic:?}, which the engine consumes; allowed is another topic, or empty")
    } else {
        return None;
    };
    Some(Conflict { keys: &["decisions.actions_topic", "source.kind"], message })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn conflict_of(change: impl FnOnce(&mut Settings)) -> Vec<&'static str> {
        let mut settings = Settings::default();
        change(&mut settings);
        conflicts(&settings).iter().map(|conflict| conflict.keys[0]).collect()
    }

    #[test]
    fn each_conflict_is_found_alone() {
        assert!(conflict_of(|_| ()).is_empty());
        assert_eq!(conflict_of(|settings| settings.source.kind = SourceKind::Kafka), ["kafka.brokers"]);
        assert_eq!(conflict_of(|settings| settings.source.kind = SourceKind::Files), ["files.paths"]);
        assert_eq!(
            conflict_of(|settings| settings.maintenance.memory_bytes = 64 << 20),
            ["maintenance.memory_bytes"]
        );
        assert_eq!(
            conflict_of(|settings| settings.maintenance.orphan_min_age_ms = 70_000),
            ["maintenance.orphan_min_age_ms"]
        );
        assert_eq!(conflict_of(|settings| settings.files.max_line_bytes = 2_048), ["files.max_line_bytes"]);
        assert_eq!(
            conflict_of(|settings| settings.supervision.backoff_max_ms = 1),
            ["supervision.backoff_max_ms"]
        );
        assert_eq!(
            conflict_of(|settings| settings.supervision.heartbeat_timeout_ms = 9_999),
            ["supervision.heartbeat_timeout_ms"]
        );
        assert_eq!(conflict_of(|settings| settings.generator.late_ratio = 1.0), ["generator.invalid_ratio"]);
        assert_eq!(
            conflict_of(|settings| settings.cdc.users_topic = settings.source.topic.clone()),
            ["cdc.videos_topic"]
        );
        assert_eq!(
            conflict_of(|settings| settings.cdc.schema_registry_user = "me".to_owned()),
            ["cdc.schema_registry_user"]
        );
        assert_eq!(
            conflict_of(|settings| settings.decisions.actions_topic = "content_actions".to_owned()),
            ["decisions.actions_topic"]
        );
        assert_eq!(conflict_of(|settings| settings.http.bind = "0.0.0.0:9464".to_owned()), ["http.bind"]);
    }
}
