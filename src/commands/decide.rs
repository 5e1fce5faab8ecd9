//! `pulselake decide`: what other rules would have decided over history, before they go live.
//!
//! Both sets of rules see the same: the counts of gold, the dimension as it is now, one baseline. Each keeps its own pause
//! between the actions of a video, from the stretch's beginning on. No table is written, and no engine is needed.

mod compare;
mod history;
mod report;

use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use pulselake_actors::VideoRow;
use pulselake_actors::decisions::published_baseline;
use pulselake_config::Settings;
use pulselake_decision::{Baseline, Rules, actions_of_video, check_successor, parse_baseline, parse_rules};
use pulselake_lake::{Lake, OpenMode};

use self::compare::Comparison;
use self::history::{History, Stretch, read_history};
use self::report::{Report, Scope};
use super::output::{in_runtime, write_json, write_out};
use crate::cli::{DecideArgs, DecideFormat};
use crate::engine::open_lake;

/// Replays history with the rules in force and with other ones, and writes the difference.
///
/// # Errors
/// When rules, baseline or tables can't be read.
pub(crate) fn run(args: &DecideArgs) -> anyhow::Result<ExitCode> {
    let settings = args.settings()?;
    let (from_us, to_us) = args.stretch_us();
    let stretch = Stretch::new(from_us, to_us)?;
    let proposed = read_rules(&args.rules)?;
    let in_force = rules_in_force(args, &settings)?;
    check_successor(&in_force, &proposed)
        .with_context(|| format!("the rules {} can't follow those in force", args.rules.display()))?;
    let (history, baseline) = in_runtime(async {
        let lake = open_lake(&settings, OpenMode::MustExist).await?;
        let history = read_history(&lake, stretch).await?;
        anyhow::Ok((history, baseline_in_force(args, &settings, &lake, (&in_force.version, to_us)).await?))
    })?;

    let first_minute_us = history.first_decided_minute_us(stretch);
    let comparison = compare(&history, first_minute_us, &baseline, &in_force, &proposed);
    let is_covered = history.covered_from_us.is_some() && first_minute_us <= stretch.last_minute_us;
    let scope = Scope {
        minutes_us: is_covered.then_some((first_minute_us, stretch.last_minute_us)),
        videos: history.videos.len(),
        unknown_videos: history.unknown_videos(),
        video_minutes: history.video_minutes(),
    };
    let report = Report::new(&scope, (in_force.version.as_str(), proposed.version.as_str()), &comparison);
    match args.format {
        DecideFormat::Json => write_json(&report)?,
        DecideFormat::Table => write_out(report.text().as_bytes())?,
    }
    Ok(ExitCode::SUCCESS)
}

fn read_rules(path: &Path) -> anyhow::Result<Rules> {
    let text =
        std::fs::read_to_string(path).with_context(|| format!("can't read the rules {}", path.display()))?;
    parse_rules(&text).with_context(|| format!("the rules {} are not valid", path.display()))
}

fn rules_in_force(args: &DecideArgs, settings: &Settings) -> anyhow::Result<Rules> {
    let configured = given_path(&settings.decisions.rules_file);
    args.against.as_deref().or(configured).map_or_else(|| Ok(Rules::default()), read_rules)
}

/// As the engine has it: the one published for the version, as of that moment, before the file of the settings and the seed.
async fn baseline_in_force(
    args: &DecideArgs,
    settings: &Settings,
    lake: &Lake,
    (rule_version, at_us): (&str, i64),
) -> anyhow::Result<Baseline> {
    if let Some(path) = args.baseline.as_deref() {
        return read_baseline(path);
    }
    if let Some((baseline, _)) = published_baseline(lake, rule_version, at_us).await? {
        return Ok(baseline);
    }
    given_path(&settings.decisions.baseline_file).map_or_else(|| Ok(Baseline::seed()), read_baseline)
}

fn read_baseline(path: &Path) -> anyhow::Result<Baseline> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("can't read the baseline {}", path.display()))?;
    parse_baseline(&text).with_context(|| format!("the baseline {} is not valid", path.display()))
}

/// `None` for an empty setting.
fn given_path(setting: &str) -> Option<&Path> {
    (!setting.is_empty()).then(|| Path::new(setting))
}

fn compare(
    history: &History,
    first_minute_us: i64,
    baseline: &Baseline,
    in_force: &Rules,
    proposed: &Rules,
) -> Comparison {
    let pause_us = in_force.cooldown_us.min(proposed.cooldown_us);
    let mut comparison = Comparison::default();
    for (video_id, minutes) in &history.videos {
        let facts = history.rows.get(video_id).map(VideoRow::facts);
        let thresholds = facts.as_ref().map_or(baseline.global(), |known| baseline.thresholds_for(known));
        let actions_by = |rules: &Rules| {
            actions_of_video(rules, thresholds, video_id, facts.as_ref(), minutes, first_minute_us)
        };
        comparison.add_video(actions_by(in_force), actions_by(proposed), pause_us);
    }
    comparison
}
