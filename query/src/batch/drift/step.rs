//! The step of job `payload_fields`: brings registry and columns up to a day.

use std::collections::BTreeMap;

use arrow::datatypes::DataType;
use chrono::NaiveDate;
use futures::TryStreamExt;
use pulselake_lake::{Lake, ReplaceError, Replaced, ReplacedPart};
use pulselake_model::tables::LakeTable;
use pulselake_model::{ColumnChange, cold};
use serde::Serialize;

use super::bronze::profile_day;
use super::error::DriftError;
use super::known::KnownField;
use super::names::CONFLICT_SUFFIX;
use super::profile::DayProfile;
use super::profiler::MAX_NEW_KEYS;
use super::registry::{FieldStatus, Registry};
use super::rules::{Limits, SilverColumns, with_day};
use crate::batch::error::BatchError;
use crate::batch::payload_column::PayloadType;
use crate::batch::steps::{Made, StepContext};

/// How often the registry may be somebody else's before the step gives up.
const ATTEMPTS: u32 = 5;
/// The name of silver's partition field, which no column may have.
const PARTITION_FIELD: &str = "event_timestamp_day";

/// What a day brought.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct DriftCounts {
    /// Fields that the registry did not have, without those that silver always has.
    pub new_fields: u64,
    /// Fields that got a column.
    pub new_columns: u64,
    /// Values that did not fit their column.
    pub conflicts: u64,
    /// Values of fields without a column, those of keys included that are not listed by name.
    pub without_column: u64,
    /// Bodies that are no JSON object.
    pub no_object: u64,
}

/// What was done for a day.
#[derive(Clone, Debug, PartialEq)]
pub struct Updated {
    /// What the day brought.
    pub counts: DriftCounts,
    /// Events of the day in bronze.
    pub events: u64,
    /// The registry now.
    pub registry: Registry,
    /// The commit; `None` where nothing was to be changed.
    pub replaced: Option<Replaced>,
}

/// The step of job `payload_fields`, as batch runs call it.
///
/// # Errors
/// Whatever stops it; the same day can be done again.
pub async fn run(context: &StepContext) -> Result<Made, BatchError> {
    let threads = context.engine.threads();
    let done = update(&context.lake, context.date, context.max_payload_columns, threads).await?;
    let replaced = done.replaced;
    Ok(Made {
        rows_in: done.events,
        rows_out: replaced.map_or(0, |commit| commit.rows),
        files: replaced.map_or(0, |commit| commit.files),
        snapshot_id: replaced.and_then(|commit| commit.snapshot_id),
        remark: done.counts.remark(),
        drift: Some(done.counts),
    })
}

/// Brings registry and columns up to `date`. The registry is written first: once it names a type, that is the column's.
///
/// # Errors
/// Whatever stops it; the same day can be done again.
pub async fn update(
    lake: &Lake,
    date: NaiveDate,
    max_columns: usize,
    threads: usize,
) -> Result<Updated, DriftError> {
    let limits = Limits { max_columns, max_listed: MAX_NEW_KEYS };
    for _ in 0..ATTEMPTS {
        let view = lake.view(LakeTable::PayloadFields).await?;
        let before = Registry::read(&view).await?;
        let bronze = lake.view(LakeTable::RawEvents).await?;
        let day = profile_day(&bronze, date, &before, threads).await?;
        let silver = silver_columns(lake).await?;
        let after = with_day(&before, &day, &silver, limits);
        let mut replaced = None;
        if after != before {
            let rows = futures::stream::iter([after.to_rows()]);
            let part = ReplacedPart::WholeOf(view.snapshot_id());
            match lake.replace_partition(LakeTable::PayloadFields, part, rows).await {
                Ok(commit) => replaced = Some(commit),
                Err(ReplaceError::Moved { .. }) => continue,
                Err(error) => return Err(error.into()),
            }
        }
        add_columns(lake, &after).await?;
        let counts = DriftCounts::of(&before, &after, &day);
        return Ok(Updated { counts, events: day.events, registry: after, replaced });
    }
    Err(DriftError::Contended { attempts: ATTEMPTS })
}

