//! Makes what is due, step by step, in the order of the days.
//!
//! What it promises:
//! - Each step is one commit on its target, then one row in `qa.batch_runs`. Killed between the two, the same day is made
//!   again by the next run, with the same rows.
//! - The first step that fails ends the run: what comes behind it may read what it should have made.
//! - What is up to date is not touched.

use std::collections::HashMap;
use std::time::Instant;

use chrono::{NaiveDate, Utc};
use pulselake_lake::Lake;
use pulselake_model::tables::LakeTable;

use super::error::BatchError;
use super::fingerprint::{Fingerprint, short_hash};
use super::inputs::Facts;
use super::job::{JOBS, Job, RECONCILIATION, SILVER};
use super::plan::{Planner, Reason, Step, Verdict, steps};
use super::progress::Audience;
use super::reconcile::Reconciliation;
pub use super::report::{Outcome, Ran, Report};
use super::run_log::{Run, RunLog, RunStatus, append};
use super::steps::Made;
use super::template::{Dialect, Parameters, TemplateError, render};
use crate::{EngineSettings, QueryEngine};

/// What batch runs work with.
#[derive(Clone, Debug)]
pub struct BatchSettings {
    /// The lake, and what DataFusion may take.
    pub engine: EngineSettings,
    /// What may be held of a day beside that, bytes: its sessions, and how repeated events are found.
    pub day_memory_bytes: usize,
    /// Columns that new payload fields may get at most.
    pub max_payload_columns: usize,
    /// Version of the rules in force.
    pub rule_version: String,
}

impl BatchSettings {
    /// With the memory of `engine` for all together: half of it is DataFusion's, a quarter is for what is held of a day, and a
    /// quarter for files being read and written and all else.
    pub fn within(mut engine: EngineSettings, max_payload_columns: usize, rule_version: String) -> Self {
        let memory_bytes = engine.memory_bytes;
        engine.memory_bytes = memory_bytes / 2;
        Self { engine, day_memory_bytes: memory_bytes / 4, max_payload_columns, rule_version }
    }
}

/// Which steps are asked for.
#[derive(Clone, Debug)]
pub struct Request {
    /// The first day.
    pub first: NaiveDate,
    /// The last day.
    pub last: NaiveDate,
    /// The jobs, in the order of [`JOBS`]; all of them, where none is named.
    pub jobs: Vec<&'static Job>,
    /// Whether to make what is up to date as well.
    pub force: bool,
}

impl Request {
    pub(super) fn jobs(&self) -> Vec<&'static Job> {
        JOBS.iter()
            .filter(|job| self.jobs.is_empty() || self.jobs.iter().any(|asked| asked.name == job.name))
            .collect()
    }
}

/// The cold path of a lake.
#[derive(Debug)]
pub struct Batch {
    engine: QueryEngine,
    pub(super) settings: BatchSettings,
    hashes: HashMap<&'static str, String>,
    audience: Audience,
}

impl Batch {
    /// Opens the lake, which must be there.
    ///
    /// # Errors
    /// When there is no catalog, or the settings don't fit.
    pub async fn open(settings: BatchSettings, audience: Audience) -> Result<Self, BatchError> {
        let engine = QueryEngine::open(&settings.engine).await?;
        Ok(Self { engine, settings, hashes: hashes()?, audience })
    }

    /// The lake.
    pub fn lake(&self) -> &Lake {
        self.engine.lake()
    }

    /// The engine that jobs run on.
    pub fn engine(&self) -> &QueryEngine {
        &self.engine
    }

    /// What a run would do. Nothing is changed; what later steps will find is told as it would be, but for the sessions
    /// that are open at midnight, which are known when they are made.
    ///
    /// # Errors
    /// When the lake can't be read.
    pub async fn plan(&self, request: &Request) -> Result<Vec<Outcome>, BatchError> {
        let mut state = State::load(&self.engine).await?;
        let mut outcomes = Vec::new();
        for step in steps(&request.jobs(), request.first, request.last) {
            let outcome = self.judged(&mut state, step, request.force).await?;
            if let Verdict::Due(_) = outcome.verdict {
                // What reads it will find it made of what there is now.
                let made =
                    self.run_of(step, &state, Utc::now(), RunStatus::Done, &outcome.reason, &Made::default());
                state.log.record(made);
            }
            if !outcome.is_beside_the_point(step) {
                outcomes.push(outcome);
            }
        }
        Ok(outcomes)
    }

