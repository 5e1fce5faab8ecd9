//! Events and changes that no generator makes: at the edges of versions, sessions and days, with strange bodies, and
//! delivered twice.
//!
//! They come behind the generator's in their topics, so real time meets most of them too late: what it drops, batch counts.

use std::time::Duration;

use pulselake_source::{KafkaSink, KafkaSinkSettings};
use serde_json::Value;

use crate::common::kafka::brokers;

/// Order in the source: behind everything that the generator writes.
const FIRST_POSITION: u64 = 1 << 50;
const FLUSH_TIMEOUT: Duration = Duration::from_secs(60);

/// Moments at which versions of video and user by hand begin, milliseconds of their day, and what they are.
const VIDEO_VERSIONS: [(&str, &str, &str); 5] = [
    (
        "09:00:00",
        "c",
        r#"{"category":"music","region":"DE","creator_id":"u_hand","duration_ms":20000,"status":"active"}"#,
    ),
    (
        "10:00:00",
        "u",
        r#"{"category":"never","region":"DE","creator_id":"u_hand","duration_ms":20000,"status":"active"}"#,
    ),
    (
        "10:00:00",
        "u",
        r#"{"category":"dance","region":"US","creator_id":"u_hand","duration_ms":0,"status":"banned"}"#,
    ),
    ("11:00:00", "d", r#"{"category":"dance"}"#),
    (
        "12:00:00",
        "c",
        r#"{"category":"news","region":null,"creator_id":"","duration_ms":200000,"status":"active"}"#,
    ),
];
const USER_VERSIONS: [(&str, &str, &str); 3] = [
    ("09:30:00", "c", r#"{"ltv_segment":"VIP","register_country":"DE","is_creator":true}"#),
    ("10:30:00", "u", r#"{"ltv_segment":null,"register_country":"FR","is_creator":false}"#),
    ("11:30:00", "d", "{}"),
];

/// Clocks around the edges of those versions.
const EDGES: [&str; 14] = [
    "08:59:59.999999",
    "09:00:00",
    "09:29:59.999999",
    "09:30:00",
    "09:59:59.999999",
    "10:00:00",
    "10:00:00.000001",
    "10:30:00",
    "10:59:59.999999",
    "11:00:00",
    "11:29:59.999999",
    "11:30:00",
    "11:59:59.999999",
    "12:00:00",
];

/// Day (0 is the first), clock: a user whose sessions go on, or just not, over pauses and midnights.
const SESSIONS: [(i64, &str); 11] = [
    (0, "10:00:00"),
    (0, "10:29:59.999999"),
    (0, "10:59:59.999999"),
    (0, "23:45:00"),
    (1, "00:14:59.999999"),
    (1, "00:44:59.999999"),
    (1, "23:59:59.999999"),
    (2, "00:00:00"),
    (2, "00:29:59.999999"),
    (2, "00:59:59.999998"),
    (2, "23:59:59.999999"),
];

/// Bodies of events: what is strange stands in it.
const BODIES: [&str; 28] = [
    r#"{"watch_time_ms":5.4e3,"video_duration_ms":5400.0}"#,
    r#"{"watch_time_ms":604800000,"video_duration_ms":9007199254740993}"#,
    r#"{"watch_time_ms":604800001,"video_duration_ms":0}"#,
    r#"{"watch_time_ms":-1,"video_duration_ms":-5}"#,
    r#"{"watch_time_ms":"7","video_duration_ms":"8"}"#,
    r#"{"watch_time_ms":true,"video_duration_ms":1.5}"#,
    r#"{"watch_time_ms":1,"watch_time_ms":2,"device_os":"first","device_os":"last"}"#,
    r#"{"watch\u005ftime_ms":9,"device_os":"with \"quotes\" and \u00e4\ud83d\ude00"}"#,
    r#"{"device_os":15.0,"app_version":false,"network_type":null,"referral_source":{"page":1}}"#,
    r#"{"device_os":[1, 2],"app_version":1e3,"network_type":"","referral_source":-0}"#,
    r#"{"video_duration_ms":15000}"#,
    r#"{"video_duration_ms":14999}"#,
    r#"{"video_duration_ms":180000}"#,
    r#"{"eventId":"as a fixed name","event_id":"one itself"}"#,
    r#"{"eventId":"again","event_id":"again"}"#,
    r#"{"Bit Rate":1,"bit-rate":"text","bitRate":2}"#,
    r#"{"Bit Rate":2,"bit-rate":"more","bitRate":3}"#,
    r#"{"fits":1,"widens":1,"mixed":true,"late":null}"#,
    r#"{"fits":9007199254740993,"widens":2.5,"mixed":"text","late":null}"#,
    r#"{"fits":5.0,"widens":123456789012345678,"mixed":{"a": [1,2]},"late":null}"#,
    r#"{"only_once":1}"#,
    r#"{"":1," ":2,"ключ":3,"select":4}"#,
    r#"{"":1," ":2,"ключ":3,"select":4}"#,
    "{}",
    " {\"watch_time_ms\" : 3 } ",
    r#"{"watch_time_ms":3} and more"#,
    "no JSON at all",
    "[]",
];
/// Of the day after: what was one thing becomes another.
const BODIES_OF_THE_NEXT_DAY: [&str; 6] = [
    r#"{"fits":1.5,"widens":"text","mixed":1,"late":7}"#,
    r#"{"fits":"text","widens":7,"mixed":null,"late":8}"#,
    r#"{"fits":9223372036854775808,"widens":1e400,"only_once":2}"#,
    r#"{"only_once":"twice"}"#,
    r#"{"playback_rate":"fast","experiment":7}"#,
    r#"{"playback_rate":null,"experiment":null}"#,
];

/// Writes to the topics of a scene.
pub struct ByHand<'a> {
    pub events_topic: &'a str,
    pub videos_topic: &'a str,
    pub users_topic: &'a str,
    pub first_day: chrono::NaiveDate,
    /// The records' own time: behind that of all events, or they would be from the future.
    pub sent_at_ms: i64,
}

impl ByHand<'_> {
    fn sink(topic: &str) -> KafkaSink {
        let settings =
            KafkaSinkSettings { brokers: brokers(), topic: topic.to_owned(), ..Default::default() };
        KafkaSink::connect(&settings).unwrap()
    }

    fn day(&self, number: i64) -> String {
        (self.first_day + chrono::Days::new(number.unsigned_abs())).to_string()
    }

    /// Everything above, on the first days.
    pub fn write(&self) {
        self.write_versions(self.videos_topic, "video_id", "v_hand", &VIDEO_VERSIONS);
        self.write_versions(self.users_topic, "user_id", "u_hand", &USER_VERSIONS);
        let events = Self::sink(self.events_topic);
        let send = |partition: i32, event: &str| {
            events.send(Some(partition), b"", event.as_bytes(), self.sent_at_ms).unwrap();
        };
        for (number, clock) in EDGES.iter().enumerate() {
            let body = r#"{"watch_time_ms":5000}"#;
            send(0, &event(&format!("edge-{number}"), &self.day(1), clock, "u_hand", "v_hand", "like", body));
        }
        for (number, (day, clock)) in SESSIONS.iter().enumerate() {
            // Skips in a row, and what breaks the row.
            let kind = if number == 6 { "share" } else { "skip" };
            send(
                1,
                &event(&format!("session-{number}"), &self.day(*day), clock, "u_night", "v_hand", kind, "{}"),
            );
        }
        for (number, body) in BODIES.iter().enumerate() {
            let clock = format!("13:00:{number:02}");
            send(
                0,
                &event(
                    &format!("body-{number:02}"),
                    &self.day(1),
                    &clock,
                    "u_hand",
                    "v_hand",
                    "play_start",
                    body,
                ),
            );
        }
        for (number, body) in BODIES_OF_THE_NEXT_DAY.iter().enumerate() {
            let clock = format!("13:00:{number:02}");
            let id = format!("next-{number:02}");
            send(0, &event(&id, &self.day(2), &clock, "u_hand", "v_hand", "play_finish", body));
        }
        // Twice, in two partitions and with other contents; and once more on the next day.
        for (partition, day, user, kind) in
            [(1, 1, "u_b", "share"), (0, 1, "u_a", "like"), (0, 2, "u_a", "skip")]
        {
            send(partition, &event("twice", &self.day(day), "14:00:00", user, "v_hand", kind, "{}"));
        }
        events.flush(FLUSH_TIMEOUT).unwrap();
    }

    /// Events that come when their day was made already, to the first day: the last of them opens a session that goes on over
    /// midnight.
    pub fn write_late(&self) {
        let events = Self::sink(self.events_topic);
        for (number, clock) in ["00:00:00", "12:00:00", "23:59:30"].iter().enumerate() {
            let late =
                event(&format!("late-{number}"), &self.day(0), clock, "u_late", "v_hand", "play_start", "{}");
            events.send(Some(0), b"", late.as_bytes(), self.sent_at_ms).unwrap();
        }
        let goes_on = event("late-9", &self.day(1), "00:10:00", "u_late", "v_hand", "play_start", "{}");
        events.send(Some(0), b"", goes_on.as_bytes(), self.sent_at_ms).unwrap();
        events.flush(FLUSH_TIMEOUT).unwrap();
    }

    fn write_versions(&self, topic: &str, key: &str, id: &str, versions: &[(&str, &str, &str)]) {
        let sink = Self::sink(topic);
        for (position, (clock, op, facts)) in (FIRST_POSITION..).zip(versions) {
            let moment = format!("{}T{clock}Z", self.day(1));
            let moment_ms = chrono::DateTime::parse_from_rfc3339(&moment).unwrap().timestamp_millis();
            let mut row: Value = serde_json::from_str(facts).unwrap();
            row[key] = id.into();
            if key == "video_id" {
                row["upload_time"] = format!("{}T08:00:00.000Z", self.day(0)).into();
            }
            let change = match *op {
                "d" => format!(r#""before":{row},"after":null"#),
                _ => format!(r#""before":null,"after":{row}"#),
            };
            let envelope = format!(
                r#"{{{change},"source":{{"connector":"postgresql","ts_ms":{moment_ms},"lsn":{position}}},"op":"{op}","ts_ms":{moment_ms}}}"#
            );
            sink.send(None, id.as_bytes(), envelope.as_bytes(), moment_ms).unwrap();
        }
        sink.flush(FLUSH_TIMEOUT).unwrap();
    }
}

/// An event whose body is carried as a JSON string, so that it can be anything.
fn event(id: &str, day: &str, clock: &str, user: &str, video: &str, kind: &str, body: &str) -> String {
    serde_json::json!({
        "event_id": id,
        "event_timestamp": format!("{day}T{clock}Z"),
        "video_id": video,
        "user_id": user,
        "event_type": kind,
        "payload_json": body,
    })
    .to_string()
}
