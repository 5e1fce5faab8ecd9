//! Named points where a test makes the engine wrong on purpose, at a depth where its own counts do not notice, so that
//! `pulselake audit` has to. Without the feature `failpoints` they are nothing at all.
//!
//! | point | argument of `return` | what goes wrong |
//! |---|---|---|
//! | `sabotage::lose_record` | `PARTITION:OFFSET` | a record vanishes before it is decoded, and leaves a gap |
//! | `sabotage::drop_before_bronze` | the same | an event vanishes on its way to bronze alone, and leaves a gap |
//! | `sabotage::drop_from_bronze`, `sabotage::double_in_bronze` | the same | bronze's files miss a counted event, or have it twice |
//! | `sabotage::drop_from_quarantine` | the same | the quarantine's files miss a counted record |
//! | `sabotage::drop_before_gold` | the same | an event vanishes on its way to the windows alone, and leaves a gap |
//! | `sabotage::double_before_gold` | the same | an event is counted in place of its neighbour too |
//! | `sabotage::false_duplicate` | the same | an event is taken for a duplicate of the one before it |
//! | `sabotage::forget_id` | the same | a duplicate is not recognised |
//! | `sabotage::drop_from_window`, `sabotage::double_in_window` | `PARTITION:WINDOW_START_MS:VIDEO` | a closed window has an event less or more |
//! | `sabotage::shorten_watch_time`, `sabotage::lengthen_watch_time` | the same | its watch time is 1 ms wrong |
//! | `sabotage::drop_version`, `sabotage::double_version` | the key | a version is missing in the history's files, or is there twice |
//! | `sabotage::drop_upsert` | the same | the dimension's files miss a row |
//! | `sabotage::emit_window_twice`, `sabotage::emit_window_again` | the same | its row comes twice in one commit, or once more in the next |

#[cfg(feature = "failpoints")]
mod armed;

#[cfg(feature = "failpoints")]
pub(crate) use armed::{aggregated, changes_to_write, flushed, polled, received, rows_to_write};

#[cfg(not(feature = "failpoints"))]
pub(crate) use idle::{aggregated, changes_to_write, flushed, polled, received, rows_to_write};

#[cfg(not(feature = "failpoints"))]
mod idle {
    use std::borrow::Cow;
    use std::sync::Arc;

    use arrow::array::RecordBatch;
    use pulselake_model::tables::LakeTable;
    use pulselake_model::{DecodedBatch, GoldFlush, RawBatch};

    use crate::messages::WriteBatch;

    /// What a reader has delivered, before it is decoded.
    #[inline(always)]
    pub(crate) fn polled(batch: RawBatch) -> RawBatch {
        batch
    }

    /// What a bronze writer receives, before it is counted.
    #[inline(always)]
    pub(crate) fn received(batch: WriteBatch) -> WriteBatch {
        batch
    }

    /// What goes into a table's files, after it was counted.
    #[inline(always)]
    pub(crate) fn rows_to_write(_: LakeTable, _: i32, rows: &RecordBatch) -> Cow<'_, RecordBatch> {
        Cow::Borrowed(rows)
    }

    /// What a flush of changes writes into the files of a dimension or its history, after it was counted.
    #[inline(always)]
    pub(crate) fn changes_to_write(_: LakeTable, rows: &RecordBatch) -> Cow<'_, RecordBatch> {
        Cow::Borrowed(rows)
    }

    /// What an aggregator receives.
    #[inline(always)]
    pub(crate) fn aggregated(batch: Arc<DecodedBatch>) -> Arc<DecodedBatch> {
        batch
    }

    /// What an aggregator hands over for gold.
    #[inline(always)]
    pub(crate) fn flushed(_: i32, _: &mut GoldFlush) {}
}
