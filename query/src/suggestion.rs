//! What may have been meant by the name of a table that is not there.
//!
//! Pure: from the message of an error to the name in it, and from that to the known name that is most like it.

use crate::catalog::CATALOG;

/// The name in DataFusion's `table 'lake.gold.nope' not found`, without the catalog.
pub(crate) fn missing_table(message: &str) -> Option<String> {
    let (before, after) = message.split_once("table '")?;
    let (name, rest) = after.split_once('\'')?;
    if !rest.starts_with(" not found") || before.contains("view ") {
        return None;
    }
    let plain = name.strip_prefix(CATALOG).and_then(|rest| rest.strip_prefix('.')).unwrap_or(name);
    Some(plain.to_owned())
}

/// The known name that `missing` is most like: by its last part, whatever the schema.
pub(crate) fn nearest(missing: &str, known: impl Iterator<Item = String>) -> Option<String> {
    const ALIKE: f64 = 0.8;
    let last = |name: &str| name.rsplit('.').next().unwrap_or_default().to_owned();
    let wanted = last(missing);
    let likeness = |name: &str| {
        let of_last = strsim::jaro_winkler(&wanted, &last(name));
        // Of two with the same last part, the one whose schema is as written too.
        of_last + strsim::jaro_winkler(missing, name) / 1_000.0
    };
    known
        .map(|name| (likeness(&name), name))
        .filter(|(score, _)| *score >= ALIKE)
        .max_by(|(one, _), (other, _)| one.total_cmp(other))
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_missing_table_is_found_in_the_message() {
        assert_eq!(missing_table("table 'lake.gold.nope' not found").as_deref(), Some("gold.nope"));
        assert_eq!(
            missing_table("view v can't be planned\ncaused by\ntable 'lake.gold.nope' not found"),
            None
        );
        assert_eq!(missing_table("column 'x' not found"), None);
    }

    #[test]
    fn what_was_meant_is_named() {
        let known = || ["gold.rt_video_stats_1min", "bronze.raw_events"].map(ToOwned::to_owned).into_iter();
        let found = |missing: &str| nearest(missing, known());
        assert_eq!(found("serving.rt_video_stats_1min").as_deref(), Some("gold.rt_video_stats_1min"));
        assert_eq!(found("bronze.raw_event").as_deref(), Some("bronze.raw_events"));
        assert_eq!(found("gold.customers"), None);
    }
}
