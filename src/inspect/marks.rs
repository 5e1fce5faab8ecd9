//! What was done to the rows on purpose beside the stream, as the tables' properties say it: revisions folded, rows erased,
//! days restated.
//!
//! The audit must neither take such a change for a loss nor let a loss hide behind it: what can still be compared exactly
//! is, bounds take the place of the rest, and what nothing can be said about any more is a note.

use pulselake_lake::TableView;
use pulselake_ledger::Restated;
use pulselake_maintain::FOLDED_PROPERTY;
use pulselake_maintain::erase::{ERASED_PROPERTY, ErasedCounts};

use super::ledgers::SourcePartition;
use super::read::Views;

/// The marks of the three tables.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Marks {
    /// Whether compaction has folded revisions of gold: then rows don't tell late and replayed events from others.
    pub(crate) is_gold_folded: bool,
    /// Whether rows of gold were erased: those of a video.
    pub(crate) is_gold_erased: bool,
    /// What restatements have added to gold.
    pub(crate) restated: Restated,
    bronze: ErasedCounts,
    quarantine: ErasedCounts,
}

/// Rows erased of one source partition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Erased {
    pub(crate) bronze: u64,
    pub(crate) quarantine: u64,
}

impl Erased {
    /// Rows of either table.
    pub(crate) fn any(self) -> u64 {
        self.bronze + self.quarantine
    }
}

impl Marks {
    /// The marks of tables as they were loaded.
    ///
    /// # Errors
    /// When a property can't be read.
    pub(crate) fn of(views: &Views) -> anyhow::Result<Self> {
        Ok(Self {
            is_gold_folded: views.gold.property(FOLDED_PROPERTY).is_some(),
            is_gold_erased: views.gold.property(ERASED_PROPERTY).is_some(),
            restated: views.gold.restated()?,
            bronze: erased_counts(&views.bronze)?,
            quarantine: erased_counts(&views.quarantine)?,
        })
    }

    /// What was erased of a source partition.
    pub(crate) fn erased(&self, source: &SourcePartition) -> Erased {
        let of = |counts: &ErasedCounts| {
            let partitions = counts.get(&source.topic);
            partitions.and_then(|found| found.get(&source.partition.to_string())).copied().unwrap_or(0)
        };
        Erased { bronze: of(&self.bronze), quarantine: of(&self.quarantine) }
    }

    #[cfg(test)]
    pub(crate) fn with_erased(topic: &str, partition: i32, erased: Erased) -> Self {
        let counts =
            |rows: u64| ErasedCounts::from([(topic.to_owned(), [(partition.to_string(), rows)].into())]);
        Self { bronze: counts(erased.bronze), quarantine: counts(erased.quarantine), ..Self::default() }
    }
}

fn erased_counts(view: &TableView) -> anyhow::Result<ErasedCounts> {
    let Some(text) = view.property(ERASED_PROPERTY) else { return Ok(ErasedCounts::new()) };
    serde_json::from_str(text).map_err(|error| {
        anyhow::anyhow!(
            "table {}: property {ERASED_PROPERTY} can't be read ({error}); restore it from an earlier metadata file, or remove it: the audit then reports erased rows as lost",
            view.table().full_name()
        )
    })
}