/// Adds the columns to silver that the registry names and silver lacks; nothing, and no commit, where it has them all.
///
/// # Errors
/// Where silver has such a column with another type, or the catalog does not answer.
pub async fn add_columns(lake: &Lake, registry: &Registry) -> Result<(), DriftError> {
    let existing = lake.table_schema(LakeTable::EngagementFacts).await?;
    let mut missing = Vec::new();
    for column in registry.columns() {
        let own = (!column.is_known).then(|| (column.column_name, arrow_type(column.column_type)));
        let beside = column.conflict_column.map(|name| (name, DataType::Utf8));
        for (name, data_type) in own.into_iter().chain(beside) {
            if existing.field_with_name(&name).is_err() {
                missing.push(ColumnChange::Add { name, data_type });
            }
        }
    }
    if !missing.is_empty() {
        lake.evolve(LakeTable::EngagementFacts, &missing).await?;
    }
    Ok(())
}

fn arrow_type(column_type: PayloadType) -> DataType {
    match column_type {
        PayloadType::Long => DataType::Int64,
        PayloadType::Double => DataType::Float64,
        PayloadType::Boolean => DataType::Boolean,
        PayloadType::String => DataType::Utf8,
    }
}

/// Silver's columns, and the names that no further one may have.
async fn silver_columns(lake: &Lake) -> Result<SilverColumns, DriftError> {
    let base = cold::engagement_facts();
    let mut fixed: Vec<String> = base.fields().iter().map(|field| field.name().clone()).collect();
    fixed.push(PARTITION_FIELD.to_owned());
    fixed.extend(KnownField::ALL.map(|field| format!("{}{CONFLICT_SUFFIX}", field.name())));
    let schema = lake.table_schema(LakeTable::EngagementFacts).await?;
    let type_of = |found: &DataType| PayloadType::ALL.into_iter().find(|known| arrow_type(*known) == *found);
    let further: BTreeMap<String, Option<PayloadType>> = schema
        .fields()
        .iter()
        .filter(|field| !fixed.contains(field.name()))
        .map(|field| (field.name().clone(), type_of(field.data_type())))
        .collect();
    Ok(SilverColumns { fixed, further })
}

impl Registry {
    /// The registry of a lake as it is now; an empty one where no run has made its table yet.
    ///
    /// # Errors
    /// As [`Registry::read`].
    pub async fn of(lake: &Lake) -> Result<Self, DriftError> {
        if !lake.existing_tables().await?.contains(&LakeTable::PayloadFields) {
            return Ok(Self::default());
        }
        Self::read(&lake.view(LakeTable::PayloadFields).await?).await
    }

    /// The registry in a state of its table.
    ///
    /// # Errors
    /// Where it can't be read, or has what a newer build wrote.
    pub async fn read(view: &pulselake_lake::TableView) -> Result<Self, DriftError> {
        let mut registry = Self::default();
        let mut batches = view.read(&[]).await?;
        while let Some(batch) = batches.try_next().await? {
            registry.add_rows(&batch)?;
        }
        Ok(registry)
    }
}

impl DriftCounts {
    fn of(before: &Registry, after: &Registry, day: &DayProfile) -> Self {
        let has_column = |registry: &Registry, key: &str| {
            registry.fields.get(key).is_some_and(|field| field.has_further_column(key))
        };
        let mut counts = Self { no_object: day.no_object.count, ..Self::default() };
        counts.without_column = day.overflow.count;
        for (key, seen) in &day.fields {
            let known = KnownField::of_name(key);
            counts.new_fields += u64::from(known.is_none() && !before.fields.contains_key(key));
            counts.new_columns += u64::from(has_column(after, key) && !has_column(before, key));
            match (after.fields.get(key), known) {
                (Some(_), Some(_)) => counts.conflicts += seen.known_misfits,
                (Some(found), None)
                    if matches!(found.status, FieldStatus::Column | FieldStatus::Conflict) =>
                {
                    counts.conflicts +=
                        found.column_type.map_or(0, |column_type| seen.kinds.misfits_of(column_type));
                }
                _ => counts.without_column += seen.kinds.values(),
            }
        }
        counts
    }

    /// In words; `None` for a day without anything to tell.
    fn remark(&self) -> Option<String> {
        let said: Vec<String> = [
            (self.new_fields, "new field", "new fields"),
            (self.new_columns, "new column", "new columns"),
            (self.conflicts, "value that did not fit its column", "values that did not fit their column"),
            (self.without_column, "value without a column", "values without a column"),
            (self.no_object, "body that is no object", "bodies that are no object"),
        ]
        .into_iter()
        .filter(|(count, ..)| *count > 0)
        .map(|(count, one, several)| format!("{count} {}", if count == 1 { one } else { several }))
        .collect();
        (!said.is_empty()).then(|| said.join(", "))
    }
}
