//! Renders the templates of `sql/silver` and `sql/gold` for a day and a dialect.
//!
//! A template begins with `{% import "dialect" as d -%}`; `d` has the macros of `sql/dialects/`. Besides, it can name:
//!
//! - `date`, `day_before`, `day_after`: texts such as `2026-01-31`, for `d.date(…)`; `shifted(-7)` for any other day.
//! - `day_start`, `day_end`: the first moment of the day and of the next, for `d.moment(…)`; `minutes_from_start(-30)` for any
//!   other.
//! - `view('v_dim_videos_history')`: a serving view; where the dialect has none, its query in parentheses.
//! - `dialect`: `datafusion`, `trino` or `spark`, where a macro does not do.
//! - `columns`: the columns of new payload fields: `field`, `column_name`, `type`, `conflict_column` (none: null).
//! - `rule_version`: of the rules in force.
//! - `carry_over`: where sessions that go on across midnight are looked up: `silver` of the day before, or `bronze` of it.
//! - `has_duplicates`, `slice`, `slices`: for DataFusion, what [`silver`](super::silver) found out about the day's rows.

use chrono::{NaiveDate, TimeDelta};
use minijinja::{Environment, ErrorKind, UndefinedBehavior, context};
use serde::Serialize;

use super::payload_column::PayloadColumn;
use super::plan;
use crate::views::find_view;

/// Whose SQL it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Dialect {
    /// What `pulselake batch run` itself runs.
    Datafusion,
    /// Trino.
    Trino,
    /// Spark SQL.
    Spark,
}

impl Dialect {
    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Datafusion => "datafusion",
            Self::Trino => "trino",
            Self::Spark => "spark",
        }
    }

    /// Its macros.
    pub fn macros(self) -> &'static str {
        match self {
            Self::Datafusion => include_str!("../../../sql/dialects/datafusion.jinja"),
            Self::Trino => include_str!("../../../sql/dialects/trino.jinja"),
            Self::Spark => include_str!("../../../sql/dialects/spark.jinja"),
        }
    }
}

/// What a template is rendered for.
#[derive(Clone, Debug)]
pub struct Parameters {
    /// The day.
    pub date: NaiveDate,
    /// Whose SQL.
    pub dialect: Dialect,
    /// Columns of new payload fields.
    pub columns: Vec<PayloadColumn>,
    /// Version of the rules in force.
    pub rule_version: String,
    /// Where open sessions are looked up.
    pub carry_over: CarryOver,
    /// Whether some rows repeat others.
    pub has_duplicates: bool,
    /// Which slice of the users is asked for.
    pub slice: u64,
    /// Into how many they are divided.
    pub slices: u64,
}

impl Parameters {
    /// For all users, without new columns and repeated rows.
    pub fn new(date: NaiveDate, dialect: Dialect) -> Self {
        Self {
            date,
            dialect,
            columns: Vec::new(),
            rule_version: String::new(),
            carry_over: CarryOver::Silver,
            has_duplicates: false,
            slice: 0,
            slices: 1,
        }
    }
}

/// Where the sessions are looked up that were open when a day began.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum CarryOver {
    /// Silver of the day before.
    Silver,
    /// Bronze of the day before, where silver does not have it.
    Bronze,
}

/// Why a template gives no SQL. Templates are part of the program: a defect.
#[derive(Debug, thiserror::Error)]
#[error("the template of {job} can't be rendered for {date}: {reason}")]
pub struct TemplateError {
    job: String,
    date: NaiveDate,
    reason: String,
}

/// The SQL of `template`, the one of job `job`.
///
/// # Errors
/// When the template is wrong, or names a day that the calendar does not have.
pub fn render(job: &str, template: &str, parameters: &Parameters) -> Result<String, TemplateError> {
    let failed = |error: minijinja::Error| TemplateError {
        job: job.to_owned(),
        date: parameters.date,
        reason: format!("{error:#}"),
    };
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.add_template("dialect", parameters.dialect.macros()).map_err(failed)?;
    environment.add_template(job, template).map_err(failed)?;
    let (date, dialect) = (parameters.date, parameters.dialect);
    environment.add_function("shifted", move |days: i64| shifted(date, days).map(|day| day.to_string()));
    environment.add_function("minutes_from_start", move |minutes: i64| moment(date, minutes));
    environment.add_function("view", move |name: &str| view(name, dialect));
    let values = context! {
        date => date.to_string(),
        day_before => shifted(date, -1).map_err(failed)?.to_string(),
        day_after => shifted(date, 1).map_err(failed)?.to_string(),
        day_start => moment(date, 0).map_err(failed)?,
        day_end => moment(date, MINUTES_OF_A_DAY).map_err(failed)?,
        dialect => dialect.as_str(),
        columns => &parameters.columns,
        rule_version => &parameters.rule_version,
        carry_over => parameters.carry_over,
        has_duplicates => parameters.has_duplicates,
        slice => parameters.slice,
        slices => parameters.slices,
    };
    let sql = environment.get_template(job).and_then(|ready| ready.render(values)).map_err(failed)?;
    Ok(sql.trim().to_owned())
}

