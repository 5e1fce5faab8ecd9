//! How many rows a table has of each day, from its manifests alone: what a planner of batch jobs needs to know.

use std::collections::BTreeMap;

use chrono::{Days, NaiveDate};
use iceberg::spec::{DataContentType, Literal, PartitionSpec, PrimitiveLiteral, Struct, Transform};
use pulselake_read::{LiveEntry, PartitionPredicate, plan_table_without_statistics};

use crate::{LakeError, TableView};

/// What lies in the partitions of one day (UTC).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DayRows {
    /// Rows of its data files, deleted ones included.
    pub rows: u64,
    /// Rows of its delete files.
    pub deletes: u64,
    /// Data files.
    pub files: u64,
}

impl TableView {
    /// The days that the table has files of, by its partition field of hours, days or dates; what has none is left out.
    /// Nothing but manifests is read.
    pub async fn rows_by_day(&self) -> Result<BTreeMap<NaiveDate, DayRows>, LakeError> {
        let loaded = self.loaded();
        let plan = plan_table_without_statistics(loaded, None, &PartitionPredicate::all()).await?;
        let mut days: BTreeMap<NaiveDate, DayRows> = BTreeMap::new();
        let entries =
            plan.files.iter().map(|planned| &planned.data).chain(plan.deletes.iter().map(AsRef::as_ref));
        for entry in entries {
            let spec = loaded.metadata().partition_spec_by_id(entry.spec_id);
            let Some(day) = spec.and_then(|known| day_of(known, entry.file().partition())) else { continue };
            count(days.entry(day).or_default(), entry);
        }
        Ok(days)
    }
}

fn count(day: &mut DayRows, entry: &LiveEntry) {
    let file = entry.file();
    match file.content_type() {
        DataContentType::Data => {
            day.rows += file.record_count();
            day.files += 1;
        }
        DataContentType::EqualityDeletes | DataContentType::PositionDeletes => {
            day.deletes += file.record_count();
        }
    }
}

/// The day of a partition.
fn day_of(spec: &PartitionSpec, partition: &Struct) -> Option<NaiveDate> {
    spec.fields().iter().zip(partition.fields()).find_map(|(field, value)| {
        let Some(Literal::Primitive(PrimitiveLiteral::Int(number))) = value else { return None };
        match field.transform {
            Transform::Hour => day_of_number(number.div_euclid(24)),
            Transform::Day => day_of_number(*number),
            // The only column that a table of this build has a partition of each value of.
            Transform::Identity if field.name == "date" => day_of_number(*number),
            _ => None,
        }
    })
}

/// Days since the epoch.
pub(crate) fn day_number(date: NaiveDate) -> i32 {
    // chrono's range is 262,143 years to both sides: 96 million days.
    i32::try_from(date.signed_duration_since(NaiveDate::default()).num_days()).unwrap_or(i32::MAX)
}

/// The day of that number since the epoch; `None` beyond the calendar.
pub(crate) fn day_of_number(number: i32) -> Option<NaiveDate> {
    let epoch = NaiveDate::default();
    let distance = Days::new(u64::from(number.unsigned_abs()));
    match number < 0 {
        true => epoch.checked_sub_days(distance),
        false => epoch.checked_add_days(distance),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_have_numbers_on_both_sides_of_the_epoch() {
        for (text, number) in
            [("1970-01-01", 0), ("1969-12-31", -1), ("2026-02-07", 20_491), ("2024-02-29", 19_782)]
        {
            let date: NaiveDate = text.parse().unwrap();
            assert_eq!((day_number(date), day_of_number(number)), (number, Some(date)), "{text}");
        }
        assert_eq!(day_of_number(i32::MAX), None);
    }
}
