//! Which views there are, and what can be told from their texts.

use std::sync::LazyLock;

/// Pairs of name and text.
macro_rules! embedded {
    ($($name:literal),+ $(,)?) => {
        [$(($name, include_str!(concat!("../../../sql/serving/", $name, ".sql")))),+]
    };
}

/// Every file of `sql/serving/`. A view stands behind those that it reads.
const FILES: [(&str, &str); 13] = embedded![
    "v_rt_video_stats_1min",
    "v_rt_video_metrics_30m_1m",
    "v_dim_videos",
    "v_dim_videos_history",
    "v_dim_users",
    "v_dim_users_history",
    "v_rt_video_decision_context_30m_1m",
    "viral_velocity_30m",
    "trending_videos",
    "global_doomscroll_rate",
    "cold_start_health",
    "fresh_supply",
    "interaction_rate_by_app_version",
];

/// One view.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServingView {
    /// Its name, without schema.
    pub name: &'static str,
    /// The file as it stands: a header of comment lines, then the query.
    pub text: &'static str,
    /// What a row is: the first sentence of the header.
    pub summary: String,
    /// The tables that it reads itself, as `schema.name`, each once.
    pub tables: Vec<&'static str>,
    /// The views that it reads itself, each once.
    pub views: Vec<&'static str>,
}

impl ServingView {
    fn of(name: &'static str, text: &'static str) -> Self {
        let (tables, others): (Vec<_>, Vec<_>) =
            sources(query_of(text)).into_iter().partition(|source| source.contains('.'));
        let is_view = |source: &&'static str| FILES.iter().any(|(view, _)| view == source);
        Self {
            name,
            text,
            summary: summary_of(text),
            tables,
            views: others.into_iter().filter(is_view).collect(),
        }
    }

    /// The query without the header.
    pub fn query(&self) -> &'static str {
        query_of(self.text)
    }
}

/// Every view, each behind those that it reads.
pub fn serving_views() -> &'static [ServingView] {
    static VIEWS: LazyLock<Vec<ServingView>> =
        LazyLock::new(|| FILES.iter().map(|(name, text)| ServingView::of(name, text)).collect());
    &VIEWS
}

/// The view of that name.
pub fn find_view(name: &str) -> Option<&'static ServingView> {
    serving_views().iter().find(|view| view.name == name)
}

fn query_of(text: &'static str) -> &'static str {
    let mut rest = text;
    while rest.starts_with("--") {
        rest = rest.split_once('\n').map_or("", |(_, behind)| behind);
    }
    rest.trim_end()
}

fn summary_of(text: &str) -> String {
    let lines = text.lines().map_while(|line| line.strip_prefix("-- "));
    let header = lines.collect::<Vec<_>>().join(" ");
    let end = header.find(". ").map_or(header.len(), |dot| dot + 1);
    header[..end].to_owned()
}

/// What stands behind FROM and JOIN, each once; names of the query's own parts among them.
fn sources(query: &'static str) -> Vec<&'static str> {
    let code = query.lines().map(|line| line.split_once("--").map_or(line, |(before, _)| before));
    let words = code.flat_map(|line| line.split(|sign: char| sign.is_whitespace() || "(),".contains(sign)));
    let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
    let mut found = Vec::new();
    for pair in words.windows(2) {
        if matches!(pair[0], "FROM" | "JOIN") && !found.contains(&pair[1]) {
            found.push(pair[1]);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use pulselake_decision::{Rules, Thresholds};
    use pulselake_model::tables::LakeTable;

    use super::*;

    #[test]
    fn every_file_is_embedded() {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../sql/serving");
        let files: BTreeSet<String> = std::fs::read_dir(directory)
            .unwrap()
            .map(|entry| entry.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned())
            .collect();
        let views: BTreeSet<String> = serving_views().iter().map(|view| view.name.to_owned()).collect();
        assert_eq!(views, files);
    }

    #[test]
    fn a_view_stands_behind_those_that_it_reads() {
        let mut before: Vec<&str> = Vec::new();
        for view in serving_views() {
            assert!(view.views.iter().all(|read| before.contains(read)), "{}: {:?}", view.name, view.views);
            assert!(!view.views.is_empty() || !view.tables.is_empty(), "{} reads nothing", view.name);
            before.push(view.name);
        }
    }

    #[test]
    fn tables_are_those_of_the_model() {
        for view in serving_views() {
            for table in &view.tables {
                assert!(
                    LakeTable::ALL.iter().any(|known| known.full_name() == *table),
                    "{}: {table}",
                    view.name
                );
            }
        }
        let context = find_view("v_rt_video_decision_context_30m_1m").unwrap();
        assert_eq!(context.tables, ["gold.rt_video_stats_1min", "dims.rt_rule_quantile_baselines"]);
        assert_eq!(context.views, ["v_rt_video_metrics_30m_1m", "v_dim_videos"]);
    }

    #[test]
    fn a_header_says_first_what_a_row_is() {
        for view in serving_views() {
            assert!(
                view.summary.ends_with('.') || view.summary.contains(':'),
                "{}: {}",
                view.name,
                view.summary
            );
            assert!(view.text.starts_with("-- ") && !view.query().starts_with('-'), "{}", view.name);
            assert!(!view.query().contains(';'), "{} is more than one statement", view.name);
        }
        assert_eq!(find_view("trending_videos").unwrap().query().split_whitespace().next(), Some("SELECT"));
    }

    /// A view can't read the rules' file, so it has their numbers written out.
    #[test]
    fn the_context_has_the_numbers_of_the_rules() {
        let query = find_view("v_rt_video_decision_context_30m_1m").unwrap().query();
        let (rules, seed) = (Rules::default(), Thresholds::SEED);
        for (number, column) in [
            (format!("'{}'", rules.version), "rule_version"),
            (format!("CAST({} AS double)", rules.min_completion_rate), "min_completion_rate"),
            (format!("CAST({} AS double)", rules.max_skip_rate), "max_skip_rate"),
            (rules.min_play_starts.to_string(), "min_play_starts"),
            (rules.min_candidate_impressions.to_string(), "min_candidate_impressions"),
            (format!("CAST({} AS double)", rules.max_running_share), "max_running_share"),
            (format!("CAST({} AS double)", seed.velocity_p90), "seed_velocity_p90"),
            (format!("CAST({} AS double)", seed.impressions_p40), "seed_impressions_p40"),
        ] {
            let written = query.lines().find(|line| line.contains(&format!("AS {column}"))).unwrap();
            let written = written.trim().trim_start_matches("SELECT").split(" AS ").next().unwrap().trim();
            assert_eq!(written, number.split(" AS ").next().unwrap(), "{column}");
        }
        assert!(query.contains(&format!("INTERVAL '{}' MINUTE", rules.max_rescue_age_us / 60_000_000)));
        assert_eq!(rules.max_play_us, 5 * 60_000_000, "the longest of play_start_2m to play_start_5m");
    }
}
