//! Whether a commit may go ahead where a quarantine replay takes part: rule 1 of the ledger, applied to its `seq` too.

use pulselake_ledger::{Advance, Decision, FenceReason, Ledger, ReplayLedger, decide};

/// Decides on the replay part alone. `wanted.seq` is the `seq` that the table will have afterwards: one above the one
/// that the replay was built on.
pub fn decide_replay(head: Option<&Ledger>, commit_id: &str, topic: &str, wanted: &ReplayLedger) -> Decision {
    let found = head.and_then(|ledger| ledger.replayed.get(topic));
    let found_seq = found.map_or(0, |entry| entry.seq);
    let found_commit_id = found.map_or("", |entry| entry.commit_id.as_str());
    let built_on_seq = wanted.seq - 1;
    if found_seq == built_on_seq {
        return Decision::Commit;
    }
    if found_seq == wanted.seq && found_commit_id == commit_id {
        return Decision::AlreadyThere;
    }
    Decision::Fenced(replay_fence(topic, built_on_seq, found_seq, found_commit_id))
}

/// Decides on a whole request: advances and replay must agree, for a snapshot lands whole or not at all.
pub(crate) fn decide_request(
    head: Option<&Ledger>,
    commit_id: &str,
    advances: &[Advance],
    replayed: Option<&(String, ReplayLedger)>,
) -> Decision {
    let Some((topic, wanted)) = replayed else {
        return decide(head, commit_id, advances);
    };
    let replay = decide_replay(head, commit_id, topic, wanted);
    if advances.is_empty() {
        return replay;
    }
    match (decide(head, commit_id, advances), replay) {
        (Decision::Fenced(reason), _) | (_, Decision::Fenced(reason)) => Decision::Fenced(reason),
        (stream, replay) if stream == replay => stream,
        _ => {
            let found = head.and_then(|ledger| ledger.replayed.get(topic));
            let found_seq = found.map_or(0, |entry| entry.seq);
            let found_commit_id = found.map_or("", |entry| entry.commit_id.as_str());
            Decision::Fenced(replay_fence(topic, wanted.seq - 1, found_seq, found_commit_id))
        }
    }
}

/// A replay belongs to a topic, not to a partition: its fence names partition −1.
fn replay_fence(topic: &str, built_on_seq: i64, found_seq: i64, found_commit_id: &str) -> FenceReason {
    FenceReason {
        topic: topic.to_string(),
        partition: -1,
        built_on_seq,
        found_seq,
        found_commit_id: found_commit_id.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use pulselake_ledger::{PartitionLedger, apply_advances};

    use super::*;

    fn replay(seq: i64, commit_id: &str) -> (String, ReplayLedger) {
        ("t".into(), ReplayLedger { seq, commit_id: commit_id.into(), ..Default::default() })
    }

    fn advance(built_on_seq: i64) -> Advance {
        Advance { topic: "t".into(), partition: 0, built_on_seq, entry: PartitionLedger::default() }
    }

    fn head(replay_seq: i64, commit_id: &str) -> Ledger {
        let mut ledger = apply_advances(None, "c", "f", "stream", &[advance(0)]);
        let (topic, entry) = replay(replay_seq, commit_id);
        ledger.replayed.insert(topic, entry);
        ledger
    }

    #[test]
    fn a_replay_is_fenced_by_its_seq() {
        let table = head(2, "b");
        assert_eq!(decide_request(None, "a", &[], Some(&replay(1, ""))), Decision::Commit);
        assert_eq!(decide_request(Some(&table), "a", &[], Some(&replay(3, ""))), Decision::Commit);
        assert_eq!(decide_request(Some(&table), "b", &[], Some(&replay(2, ""))), Decision::AlreadyThere);
        for stale in [replay(1, ""), replay(2, ""), replay(4, "")] {
            assert!(matches!(decide_request(Some(&table), "a", &[], Some(&stale)), Decision::Fenced(_)));
        }
    }

    #[test]
    fn stream_and_replay_must_agree() {
        let table = head(2, "stream");
        let both = |stream_seq, replay_seq| {
            decide_request(Some(&table), "stream", &[advance(stream_seq)], Some(&replay(replay_seq, "")))
        };
        assert_eq!(both(1, 3), Decision::Commit);
        assert_eq!(both(0, 2), Decision::AlreadyThere);
        assert!(matches!(both(0, 3), Decision::Fenced(_)));
        assert!(matches!(both(1, 2), Decision::Fenced(_)));
    }
}
