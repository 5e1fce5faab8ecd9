//! What a catalog tells about the store of a table: its configuration and the credentials for it.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::wire::{Strings, TableAnswer};

/// Credentials that don't say when they end are asked for again after this time: the shortest that a cloud gives is a
/// quarter of an hour.
const GOOD_FOR: Duration = Duration::from_secs(300);

/// Properties for a table's files.
pub(super) struct Vended {
    pub properties: Strings,
    /// Until when they may be used without asking again; `None` where the catalog gave no credentials.
    pub good_until: Option<Instant>,
}

/// What `answer` says on top of what the catalog told `of_catalog`. Of several credentials the one for the longest
/// prefix of the table's location counts.
pub(super) fn vended(of_catalog: &Strings, answer: &TableAnswer) -> Vended {
    let location = answer.metadata.location();
    let credential = answer
        .storage_credentials
        .iter()
        .flatten()
        .filter(|credential| location.starts_with(&credential.prefix))
        .max_by_key(|credential| credential.prefix.len());
    let mut of_table = answer.config.clone();
    of_table.extend(credential.iter().flat_map(|found| found.config.clone()));
    // That one is for the catalog.
    of_table.remove("token");
    let good_until = is_credential(&of_table).then(|| good_until(&of_table));
    let mut properties = of_catalog.clone();
    properties.extend(of_table);
    Vended { properties, good_until }
}

fn is_credential(properties: &Strings) -> bool {
    properties.keys().any(|key| {
        ["access-key", "token", "sas", "secret", "account-key"].iter().any(|part| key.contains(part))
    })
}

/// Half the time to the earliest end.
fn good_until(properties: &Strings) -> Instant {
    let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as u64;
    let earliest_ms = properties
        .iter()
        .filter(|(key, _)| key.contains("expires-at"))
        .filter_map(|(_, value)| value.parse::<u64>().ok())
        .min();
    let left = earliest_ms.map(|end_ms| Duration::from_millis(end_ms.saturating_sub(now_ms) / 2));
    Instant::now() + left.unwrap_or(GOOD_FOR).min(Duration::from_secs(86_400))
}

#[cfg(test)]
mod tests {
    use iceberg::spec::{FormatVersion, Schema, SortOrder, TableMetadataBuilder, UnboundPartitionSpec};

    use super::super::wire::StorageCredential;
    use super::*;

    fn strings(pairs: &[(&str, &str)]) -> Strings {
        pairs.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect()
    }

    fn answer(config: Strings, credentials: &[(&str, &str)]) -> TableAnswer {
        let metadata = TableMetadataBuilder::new(
            Schema::builder().build().unwrap(),
            UnboundPartitionSpec::builder().build(),
            SortOrder::unsorted_order(),
            "s3://lake/gold/views".to_string(),
            FormatVersion::V2,
            Strings::new(),
        )
        .unwrap()
        .build()
        .unwrap()
        .metadata;
        let of = |&(prefix, key): &(&str, &str)| StorageCredential {
            prefix: prefix.to_string(),
            config: strings(&[("s3.access-key-id", key)]),
        };
        let storage_credentials = Some(credentials.iter().map(of).collect());
        TableAnswer { metadata_location: None, metadata, config, storage_credentials }
    }

    #[test]
    fn the_credential_of_the_longest_prefix_counts() {
        let credentials = [
            ("s3", "any"),
            ("s3://lake/gold/", "gold"),
            ("s3://lake", "lake"),
            ("s3://lake/gold/views/x", "other"),
        ];
        let config =
            strings(&[("s3.access-key-id", "config"), ("s3.region", "here"), ("token", "of the catalog")]);
        let told = vended(
            &strings(&[("s3.region", "elsewhere"), ("s3.endpoint", "e")]),
            &answer(config, &credentials),
        );
        let expected = strings(&[("s3.access-key-id", "gold"), ("s3.region", "here"), ("s3.endpoint", "e")]);
        assert_eq!(told.properties, expected);
        assert!(told.good_until.is_some());
    }

    #[test]
    fn without_credentials_there_is_nothing_to_renew() {
        let told = vended(&Strings::new(), &answer(strings(&[("s3.region", "here")]), &[("gs://", "other")]));
        assert_eq!(told.properties, strings(&[("s3.region", "here")]));
        assert!(told.good_until.is_none());
    }

    #[test]
    fn credentials_are_asked_for_again_at_half_their_time() {
        let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64;
        let end = (now_ms + 1_000_000).to_string();
        let left = good_until(&strings(&[("s3.session-token-expires-at-ms", &end)])) - Instant::now();
        assert!(left <= Duration::from_secs(500) && left > Duration::from_secs(490), "{left:?}");
        let ended = good_until(&strings(&[("s3.session-token-expires-at-ms", "1")]));
        assert!(ended <= Instant::now());
    }
}
