//! `pulselake-query batch` and `drift`: what can be typed.

use std::path::PathBuf;

use anyhow::Context;
use chrono::{Days, NaiveDate, Utc};
use clap::{Args, Subcommand};
use pulselake_decision::{Rules, parse_rules};
use pulselake_place::{Flags, SettingsArgs, lake_settings};
use pulselake_query::batch::BatchSettings;
use pulselake_query::batch::command::ReportFormat;
use pulselake_query::batch::job::{JOBS, Job, find_job};
use pulselake_query::batch::run::Request;
use pulselake_query::batch::template::Dialect;

use super::ResourceArgs;

/// What to do about days.
#[derive(Debug, Subcommand)]
pub(crate) enum BatchCommand {
    /// Make what is due: silver, daily gold, reconciliation and baselines of one day or of many
    ///
    /// Each job replaces its day in one commit; what is up to date is left alone, so the same command can be repeated. Ends
    /// with 0, with 3 where the reconciliation of a day is CRIT, with 1 where a job failed.
    Run(RunArgs),
    /// Show what would be made, and why; changes nothing
    Plan(PlanArgs),
    /// Print the SQL of jobs for a day, for Spark or Trino
    Render(RenderArgs),
    /// Show the log of runs, newest last
    Runs(RunsArgs),
    /// Show how far real time and batch are apart on a day; ends with 3 where that is CRIT
    Reconcile(ReconcileArgs),
    /// Correct real time where batch counted otherwise: adds the differences of a day to gold
    Restate(RestateArgs),
}

/// Days and jobs.
#[derive(Clone, Debug, Args)]
struct StepArgs {
    /// The day (UTC), such as 2026-01-31, or yesterday
    #[arg(long, value_name = "DAY", value_parser = day, required_unless_present = "from", conflicts_with_all = ["from", "to"])]
    date: Option<NaiveDate>,
    /// The first of several days
    #[arg(long, value_name = "DAY", value_parser = day, requires = "to")]
    from: Option<NaiveDate>,
    /// The last of them
    #[arg(long, value_name = "DAY", value_parser = day, requires = "from")]
    to: Option<NaiveDate>,
    /// Only this job; may be repeated
    #[arg(long = "job", value_name = "JOB", value_parser = job)]
    jobs: Vec<&'static Job>,
}

impl StepArgs {
    fn request(&self, force: bool) -> anyhow::Result<Request> {
        let first = self.date.or(self.from).context("--date is missing")?;
        let last = self.date.or(self.to).context("--to is missing")?;
        anyhow::ensure!(
            first <= last,
            "--from {first} is later than --to {last}: give the earlier day first"
        );
        Ok(Request { first, last, jobs: self.jobs.clone(), force })
    }
}

fn day(text: &str) -> Result<NaiveDate, String> {
    if text == "yesterday" {
        let today = Utc::now().date_naive();
        return today.checked_sub_days(Days::new(1)).ok_or_else(|| "there was no yesterday".to_owned());
    }
    text.parse().map_err(|_| "a day such as 2026-01-31, or yesterday".to_owned())
}

fn job(text: &str) -> Result<&'static Job, String> {
    find_job(text).ok_or_else(|| {
        let names: Vec<&str> = JOBS.iter().map(|known| known.name).collect();
        format!("there is no such job; there are {}", names.join(", "))
    })
}

/// Where the lake is, and what may be taken.
#[derive(Clone, Debug, Args)]
pub(crate) struct LakeArgs {
    #[command(flatten)]
    from: SettingsArgs,
    #[command(flatten)]
    resources: ResourceArgs,
    /// How it is told
    #[arg(long, value_enum, default_value_t = ReportFormat::Text)]
    pub(crate) format: ReportFormat,
}