    /// Makes what is due.
    ///
    /// # Errors
    /// When the lake can't be read or its tables can't be made. A step that fails is told in the report.
    pub async fn run(&self, request: &Request) -> Result<Report, BatchError> {
        let lake = self.lake();
        if !lake.existing_tables().await?.contains(&LakeTable::RawEvents) {
            let hint = "run the engine (pulselake run) on this data directory first, or name the right one by --data-dir";
            return Err(BatchError::Refused(format!(
                "there is no table {}: {hint}",
                LakeTable::RawEvents.full_name()
            )));
        }
        lake.ensure_tables(&LakeTable::OF_BATCH).await?;
        lake.ensure_tables(&[LakeTable::RuleBaselines]).await?;
        let mut state = State::load(&self.engine).await?;
        let mut report = Report { steps: Vec::new(), reconciliations: Vec::new(), error: None };
        self.make_all(request, &mut state, &mut report).await?;
        if report.error.is_some() {
            return Ok(report);
        }
        if request.jobs().iter().any(|job| job.name == RECONCILIATION) {
            for date in request.first.iter_days().take_while(|day| *day <= request.last) {
                report.reconciliations.extend(Reconciliation::read(&self.engine, date).await?);
            }
        }
        Ok(report)
    }

    /// Makes the steps in their order. What a later one changes of an earlier one's inputs, the order foresees: nothing is due
    /// behind it.
    async fn make_all(
        &self,
        request: &Request,
        state: &mut State,
        report: &mut Report,
    ) -> Result<(), BatchError> {
        for step in steps(&request.jobs(), request.first, request.last) {
            let mut outcome = self.judged(state, step, request.force).await?;
            match &outcome.verdict {
                Verdict::Due(why) => outcome.ran = Some(self.make(step, why, &outcome.reason, state).await),
                Verdict::Waits { .. } if !request.jobs.is_empty() && step.date == step.asked => {
                    report.error = Some(format!(
                        "{} of {} can't be made: {}; make it first, or leave --job out",
                        outcome.job, outcome.date, outcome.reason
                    ));
                }
                Verdict::Kept { .. } => {
                    self.audience.say(&format!("{} {}: {}", outcome.date, outcome.job, outcome.reason));
                }
                Verdict::Waits { .. } | Verdict::UpToDate | Verdict::NoEvents => {}
            }
            report.add(step, outcome);
            if report.error.is_some() {
                return Ok(());
            }
        }
        Ok(())
    }

    async fn judged(&self, state: &mut State, step: Step, force: bool) -> Result<Outcome, BatchError> {
        state.facts.ask(&self.engine, step.job, step.date, &state.log).await?;
        let planner = Planner { facts: &state.facts, log: &state.log, hashes: &self.hashes, force };
        let verdict = planner.judge(step);
        Ok(Outcome {
            job: step.job.name,
            date: step.date,
            target: step.job.target.full_name(),
            reason: verdict.to_string(),
            verdict,
            ran: None,
        })
    }

    /// Makes a step, and writes down how it went.
    async fn make(&self, step: Step, why: &Reason, reason: &str, state: &mut State) -> Ran {
        let (started, started_at) = (Instant::now(), Utc::now());
        let progress = self.audience.begin(step.job.name, step.date);
        let end = self.work(step, state, &progress).await;
        let elapsed_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        let ran = |status: RunStatus, made: &Made, remark: Option<String>| Ran {
            status,
            rows_in: made.rows_in,
            rows_out: made.rows_out,
            files: made.files,
            snapshot_id: made.snapshot_id,
            elapsed_ms,
            remark,
            drift: made.drift,
        };
        let failed = match end {
            Ok(made) => {
                let status = if made.snapshot_id.is_some() { RunStatus::Done } else { RunStatus::Unchanged };
                let run = self.run_of(step, state, started_at, status, reason, &made);
                match append(self.lake(), &run).await {
                    Ok(()) => {
                        progress.end(&said(&made, elapsed_ms, reason));
                        state.took_in(step, &made, run);
                        return ran(status, &made, made.remark.clone());
                    }
                    Err(error) => error,
                }
            }
            Err(error) => error,
        };
        let error = pulselake_model::words_of(&failed);
        progress.end(&format!("failed: {error}"));
        let run = self.run_of(step, state, started_at, RunStatus::Failed, &error, &Made::default());
        if let Err(unwritten) = append(self.lake(), &run).await {
            tracing::warn!(job = step.job.name, date = %step.date, error = %unwritten, ?why, "the failure could not be written to qa.batch_runs");
        }
        ran(RunStatus::Failed, &Made::default(), Some(error))
    }

