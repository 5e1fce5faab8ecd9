//! Bronze and quarantine, record by record: each that was sent is in its table once, and nothing else is there. Bronze also
//! says of each partition's events what was sent.

use super::findings::Findings;
use crate::load::run::content::Content;
use crate::load::run::sent::{Belongs, SentRecords};

/// How often each record was found, by partition and number.
pub(crate) struct OffsetCheck<'a> {
    sent: &'a SentRecords,
    found: Vec<Vec<u8>>,
    /// Of each partition, what its rows of bronze say.
    contents: Vec<u64>,
    bronze_rows: u64,
    quarantine_rows: u64,
}

impl<'a> OffsetCheck<'a> {
    pub(crate) fn of(sent: &'a SentRecords) -> Self {
        let counts = (0..sent.partitions()).map(|partition| sent.count_before(partition, 0).0);
        // They lie in memory already, so their number fits.
        let found: Vec<Vec<u8>> =
            counts.map(|count| vec![0; usize::try_from(count).unwrap_or(usize::MAX)]).collect();
        let contents = vec![0; found.len()];
        Self { sent, found, contents, bronze_rows: 0, quarantine_rows: 0 }
    }

    /// A row of bronze.
    pub(crate) fn bronze(&mut self, partition: i32, offset: i64, content: &Content, findings: &mut Findings) {
        self.bronze_rows += 1;
        match self.sent.find(partition, offset) {
            Some((number, Belongs::Bronze)) => {
                self.count(partition, number);
                let sum = &mut self.contents[partition.unsigned_abs() as usize];
                *sum = sum.wrapping_add(content.digest(offset));
            }
            Some((_, Belongs::Quarantine(code))) => findings.add(|| {
                format!(
                    "bronze holds the record at partition {partition}, offset {offset}, which belongs in quarantine as {}",
                    code.as_str()
                )
            }),
            None => findings.add(|| {
                format!("bronze holds a record at partition {partition}, offset {offset}, where none was sent")
            }),
        }
    }

    /// A row of the quarantine.
    pub(crate) fn quarantine(&mut self, partition: i32, offset: i64, code: &str, findings: &mut Findings) {
        self.quarantine_rows += 1;
        match self.sent.find(partition, offset) {
            Some((number, Belongs::Quarantine(expected))) => {
                self.count(partition, number);
                if expected.as_str() != code {
                    findings.add(|| {
                        format!(
                            "the quarantine holds the record at partition {partition}, offset {offset} as {code} instead of {}",
                            expected.as_str()
                        )
                    });
                }
            }
            Some((_, Belongs::Bronze)) => findings.add(|| {
                format!(
                    "the quarantine holds the record at partition {partition}, offset {offset} as {code}, which belongs in bronze"
                )
            }),
            None => findings.add(|| {
                format!(
                    "the quarantine holds a record at partition {partition}, offset {offset}, where none was sent"
                )
            }),
        }
    }

    fn count(&mut self, partition: i32, number: usize) {
        // `find` gives places that exist.
        let found = &mut self.found[partition.unsigned_abs() as usize][number];
        *found = found.saturating_add(1);
    }

    /// What is missing, what is there more than once, and where events say something else than those that were sent. Rows of
    /// bronze and of the quarantine.
    pub(crate) fn finish(self, findings: &mut Findings) -> (u64, u64) {
        for ((partition, found), content) in (0..).zip(&self.found).zip(&self.contents) {
            // Where rows are missing or doubled, so is what they say.
            let mut is_complete = true;
            for ((offset, belongs), times) in self.sent.all_of(partition).zip(found) {
                let table = match belongs {
                    Belongs::Bronze => "bronze",
                    Belongs::Quarantine(_) => "the quarantine",
                };
                is_complete &= *times == 1;
                match times {
                    1 => {}
                    0 => findings.add(|| {
                        format!("{table} misses the record at partition {partition}, offset {offset}")
                    }),
                    times => findings.add(|| {
                        format!(
                            "{table} holds the record at partition {partition}, offset {offset} {times} times"
                        )
                    }),
                }
            }
            if is_complete && *content != self.sent.content_of(partition) {
                findings.add(|| {
                    format!(
                        "bronze holds every event of partition {partition}, and one of them has another video, user, type \
                         or time than it was sent with"
                    )
                });
            }
        }
        (self.bronze_rows, self.quarantine_rows)
    }
}