impl LakeArgs {
    pub(crate) fn settings(&self) -> anyhow::Result<BatchSettings> {
        let settings = self.from.load(Flags::default())?;
        let rules_file = &settings.decisions.rules_file;
        let rules = match rules_file.is_empty() {
            true => Rules::default(),
            false => {
                let text = std::fs::read_to_string(rules_file)
                    .with_context(|| format!("can't read the rules {rules_file}"))?;
                parse_rules(&text).with_context(|| format!("the rules {rules_file} are not valid"))?
            }
        };
        let engine = self.resources.engine(&settings)?;
        Ok(BatchSettings::within(engine, settings.batch.max_payload_columns, rules.version))
    }
}

/// `batch run`.
#[derive(Clone, Debug, Args)]
pub(crate) struct RunArgs {
    #[command(flatten)]
    steps: StepArgs,
    /// Make what is up to date as well, and of what bronze still has where it has less than it had
    #[arg(long)]
    force: bool,
    /// Write the newest day's reconciliation and payload fields into this file, as metrics for node_exporter's textfile collector
    #[arg(long, value_name = "FILE")]
    pub(crate) metrics_file: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) lake: LakeArgs,
}

impl RunArgs {
    pub(crate) fn request(&self) -> anyhow::Result<Request> {
        self.steps.request(self.force)
    }
}

/// `batch plan`.
#[derive(Clone, Debug, Args)]
pub(crate) struct PlanArgs {
    #[command(flatten)]
    steps: StepArgs,
    /// As if run with --force
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    pub(crate) lake: LakeArgs,
}

impl PlanArgs {
    pub(crate) fn request(&self) -> anyhow::Result<Request> {
        self.steps.request(self.force)
    }
}

/// `batch render`.
#[derive(Clone, Debug, Args)]
pub(crate) struct RenderArgs {
    #[command(flatten)]
    steps: StepArgs,
    /// Whose SQL
    #[arg(long, value_enum)]
    pub(crate) dialect: Dialect,
    #[command(flatten)]
    pub(crate) lake: LakeArgs,
}

impl RenderArgs {
    pub(crate) fn request(&self) -> anyhow::Result<Request> {
        self.steps.request(false)
    }
}

/// `batch runs`.
#[derive(Clone, Debug, Args)]
pub(crate) struct RunsArgs {
    /// So many of the newest
    #[arg(long, value_name = "N", default_value_t = 50)]
    pub(crate) last: usize,
    #[command(flatten)]
    pub(crate) lake: LakeArgs,
}

/// `batch reconcile`.
#[derive(Clone, Debug, Args)]
pub(crate) struct ReconcileArgs {
    /// The day (UTC), such as 2026-01-31, or yesterday
    #[arg(long, value_name = "DAY", value_parser = day)]
    pub(crate) date: NaiveDate,
    /// Write it into this file too, as metrics for node_exporter's textfile collector
    #[arg(long, value_name = "FILE")]
    pub(crate) metrics_file: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) lake: LakeArgs,
}

/// `batch restate`.
#[derive(Clone, Debug, Args)]
pub(crate) struct RestateArgs {
    /// The day (UTC), such as 2026-01-31, or yesterday
    #[arg(long, value_name = "DAY", value_parser = day)]
    pub(crate) date: NaiveDate,
    /// Show what would be added, and add nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    pub(crate) lake: LakeArgs,
}

/// `drift`.
#[derive(Clone, Debug, Args)]
pub(crate) struct DriftArgs {
    #[command(flatten)]
    from: SettingsArgs,
    /// Fields first seen on this day or later count as new [default: the newest day]
    #[arg(long, value_name = "DAY", value_parser = day)]
    pub(crate) since: Option<NaiveDate>,
    /// How it is told
    #[arg(long, value_enum, default_value_t = ReportFormat::Text)]
    pub(crate) format: ReportFormat,
}

impl DriftArgs {
    pub(crate) fn lake(&self) -> anyhow::Result<pulselake_lake::LakeSettings> {
        Ok(lake_settings(&self.from.load(Flags::default())?)?)
    }
}