    fn run_of(
        &self,
        step: Step,
        state: &State,
        started_at: chrono::DateTime<Utc>,
        status: RunStatus,
        reason: &str,
        made: &Made,
    ) -> Run {
        let count = |rows: u64| i64::try_from(rows).unwrap_or(i64::MAX);
        Run {
            run_id: uuid::Uuid::now_v7().to_string(),
            job: step.job.name.to_owned(),
            date: step.date,
            target: step.job.target.full_name().to_owned(),
            status,
            reason: reason.to_owned(),
            started_at,
            finished_at: Utc::now(),
            rows_in: count(made.rows_in),
            rows_out: count(made.rows_out),
            files: count(made.files),
            snapshot_id: made.snapshot_id,
            input_fingerprint: Fingerprint::of(step.job, step.date, &state.facts, &state.log).to_string(),
            sql_hash: self.hashes.get(step.job.name).cloned().unwrap_or_default(),
            engine_version: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }

    /// Refuses where silver of the day is not what it would be if it were made now.
    ///
    /// # Errors
    /// [`BatchError::Refused`] then; others when the lake can't be read.
    pub async fn ensure_silver_is_up_to_date(&self, date: NaiveDate) -> Result<(), BatchError> {
        let jobs: Vec<&'static Job> = JOBS.iter().filter(|job| job.name == SILVER).collect();
        let request = Request { first: date, last: date, jobs, force: false };
        for step in self.plan(&request).await? {
            let force = match step.verdict {
                Verdict::UpToDate => continue,
                Verdict::Kept { .. } => " --force",
                _ => "",
            };
            return Err(BatchError::Refused(format!(
                "silver of {date} is not up to date ({}): pulselake batch run --date {date}{force} makes it",
                step.reason
            )));
        }
        Ok(())
    }
}

/// What is known during a run.
pub(super) struct State {
    pub(super) facts: Facts,
    log: RunLog,
}

impl State {
    async fn load(engine: &QueryEngine) -> Result<Self, BatchError> {
        Ok(Self { facts: Facts::of_manifests(engine.lake()).await?, log: RunLog::load(engine).await? })
    }

    /// After a step.
    fn took_in(&mut self, step: Step, made: &Made, run: Run) {
        if step.job.name == SILVER {
            self.facts.silver_rows.insert(step.date, made.rows_out);
        }
        self.log.record(run);
    }
}

/// What each job does, by its name: of its SQL, whatever its comments and the space between words.
fn hashes() -> Result<HashMap<&'static str, String>, TemplateError> {
    // Any day does: it is the same for all.
    let parameters = Parameters::new(NaiveDate::default(), Dialect::Datafusion);
    JOBS.iter()
        .map(|job| {
            let sql =
                job.work.template().map(|template| render(job.name, template, &parameters)).transpose()?;
            let words = sql.unwrap_or_default();
            let code = words.lines().map(|line| line.split("--").next().unwrap_or_default());
            let bare: Vec<&str> = code.flat_map(str::split_whitespace).collect();
            Ok((job.name, short_hash(&format!("{} {}", job.revision, bare.join(" ")))))
        })
        .collect()
}

fn said(made: &Made, elapsed_ms: u64, reason: &str) -> String {
    let rows = indicatif::HumanCount(made.rows_out);
    let seconds = elapsed_ms as f64 / 1_000.0;
    let remark = made.remark.as_ref().map(|text| format!("; {text}")).unwrap_or_default();
    format!("{rows} rows in {seconds:.1} s ({reason}){remark}")
}