const MINUTES_OF_A_DAY: i64 = 1_440;

fn shifted(date: NaiveDate, days: i64) -> Result<NaiveDate, minijinja::Error> {
    plan::shifted(date, days).ok_or_else(|| beyond_the_calendar(date))
}

/// As it is written in a literal.
fn moment(date: NaiveDate, minutes: i64) -> Result<String, minijinja::Error> {
    let start = date.and_time(chrono::NaiveTime::MIN);
    let by = TimeDelta::try_minutes(minutes).ok_or_else(|| beyond_the_calendar(date))?;
    let moment = start.checked_add_signed(by).ok_or_else(|| beyond_the_calendar(date))?;
    Ok(moment.format("%Y-%m-%d %H:%M:%S").to_string())
}

/// The first moment of the day that is so many days later, as it is written in a literal.
///
/// # Errors
/// When the calendar does not have it.
pub fn moment_text(date: NaiveDate, days: i64) -> Result<String, TemplateError> {
    moment(date, days.saturating_mul(MINUTES_OF_A_DAY)).map_err(|error| TemplateError {
        job: "a day".to_owned(),
        date,
        reason: format!("{error:#}"),
    })
}

fn beyond_the_calendar(date: NaiveDate) -> minijinja::Error {
    minijinja::Error::new(ErrorKind::InvalidOperation, format!("too far from {date}"))
}

/// The views are DataFusion's names; for others their queries are written out.
fn view(name: &str, dialect: Dialect) -> Result<String, minijinja::Error> {
    let known = find_view(name).ok_or_else(|| {
        minijinja::Error::new(ErrorKind::InvalidOperation, format!("there is no serving view {name}"))
    })?;
    Ok(match dialect {
        Dialect::Datafusion => format!("serving.{name}"),
        Dialect::Trino | Dialect::Spark => format!("(\n{}\n)", known.query()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rendered(template: &str, dialect: Dialect) -> String {
        let parameters = Parameters::new(NaiveDate::from_ymd_opt(2026, 2, 28).unwrap(), dialect);
        render("job", &format!("{{% import \"dialect\" as d -%}}\n{template}"), &parameters).unwrap()
    }

    #[test]
    fn days_and_moments_are_those_of_the_calendar() {
        let template = "{{ d.date(day_before) }} {{ d.date(day_after) }} {{ d.date(shifted(-60)) }} {{ d.moment(day_end) }} {{ d.moment(minutes_from_start(-29)) }}";
        assert_eq!(
            rendered(template, Dialect::Datafusion),
            "DATE '2026-02-27' DATE '2026-03-01' DATE '2025-12-30' TIMESTAMP '2026-03-01 00:00:00 UTC' TIMESTAMP '2026-02-27 23:31:00 UTC'"
        );
    }

    #[test]
    fn every_dialect_has_every_macro() {
        let names = |dialect: Dialect| -> Vec<String> {
            let heads = dialect.macros().lines().filter_map(|line| line.strip_prefix("{%- macro "));
            heads.map(|rest| rest.split("-%}").next().unwrap_or_default().trim().to_owned()).collect()
        };
        let of_datafusion = names(Dialect::Datafusion);
        assert!(of_datafusion.len() > 10, "{of_datafusion:?}");
        assert_eq!(names(Dialect::Trino), of_datafusion);
        assert_eq!(names(Dialect::Spark), of_datafusion);
    }

    #[test]
    fn a_view_is_written_out_where_there_is_none() {
        assert_eq!(rendered("{{ view('v_dim_users') }}", Dialect::Datafusion), "serving.v_dim_users");
        assert!(rendered("{{ view('v_dim_users') }}", Dialect::Spark).contains("FROM dims.dim_users\n)"));
    }

    #[test]
    fn a_wrong_name_is_an_error() {
        let parameters = Parameters::new(NaiveDate::from_ymd_opt(2026, 2, 28).unwrap(), Dialect::Trino);
        for template in ["{{ dat }}", "{{ view('nope') }}", "{{ shifted(9000000000) }}"] {
            let error = render("some_job", template, &parameters).unwrap_err().to_string();
            assert!(error.contains("some_job") && error.contains("2026-02-28"), "{error}");
        }
    }
}
