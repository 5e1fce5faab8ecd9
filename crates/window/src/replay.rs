//! A restart's replay: the records between `replay_from` and `next` of the committed position, read again.

use pulselake_model::GoldPosition;

/// The refilled windows hold another number of events than the committed position said.
///
/// Happens when settings (or the decoder's idea of validity) changed between the runs, or records are gone from the
/// source. The counts were moved so that they still explain every record; gold keeps what was committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplayDifference {
    /// `open` of the committed position.
    pub committed_open: u64,
    /// Events in open windows after the replay.
    pub refilled_open: u64,
}

/// Moves the difference into the counters, so that
/// `records = quarantined + duplicates + dropped + open + events in gold` stays exact.
///
/// Events that vanished from the open windows become duplicates; events that are new there stop being duplicates
/// or, when there were not that many, quarantined or dropped. Gives `None` when there is no difference.
pub(crate) fn settle_open(counts: &mut GoldPosition, refilled_open: u64) -> Option<ReplayDifference> {
    let committed_open = counts.open;
    if committed_open == refilled_open {
        return None;
    }
    counts.open = refilled_open;
    counts.duplicates += committed_open.saturating_sub(refilled_open);
    let mut surplus = refilled_open.saturating_sub(committed_open);
    for counter in [&mut counts.duplicates, &mut counts.quarantined, &mut counts.dropped] {
        let taken = surplus.min(*counter);
        *counter -= taken;
        surplus -= taken;
    }
    Some(ReplayDifference { committed_open, refilled_open })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(open: u64, duplicates: u64, quarantined: u64, dropped: u64) -> GoldPosition {
        GoldPosition { open, duplicates, quarantined, dropped, ..GoldPosition::default() }
    }

    #[test]
    fn no_difference_changes_nothing() {
        let mut position = counts(5, 1, 2, 3);
        assert_eq!(settle_open(&mut position, 5), None);
        assert_eq!(position, counts(5, 1, 2, 3));
    }

    #[test]
    fn vanished_events_become_duplicates() {
        let mut position = counts(5, 1, 2, 3);
        let difference = settle_open(&mut position, 3);
        assert_eq!(difference, Some(ReplayDifference { committed_open: 5, refilled_open: 3 }));
        assert_eq!(position, counts(3, 3, 2, 3));
    }

    #[test]
    fn new_events_were_duplicates_then_quarantined_then_dropped() {
        let mut position = counts(5, 1, 2, 3);
        settle_open(&mut position, 9);
        assert_eq!(position, counts(9, 0, 0, 2));
    }
}
