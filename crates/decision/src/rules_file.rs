//! The rules as a file: TOML with one key for each number, all of them required, under a version.
//!
//! All are required because a version must say one thing: a number that the file leaves out would change with the
//! program's defaults. `config/rules.toml` is the reference, with the defaults as values. A file with anything wrong is not
//! used at all.

use crate::Rules;
use crate::file_reader::{FileError, TableReader, parse_toml};

const SECOND_US: i64 = 1_000_000;
const HOUR_S: i64 = 3_600;
const DAY_S: i64 = 24 * HOUR_S;
/// Characters of a version: it stands in each row of the action queue.
const LONGEST_VERSION: usize = 64;
/// Counts above it are mistakes.
const MOST_COUNT: i64 = 1_000_000_000;

/// The rules that a file holds.
///
/// # Errors
/// When the text is no TOML, or with every key that is missing, unknown, or has a value that is not allowed.
pub fn parse_rules(text: &str) -> Result<Rules, FileError> {
    let table = parse_toml(text)?;
    let mut problems = Vec::new();
    let mut reader = TableReader::new(&table, String::new(), &mut problems);
    let rules = Rules {
        version: reader.text("version", LONGEST_VERSION),
        min_completion_rate: reader.number("min_completion_rate", 0.0..=1.0),
        max_skip_rate: reader.number("max_skip_rate", 0.0..=1.0),
        min_play_starts: reader.whole("min_play_starts", 1..=MOST_COUNT, ""),
        min_candidate_impressions: reader.whole("min_candidate_impressions", 1..=MOST_COUNT, ""),
        max_running_share: reader.number("max_running_share", 0.0..=1.0),
        max_play_us: time_us(&mut reader, "max_play_s", HOUR_S / 2),
        max_rescue_age_us: time_us(&mut reader, "max_rescue_age_s", 30 * DAY_S),
        boost_expiry_us: time_us(&mut reader, "boost_expiry_s", DAY_S),
        review_expiry_us: time_us(&mut reader, "review_expiry_s", DAY_S),
        rescue_expiry_us: time_us(&mut reader, "rescue_expiry_s", DAY_S),
        cooldown_us: time_us(&mut reader, "cooldown_s", 7 * DAY_S),
    };
    reader.finish();
    if problems.is_empty() { Ok(rules) } else { Err(FileError::Invalid(problems)) }
}

/// A time of at least a minute, in seconds in the file and in microseconds in [`Rules`].
fn time_us(reader: &mut TableReader<'_, '_>, key: &'static str, longest_s: i64) -> i64 {
    reader.whole(key, 60..=longest_s, " (seconds)") * SECOND_US
}

/// Whether rules may follow those in force: other numbers need another version, because actions and baselines name it.
///
/// # Errors
/// [`FileError::SameVersion`] with the keys that differ.
pub fn check_successor(in_force: &Rules, next: &Rules) -> Result<(), FileError> {
    if in_force.version != next.version || in_force == next {
        return Ok(());
    }
    let pairs = numbers(in_force).into_iter().zip(numbers(next));
    let changed: Vec<String> = pairs
        .filter(|((_, now), (_, then))| now != then)
        .map(|((key, now), (_, then))| format!("{key} {now} → {then}"))
        .collect();
    Err(FileError::SameVersion { version: next.version.clone(), changed: changed.join(", ") })
}