#[cfg(test)]
mod tests {
    use pulselake_generator::{LogRecord, MalformedKind, RecordKind};

    use super::*;
    use crate::load::run::sent::tests::record;

    /// Two partitions: an event, a malformed record, a retry; and one event.
    fn sent() -> (SentRecords, &'static str) {
        let malformed = MalformedKind::ALL[0];
        let mut sent = SentRecords::to_topic(2);
        for kind in [RecordKind::Event, RecordKind::Malformed(malformed), RecordKind::Retry] {
            sent.push(0, 0, &record(kind));
        }
        sent.push(1, 0, &record(RecordKind::Event));
        (sent, malformed.error_code().as_str())
    }

    fn check(bronze: &[(i32, i64)], quarantine: &[(i32, i64, &str)]) -> Vec<String> {
        let as_sent = Content::of_record(&record(RecordKind::Event));
        check_contents(&bronze.iter().map(|place| (*place, as_sent)).collect::<Vec<_>>(), quarantine)
    }

    fn check_contents(bronze: &[((i32, i64), Content)], quarantine: &[(i32, i64, &str)]) -> Vec<String> {
        let (sent, _) = sent();
        let (mut check, mut findings) = (OffsetCheck::of(&sent), Findings::default());
        for ((partition, offset), content) in bronze {
            check.bronze(*partition, *offset, content, &mut findings);
        }
        for (partition, offset, code) in quarantine {
            check.quarantine(*partition, *offset, code, &mut findings);
        }
        let rows = check.finish(&mut findings);
        assert_eq!(rows, (bronze.len() as u64, quarantine.len() as u64));
        findings.into_lines()
    }

    const BRONZE: [(i32, i64); 3] = [(0, 0), (0, 2), (1, 0)];

    #[test]
    fn each_record_in_its_place_once_is_right() {
        assert_eq!(check(&BRONZE, &[(0, 1, sent().1)]), Vec::<String>::new());
    }

    #[test]
    fn what_events_say_counts() {
        let as_sent = record(RecordKind::Event);
        let other = LogRecord { user: as_sent.user + 1, ..as_sent };
        let mut bronze = BRONZE.map(|place| (place, Content::of_record(&as_sent)));
        bronze[1].1 = Content::of_record(&other);
        let lines = check_contents(&bronze, &[(0, 1, sent().1)]);
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(lines[0].contains("every event of partition 0, and one of them"), "{lines:?}");
    }

    #[test]
    fn what_is_wrong_is_named() {
        let code = sent().1;
        let right = (0, 1, code);
        for (bronze, quarantine, expected) in [
            (vec![(0, 0), (1, 0)], vec![right], "bronze misses the record at partition 0, offset 2"),
            (vec![(0, 0), (0, 2), (0, 2), (1, 0)], vec![right], "partition 0, offset 2 2 times"),
            ([&BRONZE[..], &[(0, 1)]].concat(), vec![right], "belongs in quarantine as"),
            (
                [&BRONZE[..], &[(1, 1)]].concat(),
                vec![right],
                "bronze holds a record at partition 1, offset 1, where none",
            ),
            (BRONZE.to_vec(), vec![], "the quarantine misses the record at partition 0, offset 1"),
            (BRONZE.to_vec(), vec![(0, 1, "OTHER")], "as OTHER instead of"),
            (BRONZE.to_vec(), vec![right, (0, 2, code)], "which belongs in bronze"),
            (BRONZE.to_vec(), vec![right, (5, 2, code)], "partition 5, offset 2, where none was sent"),
        ] {
            let lines = check(&bronze, &quarantine);
            assert_eq!(lines.len(), 1, "{lines:?}");
            assert!(lines[0].contains(expected), "{expected:?} is not in {lines:?}");
        }
    }
}
