//! Writes a planned record's bytes: the domain's JSON form, by hand, straight into the batch's arena.

use crate::block_plan::MALFORMED_STEP;
use crate::effects::Form;
use crate::event_id::EventIds;
use crate::mix::mix64;
use crate::planned::{PlannedRecord, RecordKind};
use crate::timestamp::TimestampWriter;
use crate::world::World;
use crate::{MalformedKind, catalogue::Video};

/// Bytes of a [`MalformedKind::HugeEventType`], and levels of a [`MalformedKind::DeepPayload`].
const HUGE_BYTES: usize = 16_384;
const DEEP_LEVELS: usize = 600;

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
        let video = world.catalogue.video(record.video);
        let tail = world.body_tails.tail(record.body_tail);
        let event_time_ms = record_time_ms - i64::from(record.lag_ms);
        match (record.kind, record.form) {
            (RecordKind::Malformed(kind), _) if kind != MalformedKind::ClockAhead => {
                self.write_malformed(kind, record, video, tail, event_time_ms, out);
            }
            (_, Form::Usual) => self.write_event(record, video, tail, event_time_ms, out),
            (_, form) => self.write_drifted(form, record, video, tail, event_time_ms, out),
        }
    }

    fn write_event(
        &mut self,
        record: &PlannedRecord,
        video: &Video,
        tail: &[u8],
        event_time_ms: i64,
        out: &mut Vec<u8>,
    ) {
        out.reserve(512);
        self.write_id(record, out);
        out.extend_from_slice(br#"","event_timestamp":""#);
        self.timestamps.write(out, event_time_ms);
        out.push(b'"');
        self.write_names(record, video, out);
        out.extend_from_slice(br#"","schema_version":"1.0","payload":{"watch_time_ms":"#);
        self.write_number(record.watch_time_ms, out);
        out.extend_from_slice(br#","video_duration_ms":"#);
        self.write_number(video.duration_ms, out);
        out.extend_from_slice(tail);
    }

    /// The event as one of the clients writes it that have left the usual form.
    fn write_drifted(
        &mut self,
        form: Form,
        record: &PlannedRecord,
        video: &Video,
        tail: &[u8],
        event_time_ms: i64,
        out: &mut Vec<u8>,
    ) {
        let is_old = form == Form::OldProducer;
        out.reserve(640);
        self.write_id(record, out);
        out.extend_from_slice(br#"","event_timestamp":"#);
        if is_old {
            out.extend_from_slice(self.digits.format(event_time_ms).as_bytes());
        } else {
            out.push(b'"');
            self.timestamps.write(out, event_time_ms);
            out.push(b'"');
        }
        self.write_names(record, video, out);
        let head: &[u8] = match form {
            Form::OldProducer => br#"","payload_json":""#,
            Form::NewHeaderFields => {
                br#"","schema_version":"1.1","trace_id":"00-4bf92f3577b34da6","producer":{"name":"edge","attempt":1},"payload":"#
            }
            _ => br#"","schema_version":"1.1","payload":"#,
        };
        out.extend_from_slice(head);

        let body_start = out.len();
        out.extend_from_slice(br#"{"watch_time_ms":"#);
        self.write_number(record.watch_time_ms, out);
        if form == Form::WidenedType {
            out.extend_from_slice(b".0");
        }
        let duration: &[u8] =
            if form == Form::RenamedField { br#","duration_ms":"# } else { br#","video_duration_ms":"# };
        out.extend_from_slice(duration);
        self.write_number(video.duration_ms, out);
        if form == Form::NewBodyFields {
            out.extend_from_slice(
                br#","playback_rate":1.25,"experiment":{"bucket":"b7","is_holdout":false}"#,
            );
        }
        // The tail closes the body and the event.
        out.extend_from_slice(&tail[..tail.len() - 1]);
        if is_old {
            escape_quotes(out, body_start);
            out.push(b'"');
        }
        out.push(b'}');
    }

    /// From the opening brace to the last character of the id.
    fn write_id(&self, record: &PlannedRecord, out: &mut Vec<u8>) {
        out.extend_from_slice(br#"{"event_id":""#);
        let step = record.event_type as u8;
        out.extend_from_slice(&self.event_ids.id(self.partition, record.plan_key, step));
    }

    /// From the comma before `video_id` to the last character of the event type.
    fn write_names(&mut self, record: &PlannedRecord, video: &Video, out: &mut Vec<u8>) {
        out.extend_from_slice(br#","video_id":"v_"#);
        self.write_number(video.number, out);
        out.extend_from_slice(br#"","user_id":"u_"#);
        self.write_number(record.user, out);
        out.extend_from_slice(br#"","event_type":""#);
        out.extend_from_slice(record.event_type.as_str().as_bytes());
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
        event_time_ms: i64,
        out: &mut Vec<u8>,
    ) {
        use MalformedKind as Kind;
        let head = self.malformed_head(kind, record, video, event_time_ms);
        let start = out.len();
        let deep = || ["[".repeat(DEEP_LEVELS), "]".repeat(DEEP_LEVELS)].concat();
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
            Kind::TextPayload => out.extend_from_slice(format!(r#"{head}"none"}}"#).as_bytes()),
            Kind::DeepPayload => out.extend_from_slice(format!(r#"{head},"deep":{}}}}}"#, deep()).as_bytes()),
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

    /// The event up to the duration in its body; up to the body where that is a text.
    fn malformed_head(
        &mut self,
        kind: MalformedKind,
        record: &PlannedRecord,
        video: &Video,
        event_time_ms: i64,
    ) -> String {
        use MalformedKind as Kind;
        let id_bytes = self.event_ids.id(self.partition, record.plan_key, MALFORMED_STEP);
        let event_id = match kind {
            Kind::NoEventId => String::new(),
            _ => format!(r#""event_id":"{}","#, String::from_utf8_lossy(&id_bytes)),
        };
        let timestamp = match kind {
            Kind::BadTimestamp => r#""yesterday""#.to_owned(),
            Kind::ImpossibleDate => r#""2026-02-31T10:00:00.000Z""#.to_owned(),
            Kind::BooleanTimestamp => "true".to_owned(),
            Kind::HugeTimestamp => "9".repeat(30),
            _ => {
                let mut good = Vec::new();
                self.timestamps.write(&mut good, event_time_ms);
                format!(r#""{}""#, String::from_utf8_lossy(&good))
            }
        };
        let video_id = match kind {
            Kind::NullVideoId => "null".to_owned(),
            Kind::ArrayVideoId => format!(r#"["v_{}"]"#, video.number),
            _ => format!(r#""v_{}""#, video.number),
        };
        let user_id = match kind {
            Kind::EmptyUserId => r#""""#.to_owned(),
            Kind::NumberUserId => record.user.to_string(),
            _ => format!(r#""u_{}""#, record.user),
        };
        let event_type = match kind {
            Kind::NoEventType => String::new(),
            Kind::ObjectEventType => r#""event_type":{"name":"like"},"#.to_owned(),
            Kind::UnknownEventType => r#""event_type":"superlike","#.to_owned(),
            Kind::HugeEventType => format!(r#""event_type":"{}","#, "like".repeat(HUGE_BYTES / 4)),
            _ => r#""event_type":"impression","#.to_owned(),
        };
        let version = if kind == Kind::UnsupportedSchemaVersion { "9.0" } else { "1.0" };
        let body = match kind {
            Kind::TextPayload => String::new(),
            _ => format!(r#"{{"watch_time_ms":0,"video_duration_ms":{}"#, video.duration_ms),
        };
        format!(
            r#"{{{event_id}"event_timestamp":{timestamp},"video_id":{video_id},"user_id":{user_id},{event_type}"schema_version":"{version}","payload":{body}"#
        )
    }
}

/// Puts a backslash before each quotation mark from `start` on: JSON without control characters as a JSON string.
fn escape_quotes(out: &mut Vec<u8>, start: usize) {
    let escaped: Vec<u8> = out[start..]
        .iter()
        .flat_map(|&byte| [(byte == b'"').then_some(b'\\'), Some(byte)])
        .flatten()
        .collect();
    out.truncate(start);
    out.extend_from_slice(&escaped);
}
