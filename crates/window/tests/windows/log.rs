//! A source partition in memory: records with offsets and gaps, cut into decoded batches at will.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use pulselake_model::{DecodedBatch, ErrorCode, EventColumns, EventType};

/// Microseconds in a second.
pub(crate) const SECOND: i64 = 1_000_000;

/// One valid event.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    pub(crate) id: u128,
    pub(crate) video: &'static str,
    pub(crate) event_us: i64,
    /// The broker's time.
    pub(crate) record_us: i64,
    pub(crate) kind: EventType,
    pub(crate) watch_ms: i64,
}

impl Event {
    pub(crate) fn stream_time_us(&self) -> i64 {
        self.event_us.min(self.record_us)
    }
}

/// What a record holds: an event, or something that the decoder rejects.
#[derive(Clone, Debug)]
pub(crate) enum Content {
    Valid(Event),
    Rejected,
}

/// Records by rising offset.
#[derive(Clone, Debug)]
pub(crate) struct Log {
    pub(crate) first: i64,
    pub(crate) records: Vec<(i64, Content)>,
    /// Position after the last record.
    pub(crate) end: i64,
    /// Batches cut before: thousands of histories cut the same ones.
    cut: RefCell<HashMap<(i64, i64), Rc<DecodedBatch>>>,
}

impl Log {
    pub(crate) fn new(first: i64) -> Self {
        Self { first, records: Vec::new(), end: first, cut: RefCell::default() }
    }

    /// Leaves offsets without records.
    pub(crate) fn gap(&mut self, offsets: i64) -> &mut Self {
        self.end += offsets;
        self
    }

    pub(crate) fn push(&mut self, content: Content) -> &mut Self {
        self.cut.borrow_mut().clear();
        self.records.push((self.end, content));
        self.end += 1;
        self
    }

    /// An impression of `video`; event and record time are the same.
    pub(crate) fn view(&mut self, id: u128, video: &'static str, seconds: i64) -> &mut Self {
        self.skewed(id, video, seconds, seconds)
    }

    /// An impression whose event time and record time differ.
    pub(crate) fn skewed(&mut self, id: u128, video: &'static str, event_s: i64, record_s: i64) -> &mut Self {
        self.push(Content::Valid(Event {
            id,
            video,
            event_us: event_s * SECOND,
            record_us: record_s * SECOND,
            kind: EventType::Impression,
            watch_ms: 0,
        }))
    }

    /// The valid events before `offset` with their offsets.
    pub(crate) fn events_before(&self, offset: i64) -> impl DoubleEndedIterator<Item = (i64, &Event)> {
        self.records.iter().filter_map(move |(at, content)| match content {
            Content::Valid(event) if *at < offset => Some((*at, event)),
            _ => None,
        })
    }

    /// The batch of the offsets `from..to`.
    pub(crate) fn batch(&self, from: i64, to: i64) -> Rc<DecodedBatch> {
        let build = || Rc::new(self.build_batch(from, to));
        self.cut.borrow_mut().entry((from, to)).or_insert_with(build).clone()
    }

    fn build_batch(&self, from: i64, to: i64) -> DecodedBatch {
        let mut columns = EventColumns::default();
        let mut videos = Vec::new();
        let mut rejected = Vec::new();
        for (offset, content) in self.records.iter().filter(|(offset, _)| (from..to).contains(offset)) {
            match content {
                Content::Rejected => rejected.push(*offset),
                Content::Valid(event) => {
                    columns.offset.push(*offset);
                    columns.event_timestamp_us.push(event.event_us);
                    columns.stream_time_us.push(event.stream_time_us());
                    columns.event_type.push(event.kind);
                    columns.watch_time_ms.push(event.watch_ms);
                    columns.event_id_hash.push(event.id);
                    videos.push(event.video);
                }
            }
        }
        let mut invalid_by_code = [0; ErrorCode::COUNT];
        invalid_by_code[ErrorCode::MalformedJson as usize] = rejected.len() as u64;
        let one_column = |name: &str, column: ArrayRef| RecordBatch::try_from_iter([(name, column)]).unwrap();
        DecodedBatch {
            partition: 0,
            first_offset: from,
            next_offset: to,
            record_count: (videos.len() + rejected.len()) as u64,
            events: one_column("video_id", Arc::new(StringArray::from(videos))),
            columns,
            invalid: one_column("source_offset", Arc::new(Int64Array::from(rejected))),
            invalid_by_code,
            last: None,
        }
    }
}
