//! A baseline as a file: what counts until one was computed from what was observed.
//!
//! TOML: `[global]` with the thresholds for every video, and any number of `[[cohort]]` for the videos of a category in a
//! region. `config/baseline.toml` is the reference and holds [`Thresholds::SEED`]. A file with anything wrong is not used at
//! all.

use std::collections::BTreeMap;

use toml::Table;

use crate::baseline::{MIN_COHORT_SAMPLE, MIN_GLOBAL_SAMPLE};
use crate::file_reader::{FileError, FileProblem, TableReader, parse_toml};
use crate::{Baseline, Cohort, ThresholdOrigin, Thresholds};

/// Velocities above it are mistakes: five shares an impression come to 25.
const MOST_VELOCITY: f64 = 100.0;
const MOST_IMPRESSIONS: f64 = 1e12;
const MOST_SAMPLE: i64 = 1_000_000_000_000;
/// Characters of a category or a region.
const LONGEST_NAME: usize = 200;

/// The baseline that a file holds. Thresholds with a `sample_size` are of observed rows and need as many as
/// [`Baseline::observed`] does; without one they are constants ([`ThresholdOrigin::Seed`]).
///
/// # Errors
/// When the text is no TOML, or with every key that is missing, unknown, given twice, or has a value that is not allowed.
pub fn parse_baseline(text: &str) -> Result<Baseline, FileError> {
    let file = parse_toml(text)?;
    let mut problems = Vec::new();
    let mut reader = TableReader::new(&file, String::new(), &mut problems);
    let (global_table, cohort_tables) = (reader.table("global"), reader.tables("cohort"));
    reader.finish();

    let global = global_table.map_or(Thresholds::SEED, |table| {
        let mut of_global = TableReader::new(table, "global.".to_owned(), &mut problems);
        let thresholds = read_thresholds(&mut of_global, MIN_GLOBAL_SAMPLE, ThresholdOrigin::Global);
        of_global.finish();
        thresholds
    });
    let mut cohorts = BTreeMap::new();
    for (place, table) in (1..).zip(cohort_tables) {
        let (cohort, thresholds) = read_cohort(place, table, &mut problems);
        let name = format!("{:?} in {:?}", cohort.category, cohort.region);
        if cohorts.insert(cohort, thresholds).is_some() {
            let allowed = "each category and region once".to_owned();
            problems.push(FileProblem { key: format!("cohort[{place}]"), found: Some(name), allowed });
        }
    }
    if problems.is_empty() { Ok(Baseline::new(global, cohorts)) } else { Err(FileError::Invalid(problems)) }
}

/// `place` counts from 1, as people count the tables of a file.
fn read_cohort(place: usize, table: &Table, problems: &mut Vec<FileProblem>) -> (Cohort, Thresholds) {
    let mut reader = TableReader::new(table, format!("cohort[{place}]."), problems);
    let cohort = Cohort {
        category: reader.text("category", LONGEST_NAME),
        region: reader.text("region", LONGEST_NAME),
    };
    let thresholds = read_thresholds(&mut reader, MIN_COHORT_SAMPLE, ThresholdOrigin::Cohort);
    reader.finish();
    (cohort, thresholds)
}

fn read_thresholds(
    reader: &mut TableReader<'_, '_>,
    least_sample: usize,
    origin: ThresholdOrigin,
) -> Thresholds {
    let velocity_p90 = reader.number("velocity_p90", 0.0..=MOST_VELOCITY);
    let impressions_p40 = reader.number("impressions_p40", 0.0..=MOST_IMPRESSIONS);
    // Both constants of least samples fit.
    let sample_size = reader.whole_if_given("sample_size", least_sample as i64..=MOST_SAMPLE);
    Thresholds {
        velocity_p90,
        impressions_p40,
        sample_size: sample_size.map_or(0, |size| size as usize),
        origin: if sample_size.is_some() { origin } else { ThresholdOrigin::Seed },
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::VideoFacts;

    const REFERENCE: &str = include_str!("../../../config/baseline.toml");
    const WITH_COHORT: &str = r#"
        [global]
        velocity_p90 = 0.25
        impressions_p40 = 150
        sample_size = 1000

        [[cohort]]
        category = "music"
        region = "de"
        velocity_p90 = 0.4
        impressions_p40 = 90.5
        sample_size = 200

        [[cohort]]
        category = "music"
        region = "fr"
        velocity_p90 = 0.3
        impressions_p40 = 80
    "#;

    fn told(text: &str) -> String {
        parse_baseline(text).unwrap_err().to_string()
    }

    #[test]
    fn the_reference_file_holds_the_seed() {
        assert_eq!(parse_baseline(REFERENCE).unwrap(), Baseline::seed());
    }

    #[test]
    fn cohorts_have_thresholds_of_their_own() {
        let baseline = parse_baseline(WITH_COHORT).unwrap();
        let of = |region| {
            let video = VideoFacts { category: Some("music"), region: Some(region), ..VideoFacts::default() };
            let found = baseline.thresholds_for(&video);
            (found.velocity_p90, found.impressions_p40, found.sample_size, found.origin)
        };
        assert_eq!(of("de"), (0.4, 90.5, 200, ThresholdOrigin::Cohort));
        assert_eq!(of("fr"), (0.3, 80.0, 0, ThresholdOrigin::Seed));
        assert_eq!(of("us"), (0.25, 150.0, 1_000, ThresholdOrigin::Global));
    }

    #[test]
    fn a_sample_that_is_given_must_be_large_enough() {
        assert_eq!(
            told(&WITH_COHORT.replace("sample_size = 1000", "sample_size = 999")),
            "global.sample_size: found 999; allowed: a whole number from 1000 to 1000000000000"
        );
        assert_eq!(
            told(&WITH_COHORT.replace("sample_size = 200", "sample_size = 199")),
            "cohort[1].sample_size: found 199; allowed: a whole number from 200 to 1000000000000"
        );
    }

    #[test]
    fn everything_that_is_wrong_is_told() {
        assert_eq!(told(""), "global: missing; allowed: a table, [global]");
        assert_eq!(
            told("[global]\nvelocity_p90 = -1\nimpression_p40 = 3"),
            "global.velocity_p90: found -1; allowed: a number from 0 to 100\nglobal.impressions_p40: missing; allowed: a number from 0 to 1000000000000\nglobal.impression_p40: found 3; allowed: the keys velocity_p90, impressions_p40, sample_size"
        );
        assert_eq!(
            told(&WITH_COHORT.replace("\"fr\"", "\"de\"")),
            "cohort[2]: found \"music\" in \"de\"; allowed: each category and region once"
        );
        assert_eq!(
            told(&WITH_COHORT.replace("\"fr\"", "\"\"")),
            "cohort[2].region: found \"\"; allowed: a text of 1 to 200 characters, without blanks around it and without control characters"
        );
        assert!(
            told(&format!("cohort = 3\n{REFERENCE}"))
                .starts_with("cohort: found 3; allowed: a list of tables")
        );
    }

    proptest! {
        #[test]
        fn no_text_makes_it_fall_over(text in any::<String>()) {
            let _ = parse_baseline(&text);
        }
    }
}
