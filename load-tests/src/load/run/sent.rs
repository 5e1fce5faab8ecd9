//! What was sent: of every record its place, the moment at which it was meant to be sent, and where it belongs. Five bytes
//! a record, so that an hour at 10,000 records/s takes 180 MB.

use pulselake_generator::{LogRecord, RecordKind};
use pulselake_model::ErrorCode;

use super::content::Content;

/// Bits of a computed log's offset that count records within a second.
const INDEX_BITS: u32 = 20;

/// Where a record belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Belongs {
    /// In bronze: an event, or a repeated delivery of one.
    Bronze,
    /// In quarantine, with this code.
    Quarantine(ErrorCode),
}

/// How offsets follow from a record's number in its partition.
#[derive(Clone, Debug)]
enum Offsets {
    /// A topic that only this run writes to: they are the same.
    Dense,
    /// The embedded generator's log: number of the first record of each second.
    Seconds(Vec<usize>),
}

/// The records of one partition.
#[derive(Clone, Debug)]
pub(crate) struct SentPartition {
    offsets: Offsets,
    /// Milliseconds since the run's start.
    intended_ms: Vec<u32>,
    /// 0: bronze; else the error code's number + 1.
    belongs: Vec<u8>,
    /// Wrapping sum of the digests of what belongs in bronze.
    content: u64,
}

impl SentPartition {
    fn count(&self) -> usize {
        self.intended_ms.len()
    }

    /// Records due in time; they are sent in the order of their times.
    fn count_due(&self, is_in_time: impl Fn(u32) -> bool) -> u64 {
        self.intended_ms.partition_point(|due_ms| is_in_time(*due_ms)) as u64
    }

    /// How many records lie before an offset.
    fn number_at(&self, offset: i64) -> usize {
        let offset = offset.max(0);
        match &self.offsets {
            Offsets::Dense => (offset as usize).min(self.count()),
            Offsets::Seconds(starts) => {
                let second = (offset >> INDEX_BITS) as usize;
                let Some(&start) = starts.get(second) else { return self.count() };
                let end = starts.get(second + 1).copied().unwrap_or(self.count());
                let index = (offset & ((1 << INDEX_BITS) - 1)) as usize;
                (start + index).min(end)
            }
        }
    }

    /// The number of the record at exactly this offset.
    fn number_of(&self, offset: i64) -> Option<usize> {
        let number = self.number_at(offset);
        (number < self.count() && self.offset_of(number) == offset).then_some(number)
    }

    fn offset_of(&self, number: usize) -> i64 {
        match &self.offsets {
            Offsets::Dense => number as i64,
            Offsets::Seconds(starts) => {
                let second = starts.partition_point(|start| *start <= number) - 1;
                ((second as i64) << INDEX_BITS) + (number - starts[second]) as i64
            }
        }
    }
}

/// Everything that was sent, by partition.
#[derive(Clone, Debug)]
pub(crate) struct SentRecords {
    is_computed: bool,
    partitions: Vec<SentPartition>,
}

impl SentRecords {
    /// Of a topic that this run alone writes to, from its first offset on.
    pub(crate) fn to_topic(partitions: i32) -> Self {
        let mut sent = Self { is_computed: false, partitions: Vec::new() };
        sent.grow_to(partitions);
        sent
    }

    /// Of the embedded generator's log.
    pub(crate) fn of_computed_log(partitions: i32) -> Self {
        let mut sent = Self { is_computed: true, partitions: Vec::new() };
        sent.grow_to(partitions);
        sent
    }

    /// The topic has at least so many partitions now.
    pub(crate) fn grow_to(&mut self, partitions: i32) {
        let offsets = if self.is_computed { Offsets::Seconds(Vec::new()) } else { Offsets::Dense };
        let empty = SentPartition { offsets, intended_ms: Vec::new(), belongs: Vec::new(), content: 0 };
        let wanted = usize::try_from(partitions).unwrap_or(0).max(self.partitions.len());
        self.partitions.resize(wanted, empty);
    }

    /// Begins the next second of every partition; only a computed log's offsets need to know it.
    pub(crate) fn begin_second(&mut self) {
        for partition in &mut self.partitions {
            let count = partition.count();
            if let Offsets::Seconds(starts) = &mut partition.offsets {
                starts.push(count);
            }
        }
    }

    /// Takes in the next record of a partition.
    pub(crate) fn push(&mut self, partition: i32, intended_ms: u32, record: &LogRecord) {
        let partition = &mut self.partitions[partition.unsigned_abs() as usize];
        partition.intended_ms.push(intended_ms);
        match record.kind {
            RecordKind::Malformed(kind) => partition.belongs.push(kind.error_code() as u8 + 1),
            RecordKind::Event | RecordKind::Retry => {
                partition.belongs.push(0);
                let digest = Content::of_record(record).digest(partition.offset_of(partition.count() - 1));
                partition.content = partition.content.wrapping_add(digest);
            }
        }
    }

    pub(crate) fn count(&self) -> u64 {
        self.partitions.iter().map(|partition| partition.count() as u64).sum()
    }

    pub(crate) fn partitions(&self) -> i32 {
        // As many as were asked for, by an i32.
        i32::try_from(self.partitions.len()).unwrap_or(i32::MAX)
    }

    /// The partitions that have records.
    pub(crate) fn filled_partitions(&self) -> impl Iterator<Item = i32> {
        (0..).zip(&self.partitions).filter(|(_, partition)| partition.count() > 0).map(|(number, _)| number)
    }

    /// Records of a partition, and of them those before an offset.
    pub(crate) fn count_before(&self, partition: i32, offset: i64) -> (u64, u64) {
        let Some(partition) = self.partition(partition) else { return (0, 0) };
        (partition.count() as u64, partition.number_at(offset) as u64)
    }

