//! The files of rules and baseline: read at the start, looked at again and again, used once they are found good.

use std::path::{Path, PathBuf};

use pulselake_decision::{Baseline, Rules, check_successor, parse_baseline, parse_rules};
use pulselake_telemetry::{DecisionMetrics, decision_events as events};

use super::settings::DecisionSettings;
use super::state::DecisionsHandle;

/// Where the baseline comes from when neither a file nor a table has one.
const SEED: &str = "built-in seed";

/// A file that can't be used at the start: nothing is in force that could stay.
#[derive(Debug, thiserror::Error)]
#[error("{setting} = {:?} can't be used: {reason}", path.display())]
pub struct FileRefused {
    /// The setting that names it.
    pub setting: &'static str,
    /// The file.
    pub path: PathBuf,
    /// What is wrong, and what is allowed.
    pub reason: String,
}

/// What the files say.
#[derive(Debug)]
pub(super) struct FromFiles {
    pub(super) rules: Rules,
    pub(super) baseline: Baseline,
    pub(super) baseline_origin: String,
}

/// The files, and what was read of them last.
#[derive(Debug)]
pub(super) struct Files {
    rules: Option<Watched>,
    baseline: Option<Watched>,
    /// What the file of the baseline says, or the seed; in force where nothing is published.
    own_baseline: (Baseline, String),
}

#[derive(Debug)]
struct Watched {
    path: PathBuf,
    /// Its text, or why it could not be read.
    last: Result<String, String>,
}

impl Watched {
    fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), last: read(path) }
    }

    /// What the file says now, if that is another thing than before.
    fn look(&mut self) -> Option<Result<String, String>> {
        let now = read(&self.path);
        if now == self.last {
            return None;
        }
        self.last.clone_from(&now);
        Some(now)
    }

    fn parsed<T, E: ToString>(&self, parse: impl Fn(&str) -> Result<T, E>) -> Result<T, String> {
        self.last
            .as_ref()
            .map_err(String::clone)
            .and_then(|text| parse(text).map_err(|error| error.to_string()))
    }
}

/// A few lines, a few times a minute.
fn read(path: &Path) -> Result<String, String> {
    std::fs::read_to_string(path).map_err(|error| format!("it can't be read: {error}"))
}

impl Files {
    /// Reads the files.
    ///
    /// # Errors
    /// Where one can't be used.
    pub(super) fn open(settings: &DecisionSettings) -> Result<(Self, FromFiles), FileRefused> {
        let rules = settings.rules_file.as_deref().map(Watched::new);
        let baseline = settings.baseline_file.as_deref().map(Watched::new);
        let refused =
            |setting, watched: &Watched, reason| FileRefused { setting, path: watched.path.clone(), reason };
        let rules_in_force = match &rules {
            None => Rules::default(),
            Some(watched) => watched
                .parsed(parse_rules)
                .map_err(|reason| refused("decisions.rules_file", watched, reason))?,
        };
        let (first_baseline, origin) = match &baseline {
            None => (Baseline::seed(), SEED.to_owned()),
            Some(watched) => watched
                .parsed(parse_baseline)
                .map(|found| (found, watched.path.display().to_string()))
                .map_err(|reason| refused("decisions.baseline_file", watched, reason))?,
        };
        let found = FromFiles {
            rules: rules_in_force,
            baseline: first_baseline.clone(),
            baseline_origin: origin.clone(),
        };
        Ok((Self { rules, baseline, own_baseline: (first_baseline, origin) }, found))
    }

    /// The baseline where nothing is published, and where it comes from.
    pub(super) fn own_baseline(&self) -> &(Baseline, String) {
        &self.own_baseline
    }

    /// Looks at the files again. Good rules are in force from here on; a good baseline is the new [`Files::own_baseline`].
    pub(super) fn look(&mut self, handle: &DecisionsHandle, metrics: &DecisionMetrics) {
        if let Some(watched) = &mut self.rules
            && let Some(text) = watched.look()
        {
            let in_force = handle.rules();
            let parsed = text.and_then(|text| {
                let rules = parse_rules(&text).map_err(|error| error.to_string())?;
                check_successor(&in_force, &rules).map_err(|error| error.to_string())?;
                Ok(rules)
            });
            let path = watched.path.display().to_string();
            let error = refusal(&path, &parsed, metrics);
            handle.rules_refused(error);
            if let Ok(rules) = parsed {
                events::rules_in_force(&rules.version, &path);
                handle.use_rules(rules);
            }
        }
        if let Some(watched) = &mut self.baseline
            && let Some(text) = watched.look()
        {
            let parsed = text.and_then(|text| parse_baseline(&text).map_err(|error| error.to_string()));
            let path = watched.path.display().to_string();
            let error = refusal(&path, &parsed, metrics);
            handle.baseline_refused(error);
            if let Ok(baseline) = parsed {
                self.own_baseline = (baseline, path);
            }
        }
    }
}

