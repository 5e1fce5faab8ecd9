//! Dimensions against the truth: the keys that are there, each with its last version; as many versions in the history, and
//! as many records in quarantine, as there were.

use std::collections::BTreeMap;

use pulselake_generator::CdcTruth;

use super::findings::Findings;

/// What an entity's tables hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct FoundChanges {
    /// Of each row of the dimension: key and `source_ts_ms`. In table order; a key may be there twice.
    pub(crate) rows: Vec<(String, i64)>,
    pub(crate) versions: u64,
    pub(crate) quarantined: u64,
}

/// Finds every difference. `key_text` writes a key's number as the tables have it; `entity` is for the messages.
pub(crate) fn compare(
    entity: &str,
    truth: &CdcTruth,
    key_text: impl Fn(u64) -> String,
    found: &FoundChanges,
    findings: &mut Findings,
) {
    let mut expected: BTreeMap<String, i64> = truth
        .keys
        .iter()
        .filter(|(_, key)| key.row.is_some())
        .map(|(number, key)| (key_text(*number), key.source_ts_ms))
        .collect();
    for (key, source_ts_ms) in &found.rows {
        match expected.remove(key) {
            None => findings.add(|| format!("the dimension of {entity} holds {key} twice, or though it was deleted")),
            Some(last_ms) if last_ms != *source_ts_ms => findings.add(|| {
                format!("the dimension of {entity} holds {key} as of {source_ts_ms} instead of {last_ms} (source_ts_ms)")
            }),
            Some(_) => {}
        }
    }
    for key in expected.keys() {
        findings.add(|| format!("the dimension of {entity} misses {key}"));
    }
    let rejected: u64 = truth.rejected_by_code.iter().sum();
    for (what, expected, found) in [
        ("versions in the history", truth.versions, found.versions),
        ("records in quarantine", rejected, found.quarantined),
    ] {
        if expected != found {
            findings.add(|| format!("changes of {entity}: {found} {what} instead of {expected}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use pulselake_generator::{CdcConfig, CdcWorld, GeneratorConfig};
    use pulselake_model::Entity;

    use super::*;

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
        let right = FoundChanges {
            rows: truth
                .rows()
                .map(|(number, _)| (key_text(number), truth.keys[&number].source_ts_ms))
                .collect(),
            versions: truth.versions,
            quarantined: truth.rejected_by_code.iter().sum(),
        };
        let lines = |found: &FoundChanges| {
            let mut findings = Findings::default();
            compare("videos", &truth, key_text, found, &mut findings);
            findings.into_lines()
        };
        assert!(right.quarantined > 50 && (truth.rows().count() as u64) < truth.keys.len() as u64);
        assert_eq!(lines(&right), Vec::<String>::new());

        let mut wrong = right.clone();
        let (missing, _) = wrong.rows.pop().unwrap();
        wrong.rows[0].1 -= 1;
        wrong.rows.push(wrong.rows[1].clone());
        wrong.versions += 1;
        wrong.quarantined -= 1;
        let lines = lines(&wrong);
        assert_eq!(lines.len(), 5, "{lines:?}");
        assert!(lines[0].contains("as of") && lines[1].contains("twice"), "{lines:?}");
        assert!(lines[2].ends_with(&format!("misses {missing}")), "{lines:?}");
        assert!(lines[3].contains("versions in the history") && lines[4].contains("quarantine"), "{lines:?}");
    }
}