    /// Records of a partition that were meant to be sent by this time, milliseconds since the run's start.
    pub(crate) fn count_due_by(&self, partition: i32, after_ms: u32) -> u64 {
        self.partition(partition).map_or(0, |partition| partition.count_due(|due_ms| due_ms <= after_ms))
    }

    /// Records of all partitions that were meant to be sent from this time on, milliseconds since the run's start.
    pub(crate) fn count_due_from(&self, after_ms: u32) -> u64 {
        let before = |partition: &SentPartition| partition.count_due(|due_ms| due_ms < after_ms);
        self.count() - self.partitions.iter().map(before).sum::<u64>()
    }

    /// When the records in `from..to` (offsets) of a partition were meant to be sent, milliseconds since the run's start.
    pub(crate) fn intended_ms(&self, partition: i32, from: i64, to: i64) -> &[u32] {
        let Some(partition) = self.partition(partition) else { return &[] };
        let (from, to) = (partition.number_at(from), partition.number_at(to));
        &partition.intended_ms[from.min(to)..to]
    }

    /// The number of the record at an offset within its partition, and where it belongs; `None` where nothing was sent.
    pub(crate) fn find(&self, partition: i32, offset: i64) -> Option<(usize, Belongs)> {
        let partition = self.partition(partition)?;
        let number = partition.number_of(offset)?;
        Some((number, belongs(partition.belongs[number])))
    }

    /// Wrapping sum of the digests of a partition's events, repeated deliveries included.
    pub(crate) fn content_of(&self, partition: i32) -> u64 {
        self.partition(partition).map_or(0, |partition| partition.content)
    }

    /// Where every record of a partition belongs, by its number; and its offset.
    pub(crate) fn all_of(&self, partition: i32) -> impl Iterator<Item = (i64, Belongs)> {
        let partition = self.partition(partition);
        partition.into_iter().flat_map(|partition| {
            let codes = partition.belongs.iter().enumerate();
            codes.map(|(number, code)| (partition.offset_of(number), belongs(*code)))
        })
    }

    fn partition(&self, partition: i32) -> Option<&SentPartition> {
        self.partitions.get(usize::try_from(partition).ok()?)
    }
}

fn belongs(code: u8) -> Belongs {
    match code.checked_sub(1) {
        None => Belongs::Bronze,
        Some(code) => Belongs::Quarantine(ErrorCode::ALL[usize::from(code)]),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use pulselake_generator::MalformedKind;
    use pulselake_model::EventType;

    use super::*;

    pub(crate) fn record(kind: RecordKind) -> LogRecord {
        LogRecord {
            offset: 0,
            record_time_ms: 0,
            event_time_ms: 0,
            video: 1,
            user: 1,
            event_type: EventType::Like,
            watch_time_ms: 0,
            kind,
            is_beyond_lateness: false,
        }
    }

    #[test]
    fn a_topics_offsets_are_numbers() {
        let mut sent = SentRecords::to_topic(2);
        let malformed = MalformedKind::ALL[0];
        sent.push(1, 5, &record(RecordKind::Event));
        sent.begin_second();
        sent.push(1, 9, &record(RecordKind::Malformed(malformed)));
        sent.grow_to(3);
        sent.push(2, 11, &record(RecordKind::Retry));
        assert_eq!((sent.count(), sent.partitions()), (3, 3));
        assert_eq!(sent.filled_partitions().collect::<Vec<_>>(), [1, 2]);
        assert_eq!(sent.intended_ms(1, 0, 2), [5, 9]);
        assert_eq!(sent.intended_ms(1, 1, 99), [9]);
        assert!(sent.intended_ms(1, 2, 1).is_empty() && sent.intended_ms(7, 0, 9).is_empty());
        assert_eq!(sent.find(1, 1), Some((1, Belongs::Quarantine(malformed.error_code()))));
        assert_eq!(sent.find(2, 0), Some((0, Belongs::Bronze)));
        assert_eq!(sent.find(2, 1), None);
        assert_eq!(sent.count_before(1, 1), (2, 1));
        assert_eq!((sent.count_due_by(1, 4), sent.count_due_by(1, 5), sent.count_due_by(7, 5)), (0, 1, 0));
        assert_eq!((sent.count_due_from(0), sent.count_due_from(9), sent.count_due_from(12)), (3, 2, 0));
    }

    #[test]
    fn a_computed_logs_offsets_have_gaps_between_seconds() {
        let mut sent = SentRecords::of_computed_log(1);
        for (second, records) in [2, 0, 3].into_iter().enumerate() {
            sent.begin_second();
            for index in 0..records {
                sent.push(0, second as u32 * 1_000 + index, &record(RecordKind::Event));
            }
        }
        let offsets: Vec<i64> = sent.all_of(0).map(|(offset, _)| offset).collect();
        assert_eq!(offsets, [0, 1, 2 << 20, (2 << 20) + 1, (2 << 20) + 2]);
        for (number, offset) in offsets.iter().enumerate() {
            assert_eq!(sent.find(0, *offset), Some((number, Belongs::Bronze)));
        }
        // In a gap, behind a second's last record, and behind the log's end.
        for (offset, before) in [(2, 2), (1 << 20, 2), ((2 << 20) + 3, 5), (9 << 20, 5)] {
            assert_eq!(sent.find(0, offset), None, "{offset}");
            assert_eq!(sent.count_before(0, offset), (5, before), "{offset}");
        }
        assert_eq!(sent.intended_ms(0, 1, (2 << 20) + 1), [1, 2_000]);
        assert_eq!(sent.intended_ms(0, 2 << 20, 3 << 20), [2_000, 2_001, 2_002]);
    }
}
