//! Dimensions against the truth: the keys that are there, each with its last version and what that says; the versions of each
//! key in the history; and the records of each error code in the quarantine.

use std::collections::{BTreeMap, BTreeSet};

use pulselake_generator::CdcTruth;
use pulselake_generator::cdc::CdcRow;
use pulselake_model::{Entity, ErrorCode};

use super::findings::Findings;

/// A row of a dimension.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FoundRow {
    pub(crate) key: String,
    pub(crate) source_ts_ms: i64,
    /// Of the [`compared_columns`]; `None` is a null.
    pub(crate) values: [Option<String>; 2],
}

/// What an entity's tables hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct FoundChanges {
    /// In table order; a key may be there twice.
    pub(crate) rows: Vec<FoundRow>,
    /// Rows of the history by key.
    pub(crate) versions: BTreeMap<String, u64>,
    /// Rows of the quarantine by error code.
    pub(crate) quarantined: BTreeMap<String, u64>,
}

/// Columns of a dimension that differ from version to version.
pub(crate) fn compared_columns(entity: Entity) -> [&'static str; 2] {
    match entity {
        Entity::Videos => ["region", "status"],
        Entity::Users => ["register_country", "ltv_segment"],
    }
}

/// What a row of the source says in the [`compared_columns`].
fn compared_values(row: &CdcRow) -> [&'static str; 2] {
    match row {
        CdcRow::Video(video) => [video.region, video.status],
        CdcRow::User(user) => [user.register_country, user.ltv_segment],
    }
}

/// Finds every difference. `key_text` writes a key's number as the tables have it.
pub(crate) fn compare(
    entity: Entity,
    truth: &CdcTruth,
    key_text: impl Fn(u64) -> String,
    found: &FoundChanges,
    findings: &mut Findings,
) {
    compare_rows(entity, truth, &key_text, &found.rows, findings);
    let name = entity.as_str();
    let versions = truth.keys.iter().map(|(number, key)| (key_text(*number), key.versions)).collect();
    compare_counts(&versions, &found.versions, findings, |key| format!("the history of {name} {key}"));
    let rejected = ErrorCode::ALL.iter().zip(truth.rejected_by_code);
    let rejected = rejected.map(|(code, records)| (code.as_str().to_owned(), records)).collect();
    compare_counts(&rejected, &found.quarantined, findings, |code| {
        format!("the quarantine of changes of {name}: {code}")
    });
}

fn compare_rows(
    entity: Entity,
    truth: &CdcTruth,
    key_text: impl Fn(u64) -> String,
    rows: &[FoundRow],
    findings: &mut Findings,
) {
    let name = entity.as_str();
    let mut expected: BTreeMap<String, (i64, [&str; 2])> = truth
        .rows()
        .map(|(number, row)| (key_text(number), (truth.keys[&number].source_ts_ms, compared_values(row))))
        .collect();
    for FoundRow { key, source_ts_ms, values } in rows {
        let Some((last_ms, last_values)) = expected.remove(key) else {
            findings.add(|| format!("the dimension of {name} holds {key} twice, or though it was deleted"));
            continue;
        };
        if last_ms != *source_ts_ms {
            findings.add(|| {
                format!("the dimension of {name} holds {key} as of {source_ts_ms} instead of {last_ms} (source_ts_ms)")
            });
            continue;
        }
        for (column, (value, last)) in compared_columns(entity).iter().zip(values.iter().zip(last_values)) {
            if value.as_deref() != Some(last) {
                findings.add(|| {
                    format!(
                        "the dimension of {name} holds {key} with {column} = {value:?} instead of {last:?}"
                    )
                });
            }
        }
    }
    for key in expected.keys() {
        findings.add(|| format!("the dimension of {name} misses {key}"));
    }
}

/// Numbers of rows by some text.
fn compare_counts(
    expected: &BTreeMap<String, u64>,
    found: &BTreeMap<String, u64>,
    findings: &mut Findings,
    place: impl Fn(&str) -> String,
) {
    let texts: BTreeSet<&String> = expected.keys().chain(found.keys()).collect();
    for text in texts {
        let count = |counts: &BTreeMap<String, u64>| counts.get(text).copied().unwrap_or(0);
        let (expected, found) = (count(expected), count(found));
        if expected != found {
            findings.add(|| format!("{}: {found} rows instead of {expected}", place(text)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pulselake_generator::{CdcConfig, CdcWorld, GeneratorConfig};

    #[test]
    fn every_key_and_number_counts() {
        let events = GeneratorConfig { videos: 30, ..GeneratorConfig::default() };
        let config = CdcConfig {
            rate_per_s: 20.0,
            delete_ratio: 0.2,
            invalid_ratio: 0.1,
            ..CdcConfig::beside(&events, Entity::Videos)
        };
        let world = CdcWorld::new(config).unwrap();
        let end = world.end_offset_at(world.config().start_ms + 60_000);
        let truth = CdcTruth::up_to(&world, &[end; 3]).unwrap();
        let key_text = |number: u64| world.key_text(number);
        let rejected = ErrorCode::ALL.iter().zip(truth.rejected_by_code).filter(|(_, records)| *records > 0);
        let right = FoundChanges {
            rows: truth
                .rows()
                .map(|(number, row)| FoundRow {
                    key: key_text(number),
                    source_ts_ms: truth.keys[&number].source_ts_ms,
                    values: compared_values(row).map(|value| Some(value.to_owned())),
                })
                .collect(),
            versions: truth.keys.iter().map(|(number, key)| (key_text(*number), key.versions)).collect(),
            quarantined: rejected.map(|(code, records)| (code.as_str().to_owned(), records)).collect(),
        };
        let lines = |found: &FoundChanges| {
            let mut findings = Findings::default();
            compare(Entity::Videos, &truth, key_text, found, &mut findings);
            findings.into_lines()
        };
        assert!(right.quarantined.len() >= 2 && right.quarantined.values().sum::<u64>() > 50);
        assert!(right.rows.len() < truth.keys.len() && right.rows.len() > 5);
        assert_eq!(lines(&right), Vec::<String>::new());

        let mut wrong = right.clone();
        let missing = wrong.rows.pop().unwrap().key;
        wrong.rows[0].source_ts_ms -= 1;
        wrong.rows[2].values[1] = None;
        wrong.rows.push(wrong.rows[1].clone());
        // As many in all as there should be.
        let mut versions = wrong.versions.values_mut();
        *versions.next().unwrap() += 1;
        *versions.next().unwrap() -= 1;
        let mut codes = wrong.quarantined.values_mut();
        *codes.next().unwrap() += 1;
        *codes.next().unwrap() -= 1;
        let lines = lines(&wrong);
        assert_eq!(lines.len(), 8, "{lines:?}");
        for (line, expected) in lines.iter().zip([
            "as of",
            "with status = None instead of \"",
            "twice",
            &format!("misses {missing}"),
            "the history of videos",
            "the history of videos",
            "the quarantine of changes of videos",
            "the quarantine of changes of videos",
        ]) {
            assert!(line.contains(expected), "{expected:?} is not in {line:?}");
        }
    }
}
