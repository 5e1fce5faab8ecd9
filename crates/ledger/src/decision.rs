//! Whether a commit may go ahead: rule 1 of the ledger.
//!
//! A commit names, for each partition, the `seq` that it was built on and raises it by one, even when no offset
//! moves. So a commit and its repetition can be told apart, and so can a commit and somebody else's.

use crate::{Ledger, PartitionLedger};

/// One partition's part in a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Advance {
    /// Source topic.
    pub topic: String,
    /// Source partition.
    pub partition: i32,
    /// The `seq` that this commit was built on; 0 where the table has no entry yet.
    pub built_on_seq: i64,
    /// The entry as it should be afterwards. Its `seq`, `commit_id` and `fingerprint` are set by [`apply_advances`].
    pub entry: PartitionLedger,
}

/// What to do with a commit, given the ledger of the table as it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Nobody committed since: go ahead.
    Commit,
    /// This very commit is in the table already (an earlier attempt whose answer was lost).
    AlreadyThere,
    /// Somebody else committed one of the partitions: throw the work away and restart from the ledger.
    Fenced(FenceReason),
}

/// Who is in the way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FenceReason {
    /// Source topic.
    pub topic: String,
    /// Source partition.
    pub partition: i32,
    /// The `seq` that the commit was built on.
    pub built_on_seq: i64,
    /// The `seq` in the table.
    pub found_seq: i64,
    /// The commit that wrote it.
    pub found_commit_id: String,
}

impl FenceReason {
    fn new(advance: &Advance, found_seq: i64, found_commit_id: &str) -> Self {
        Self {
            topic: advance.topic.clone(),
            partition: advance.partition,
            built_on_seq: advance.built_on_seq,
            found_seq,
            found_commit_id: found_commit_id.to_string(),
        }
    }
}

impl std::fmt::Display for FenceReason {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            formatter,
            "{}-{} was committed by another owner: built on seq {}, the table has seq {} by commit {}",
            self.topic, self.partition, self.built_on_seq, self.found_seq, self.found_commit_id
        )
    }
}

/// Decides on a commit: every `seq` as named → commit; every one exactly one higher and by this commit → it is
/// there already; anything else → fenced.
pub fn decide(head: Option<&Ledger>, commit_id: &str, advances: &[Advance]) -> Decision {
    let mut first_untouched = None;
    let mut already_there = 0;
    for advance in advances {
        let entry = head.and_then(|ledger| ledger.partition(&advance.topic, advance.partition));
        let found_seq = entry.map_or(0, |found| found.seq);
        let found_commit_id = entry.map_or("", |found| found.commit_id.as_str());
        if found_seq == advance.built_on_seq {
            first_untouched = first_untouched.or(Some((advance, found_commit_id)));
        } else if found_seq == advance.built_on_seq + 1 && found_commit_id == commit_id {
            already_there += 1;
        } else {
            return Decision::Fenced(FenceReason::new(advance, found_seq, found_commit_id));
        }
    }
    match first_untouched {
        None if already_there > 0 => Decision::AlreadyThere,
        // A snapshot lands whole or not at all. Half of it means that somebody overwrote the rest.
        Some((advance, found_commit_id)) if already_there > 0 => {
            Decision::Fenced(FenceReason::new(advance, advance.built_on_seq, found_commit_id))
        }
        _ => Decision::Commit,
    }
}

/// The ledger after the commit: the base's, with the advanced entries in place of the old ones.
///
/// `identity` (cluster id, fingerprint) becomes the table's; everything that the commit does not name is repeated.
pub fn apply_advances(
    head: Option<&Ledger>,
    cluster_id: &str,
    fingerprint: &str,
    commit_id: &str,
    advances: &[Advance],
) -> Ledger {
    let mut ledger = head.cloned().unwrap_or_else(|| Ledger::new(cluster_id, fingerprint));
    ledger.cluster_id = cluster_id.to_string();
    ledger.fingerprint = fingerprint.to_string();
    for advance in advances {
        let mut entry = advance.entry.clone();
        entry.seq = advance.built_on_seq + 1;
        entry.commit_id = commit_id.to_string();
        entry.fingerprint = fingerprint.to_string();
        ledger.topics.entry(advance.topic.clone()).or_default().insert(advance.partition, entry);
    }
    ledger
}