/// Each number under its key, as the file spells it.
fn numbers(rules: &Rules) -> Vec<(&'static str, String)> {
    // Without `..`: a new field does not compile until it is here.
    let Rules {
        version: _,
        min_completion_rate,
        max_skip_rate,
        min_play_starts,
        min_candidate_impressions,
        max_running_share,
        max_play_us,
        max_rescue_age_us,
        boost_expiry_us,
        review_expiry_us,
        rescue_expiry_us,
        cooldown_us,
    } = rules;
    let seconds = |time_us: &i64| (time_us / SECOND_US).to_string();
    vec![
        ("min_completion_rate", min_completion_rate.to_string()),
        ("max_skip_rate", max_skip_rate.to_string()),
        ("min_play_starts", min_play_starts.to_string()),
        ("min_candidate_impressions", min_candidate_impressions.to_string()),
        ("max_running_share", max_running_share.to_string()),
        ("max_play_s", seconds(max_play_us)),
        ("max_rescue_age_s", seconds(max_rescue_age_us)),
        ("boost_expiry_s", seconds(boost_expiry_us)),
        ("review_expiry_s", seconds(review_expiry_us)),
        ("rescue_expiry_s", seconds(rescue_expiry_us)),
        ("cooldown_s", seconds(cooldown_us)),
    ]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::FileProblem;

    const REFERENCE: &str = include_str!("../../../config/rules.toml");

    fn file_of(rules: &Rules) -> String {
        let lines = numbers(rules).into_iter().map(|(key, value)| format!("{key} = {value}\n"));
        format!("version = {:?}\n", rules.version) + &lines.collect::<String>()
    }

    fn problems_of(text: &str) -> Vec<FileProblem> {
        match parse_rules(text).unwrap_err() {
            FileError::Invalid(problems) => problems,
            other => panic!("{other}"),
        }
    }

    #[test]
    fn the_reference_file_holds_the_defaults() {
        assert_eq!(parse_rules(REFERENCE).unwrap(), Rules::default());
    }

    #[test]
    fn the_reference_file_explains_each_key() {
        let comments = REFERENCE.lines().filter(|line| line.starts_with("# Allowed: ")).count();
        assert_eq!(comments, numbers(&Rules::default()).len() + 1, "one for each number and the version");
    }

    #[test]
    fn every_key_is_required_and_every_problem_told() {
        let keys: Vec<String> = problems_of("").into_iter().map(|problem| problem.key).collect();
        let mut expected = vec!["version".to_owned()];
        expected.extend(numbers(&Rules::default()).into_iter().map(|(key, _)| key.to_owned()));
        keys.iter().for_each(|key| assert!(expected.contains(key), "{key}"));
        assert_eq!(keys.len(), expected.len());
    }

    #[test]
    fn a_wrong_value_is_told_with_its_key_and_what_is_allowed() {
        let reference = file_of(&Rules::default());
        for (right, wrong, told) in [
            (
                "max_skip_rate = 0.35",
                "max_skip_rate = 1.5",
                "max_skip_rate: found 1.5; allowed: a number from 0 to 1",
            ),
            (
                "max_skip_rate = 0.35",
                "max_skip_rate = nan",
                "max_skip_rate: found nan; allowed: a number from 0 to 1",
            ),
            (
                "min_play_starts = 30",
                "min_play_starts = 2.5",
                "min_play_starts: found 2.5; allowed: a whole number from 1 to 1000000000",
            ),
            (
                "cooldown_s = 3600",
                "cooldown_s = \"1 h\"",
                "cooldown_s: found \"1 h\"; allowed: a whole number from 60 to 604800 (seconds)",
            ),
            (
                "version = \"rules-2\"",
                "version = \" \"",
                "version: found \" \"; allowed: a text of 1 to 64 characters, without blanks around it and without control characters",
            ),
            (
                "cooldown_s = 3600",
                "cooldown_s = 3600\ncooldown_min = 60",
                "cooldown_min: found 60; allowed: the keys version, min_completion_rate, ",
            ),
        ] {
            assert!(reference.contains(right), "{right}");
            let problems = problems_of(&reference.replace(right, wrong));
            assert_eq!(problems.len(), 1, "{problems:?}");
            assert!(problems[0].to_string().starts_with(told), "{}", problems[0]);
        }
    }

    #[test]
    fn what_is_no_toml_says_where() {
        let error = parse_rules("version = \"a\"\nmin_play_starts 30\n").unwrap_err().to_string();
        assert!(error.starts_with("no TOML: ") && error.contains("line 2"), "{error}");
    }

    #[test]
    fn a_version_says_one_thing() {
        let in_force = Rules::default();
        assert_eq!(check_successor(&in_force, &in_force.clone()), Ok(()));
        let other = Rules { max_skip_rate: 0.4, cooldown_us: 60_000_000, ..in_force.clone() };
        let error = check_successor(&in_force, &other).unwrap_err().to_string();
        assert_eq!(
            error,
            "version: found \"rules-2\" with other numbers than the rules in force have under it (max_skip_rate 0.35 → 0.4, cooldown_s 3600 → 60); allowed: a version that was not used before"
        );
        let renamed = Rules { version: "rules-2b".to_owned(), ..other };
        assert_eq!(check_successor(&in_force, &renamed), Ok(()));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            share in 0.0_f64..=1.0,
            rates in (0.0_f64..=1.0, 0.0_f64..=1.0),
            counts in (1_i64..100_000, 1_i64..100_000),
            times_s in proptest::collection::vec(60_i64..1_800, 6),
        ) {
            let rules = Rules {
                version: "a \"quoted\" version".to_owned(),
                min_completion_rate: rates.0,
                max_skip_rate: rates.1,
                min_play_starts: counts.0,
                min_candidate_impressions: counts.1,
                max_running_share: share,
                max_play_us: times_s[0] * SECOND_US,
                max_rescue_age_us: times_s[1] * SECOND_US,
                boost_expiry_us: times_s[2] * SECOND_US,
                review_expiry_us: times_s[3] * SECOND_US,
                rescue_expiry_us: times_s[4] * SECOND_US,
                cooldown_us: times_s[5] * SECOND_US,
            };
            prop_assert_eq!(parse_rules(&file_of(&rules)), Ok(rules));
        }

        #[test]
        fn no_text_makes_it_fall_over(text in any::<String>()) {
            let _ = parse_rules(&text);
        }
    }
}
