//! Writes a planned record's bytes: the domain's JSON form, by hand, straight into the batch's arena.

use crate::event_id::EventIds;
use crate::mix::mix64;
use crate::planned::{PlannedRecord, RecordKind};
use crate::planner::MALFORMED_STEP;
use crate::timestamp::TimestampWriter;
use crate::world::World;
use crate::{MalformedKind, catalogue::Video};

/// How far in the future an event with [`MalformedKind::FutureTimestamp`] claims to be.
const FAR_FUTURE_MS: i64 = 2 * 3_600_000;

/// Writes records of one partition.
pub(crate) struct Encoder {
    partition: i32,
    event_ids: EventIds,
    timestamps: TimestampWriter,
    digits: itoa::Buffer,
}

impl Encoder {
    pub(crate) fn new(world: &World, partition: i32) -> Self {
        let (timestamps, digits) = (TimestampWriter::default(), itoa::Buffer::new());
        Self { partition, event_ids: world.event_ids, timestamps, digits }
    }

    /// Appends the value of `record`, which has this record time (ms since the epoch).
    pub(crate) fn write(
        &mut self,
        world: &World,
        record: &PlannedRecord,
        record_time_ms: i64,
        out: &mut Vec<u8>,
    ) {
        let video = world.videos_of(self.partition).video(record.video_slot);
        let tail = world.body_tails.tail(record.body_tail);
        match record.kind {
            RecordKind::Event | RecordKind::Retry => {
                self.write_event(record, video, tail, record_time_ms, out);
            }
            RecordKind::Malformed(kind) => {
                self.write_malformed(kind, record, video, tail, record_time_ms, out);
            }
        }
    }

    fn write_event(
        &mut self,
        record: &PlannedRecord,
        video: &Video,
        tail: &[u8],
        record_time_ms: i64,
        out: &mut Vec<u8>,
    ) {
        out.reserve(512);
        out.extend_from_slice(br#"{"event_id":""#);
        let step = record.event_type as u8;
        out.extend_from_slice(&self.event_ids.id(self.partition, record.plan_key, step));
        out.extend_from_slice(br#"","event_timestamp":""#);
        self.timestamps.write(out, record_time_ms - i64::from(record.lag_ms));
        out.extend_from_slice(br#"","video_id":"v_"#);
        self.write_number(video.number, out);
        out.extend_from_slice(br#"","user_id":"u_"#);
        self.write_number(record.user, out);
        out.extend_from_slice(br#"","event_type":""#);
        out.extend_from_slice(record.event_type.as_str().as_bytes());
        out.extend_from_slice(br#"","schema_version":"1.0","payload":{"watch_time_ms":"#);
        self.write_number(record.watch_time_ms, out);
        out.extend_from_slice(br#","video_duration_ms":"#);
        self.write_number(video.duration_ms, out);
        out.extend_from_slice(tail);
    }

    fn write_number(&mut self, number: u32, out: &mut Vec<u8>) {
        out.extend_from_slice(self.digits.format(number).as_bytes());
    }

    /// Rare, so its parts are plain formatted text: each is the good part or the broken one.
    fn write_malformed(
        &mut self,
        kind: MalformedKind,
        record: &PlannedRecord,
        video: &Video,
        tail: &[u8],
        record_time_ms: i64,
        out: &mut Vec<u8>,
    ) {
        use MalformedKind as Kind;
        let id_bytes = self.event_ids.id(self.partition, record.plan_key, MALFORMED_STEP);
        let event_id = match kind {
            Kind::NoEventId => String::new(),
            _ => format!(r#""event_id":"{}","#, String::from_utf8_lossy(&id_bytes)),
        };
        let ahead_ms = if kind == Kind::FutureTimestamp { FAR_FUTURE_MS } else { 0 };
        let mut good_timestamp = Vec::new();
        self.timestamps.write(&mut good_timestamp, record_time_ms + ahead_ms);
        let timestamp = match kind {
            Kind::BadTimestamp => "yesterday".to_owned(),
            Kind::ImpossibleDate => "2026-02-31T10:00:00.000Z".to_owned(),
            _ => String::from_utf8_lossy(&good_timestamp).into_owned(),
        };
        let video_id = match kind {
            Kind::NullVideoId => "null".to_owned(),
            Kind::ArrayVideoId => format!(r#"["v_{}"]"#, video.number),
            _ => format!(r#""v_{}""#, video.number),
        };
        let user_id = match kind {
            Kind::EmptyUserId => String::new(),
            _ => format!("u_{}", record.user),
        };
        let event_type = match kind {
            Kind::NoEventType => "",
            Kind::ObjectEventType => r#""event_type":{"name":"like"},"#,
            Kind::UnknownEventType => r#""event_type":"superlike","#,
            _ => r#""event_type":"impression","#,
        };
        let version = if kind == Kind::UnsupportedSchemaVersion { "9.0" } else { "1.0" };
        let head = format!(
            r#"{{{event_id}"event_timestamp":"{timestamp}","video_id":{video_id},"user_id":"{user_id}",{event_type}"schema_version":"{version}","payload":{{"watch_time_ms":0,"video_duration_ms":{}"#,
            video.duration_ms
        );
        let start = out.len();
        match kind {
            Kind::PlainText => {
                out.extend_from_slice(b"upstream connect error or disconnect/reset before headers");
            }
            Kind::NotAnObject => {
                out.push(b'[');
                out.extend_from_slice(head.as_bytes());
                out.extend_from_slice(tail);
                out.push(b']');
            }
            _ => {
                out.extend_from_slice(head.as_bytes());
                out.extend_from_slice(tail);
            }
        }
        match kind {
            Kind::Truncated => {
                // Anywhere from the first byte to before the last: never a whole object.
                let most = (out.len() - start - 1) as u64;
                out.truncate(start + 1 + (mix64(record.plan_key) % most) as usize);
            }
            Kind::TrailingText => out.extend_from_slice(b"}"),
            Kind::NotUtf8 => {
                // The last string's last character: `"}}` follows it.
                let place = out.len() - 4;
                out[place] = 0xFF;
            }
            _ => {}
        }
    }
}