#[cfg(test)]
mod tests {
    use super::*;

    fn advance(partition: i32, built_on_seq: i64) -> Advance {
        Advance {
            topic: "t".into(),
            partition,
            built_on_seq,
            entry: PartitionLedger { next: 10, ..Default::default() },
        }
    }

    fn head(entries: &[(i32, i64, &str)]) -> Ledger {
        let mut ledger = Ledger::new("c", "f");
        for &(partition, seq, commit_id) in entries {
            let entry = PartitionLedger { seq, commit_id: commit_id.into(), ..Default::default() };
            ledger.topics.entry("t".into()).or_default().insert(partition, entry);
        }
        ledger
    }

    #[test]
    fn an_empty_table_takes_the_first_commit() {
        assert_eq!(decide(None, "a", &[advance(0, 0), advance(1, 0)]), Decision::Commit);
    }

    #[test]
    fn seqs_as_named_commit() {
        assert_eq!(
            decide(Some(&head(&[(0, 4, "x"), (1, 7, "y")])), "a", &[advance(0, 4), advance(1, 7)]),
            Decision::Commit
        );
    }

    #[test]
    fn a_repetition_is_recognised_by_its_commit_id() {
        let table = apply_advances(None, "c", "f", "a", &[advance(0, 0), advance(1, 0)]);
        assert_eq!(decide(Some(&table), "a", &[advance(0, 0), advance(1, 0)]), Decision::AlreadyThere);
    }

    #[test]
    fn another_commit_on_the_same_base_fences() {
        let table = apply_advances(None, "c", "f", "zombie", &[advance(0, 0)]);
        assert!(
            matches!(decide(Some(&table), "a", &[advance(0, 0)]), Decision::Fenced(reason) if reason.found_seq == 1)
        );
    }

    #[test]
    fn one_partition_in_the_way_fences_the_whole_commit() {
        let table = head(&[(0, 4, "x"), (1, 8, "other")]);
        assert!(
            matches!(decide(Some(&table), "a", &[advance(0, 4), advance(1, 7)]), Decision::Fenced(reason) if reason.partition == 1)
        );
    }

    #[test]
    fn my_commit_followed_by_another_fences() {
        assert!(matches!(
            decide(Some(&head(&[(0, 6, "other")])), "a", &[advance(0, 4)]),
            Decision::Fenced(_)
        ));
    }

    #[test]
    fn a_ledger_behind_the_base_fences() {
        assert!(matches!(decide(Some(&head(&[(0, 3, "x")])), "a", &[advance(0, 4)]), Decision::Fenced(_)));
        assert!(matches!(decide(None, "a", &[advance(0, 4)]), Decision::Fenced(_)));
    }

    #[test]
    fn half_of_a_commit_is_never_a_success() {
        let table = head(&[(0, 5, "a"), (1, 7, "y")]);
        assert!(matches!(decide(Some(&table), "a", &[advance(0, 4), advance(1, 7)]), Decision::Fenced(_)));
    }

    #[test]
    fn advancing_keeps_what_it_does_not_name() {
        let table =
            apply_advances(Some(&head(&[(0, 4, "x"), (9, 2, "z")])), "c", "f2", "a", &[advance(0, 4)]);
        assert_eq!(table.partition("t", 0).map(|entry| (entry.seq, entry.next)), Some((5, 10)));
        assert_eq!(table.partition("t", 9).map(|entry| entry.seq), Some(2));
        assert_eq!(table.fingerprint, "f2");
    }
}