/// Reports a file that can't be used; its reason for the API.
fn refusal<T>(path: &str, parsed: &Result<T, String>, metrics: &DecisionMetrics) -> Option<String> {
    let reason = parsed.as_ref().err()?;
    events::file_refused(path, reason);
    metrics.refused_file();
    Some(format!("{path}: {reason}"))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const RULES: &str = include_str!("../../../config/rules.toml");
    const BASELINE: &str = include_str!("../../../config/baseline.toml");

    fn settings(directory: &Path) -> DecisionSettings {
        DecisionSettings {
            rules_file: Some(directory.join("rules.toml")),
            baseline_file: Some(directory.join("baseline.toml")),
            ..super::super::settings::for_tests(Duration::from_secs(1))
        }
    }

    fn write(directory: &Path, name: &str, text: &str) {
        std::fs::write(directory.join(name), text).unwrap();
    }

    fn opened(directory: &Path) -> (Files, DecisionsHandle) {
        let (files, found) = Files::open(&settings(directory)).unwrap();
        let handle = DecisionsHandle::new(found.rules, found.baseline, &found.baseline_origin);
        (files, handle)
    }

    #[test]
    fn a_start_without_good_files_names_the_setting() {
        let directory = tempfile::tempdir().unwrap();
        let refused = Files::open(&settings(directory.path())).unwrap_err().to_string();
        assert!(
            refused.starts_with("decisions.rules_file = ") && refused.contains("can't be read"),
            "{refused}"
        );
        write(directory.path(), "rules.toml", RULES);
        write(directory.path(), "baseline.toml", "[global]");
        let refused = Files::open(&settings(directory.path())).unwrap_err().to_string();
        assert!(refused.contains("decisions.baseline_file") && refused.contains("velocity_p90"), "{refused}");
    }

    #[test]
    fn good_rules_come_into_force_and_bad_ones_are_reported() {
        let directory = tempfile::tempdir().unwrap();
        write(directory.path(), "rules.toml", RULES);
        write(directory.path(), "baseline.toml", BASELINE);
        let (mut files, handle) = opened(directory.path());
        let metrics = DecisionMetrics::default();
        files.look(&handle, &metrics);
        assert_eq!((handle.rules().as_ref(), handle.rules_error()), (&Rules::default(), None));

        // Other numbers under the version in force.
        let changed = RULES.replace("max_skip_rate = 0.35", "max_skip_rate = 0.5");
        write(directory.path(), "rules.toml", &changed);
        files.look(&handle, &metrics);
        assert_eq!(handle.rules().as_ref(), &Rules::default());
        assert!(handle.rules_error().is_some_and(|error| error.contains("max_skip_rate")));

        let renamed = changed.replace(&format!("{:?}", Rules::DEFAULT_VERSION), "\"strict-1\"");
        write(directory.path(), "rules.toml", &renamed);
        files.look(&handle, &metrics);
        assert_eq!((handle.rule_version().as_str(), handle.rules_error()), ("strict-1", None));

        std::fs::remove_file(directory.path().join("rules.toml")).unwrap();
        files.look(&handle, &metrics);
        assert_eq!(handle.rule_version(), "strict-1", "a file that vanishes takes nothing away");
        assert!(handle.rules_error().is_some_and(|error| error.contains("can't be read")));
    }

    #[test]
    fn a_baseline_is_replaced_as_a_whole() {
        let directory = tempfile::tempdir().unwrap();
        write(directory.path(), "rules.toml", RULES);
        write(directory.path(), "baseline.toml", BASELINE);
        let (mut files, handle) = opened(directory.path());
        assert_eq!(files.own_baseline().0, Baseline::seed());
        write(directory.path(), "baseline.toml", "[global]\nvelocity_p90 = 0.5\n");
        files.look(&handle, &DecisionMetrics::default());
        assert_eq!(files.own_baseline().0, Baseline::seed());
        assert!(handle.rules_error().is_some_and(|error| error.contains("impressions_p40")));
        write(directory.path(), "baseline.toml", "[global]\nvelocity_p90 = 0.5\nimpressions_p40 = 9\n");
        files.look(&handle, &DecisionMetrics::default());
        assert_eq!(files.own_baseline().0.global().velocity_p90, 0.5);
        assert_eq!(handle.rules_error(), None);
    }
}
