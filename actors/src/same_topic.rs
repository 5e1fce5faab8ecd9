//! Whether a topic still is the one that the ledger knows (rule 12): the records consumed last must look as they did.

use pulselake_ledger::LastSeen;
use pulselake_model::RawBatch;

/// Compares the records that were consumed last with what the source gives now (rule 12).
pub(crate) fn verify(expected: &mut Vec<LastSeen>, batch: &RawBatch) -> Result<(), String> {
    let mut mismatch = None;
    expected.retain(|last| {
        if last.offset >= batch.next_offset {
            return true;
        }
        let found = batch.records.iter().find(|record| record.offset == last.offset);
        let same = found.is_some_and(|record| {
            record.timestamp_ms.unwrap_or(-1) == last.timestamp
                && pulselake_decode::record_hash(batch.value(record)) == last.hash
        });
        if !same {
            mismatch = Some(last.offset);
        }
        false
    });
    match mismatch {
        None => Ok(()),
        Some(offset) => Err(format!(
            "the record at offset {offset} is not the one that was consumed: the topic was recreated or rewritten; \
             use a new topic name, or a new data directory"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch() -> RawBatch {
        let mut batch = RawBatch::at(0, 5);
        batch.push(5, Some(7), b"five");
        batch.push(6, None, b"six");
        batch
    }

    fn last(offset: i64, timestamp: i64, value: &[u8]) -> LastSeen {
        LastSeen { offset, timestamp, hash: pulselake_decode::record_hash(value) }
    }

    #[test]
    fn the_same_record_is_recognised_once() {
        let mut expected = vec![last(5, 7, b"five"), last(6, -1, b"six"), last(9, 1, b"later")];
        assert_eq!(verify(&mut expected, &batch()), Ok(()));
        assert_eq!(expected, [last(9, 1, b"later")]);
    }

    #[test]
    fn another_value_timestamp_or_nothing_there_is_noticed() {
        for wrong in [last(5, 7, b"other"), last(5, 8, b"five"), last(4, 7, b"five")] {
            assert!(verify(&mut vec![wrong], &batch()).is_err(), "{wrong:?}");
        }
    }
}
