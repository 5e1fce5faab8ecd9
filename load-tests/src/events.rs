//! The events that the load tests send: short-video events of 250 bytes (within 20), deterministic by seed.
//!
//! The video follows Zipf's law, `payload_json` is JSON inside a string, times are milliseconds since the epoch, and a
//! record's key is its video. Event `i` differs from every other in its `event_id`.

use std::io::Write;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

const TYPES: [(&str, f64); 6] = [
    ("impression", 0.45),
    ("play_start", 0.25),
    ("play_finish", 0.12),
    ("like", 0.06),
    ("share", 0.02),
    ("skip", 0.10),
];
const DEVICES: [&str; 3] = ["ios", "android", "web"];

/// What the events are drawn from.
#[derive(Clone, Debug)]
pub(crate) struct EventShape {
    pub(crate) seed: u64,
    /// How many videos there are.
    pub(crate) videos: u32,
    /// How many users there are.
    pub(crate) users: u32,
    /// A video's weight is its rank to the power of minus this.
    pub(crate) zipf_exponent: f64,
}

impl Default for EventShape {
    fn default() -> Self {
        Self { seed: 7, videos: 10_000, users: 1_000_000, zipf_exponent: 1.1 }
    }
}

/// Draws one event after another.
pub(crate) struct EventStream {
    random: ChaCha8Rng,
    users: u32,
    /// Of each video: the share of events that it and those before it have.
    cumulative: Vec<f64>,
    keys: Vec<String>,
    digits: itoa::Buffer,
    next_index: u64,
}

impl EventStream {
    pub(crate) fn new(shape: &EventShape) -> Self {
        let weight = |rank: u32| f64::from(rank).powf(-shape.zipf_exponent);
        let total: f64 = (1..=shape.videos).map(weight).sum();
        let cumulative = (1..=shape.videos).scan(0.0, |sum, rank| {
            *sum += weight(rank) / total;
            Some(*sum)
        });
        Self {
            random: ChaCha8Rng::seed_from_u64(shape.seed),
            users: shape.users,
            cumulative: cumulative.collect(),
            keys: (0..shape.videos).map(|video| format!("v{video:06}")).collect(),
            digits: itoa::Buffer::new(),
            next_index: 0,
        }
    }

    /// How many videos there are.
    pub(crate) fn videos(&self) -> usize {
        self.keys.len()
    }

    /// The key of a video's records.
    pub(crate) fn key(&self, video: usize) -> &[u8] {
        self.keys[video].as_bytes()
    }

    /// A number below `bound`, for what a caller draws beside the events.
    pub(crate) fn below(&mut self, bound: u32) -> u32 {
        self.random.random_range(0..bound.max(1))
    }

    /// Writes the next event into `value` (cleared first), and gives its video.
    pub(crate) fn write_next(&mut self, time_ms: i64, value: &mut Vec<u8>) -> usize {
        let index = self.next_index;
        self.next_index += 1;
        let share: f64 = self.random.random();
        let video = self.cumulative.partition_point(|sum| *sum <= share).min(self.keys.len() - 1);
        let event_type = self.event_type();
        let user = self.below(self.users);
        let id: u64 = self.random.random();
        let played = self.below(100_000);

        value.clear();
        // Writing to a Vec can't fail.
        let _ = write!(
            value,
            "{{\"event_id\":\"{:08x}-{:04x}-4{:03x}-8{:03x}-{index:012x}\",\"event_timestamp\":",
            (id >> 31) & 0xffff_ffff,
            (id >> 15) & 0xffff,
            (id >> 3) & 0xfff,
            id & 0xfff,
        );
        value.extend_from_slice(self.digits.format(time_ms).as_bytes());
        value.extend_from_slice(b",\"video_id\":\"");
        value.extend_from_slice(self.keys[video].as_bytes());
        let _ = write!(value, "\",\"user_id\":\"u{user:07}\",\"event_type\":\"{event_type}\",");
        value.extend_from_slice(br#""payload_json":"{\"watch_time_ms\":"#);
        value.extend_from_slice(self.digits.format(played).as_bytes());
        value.extend_from_slice(br#",\"device\":\""#);
        value.extend_from_slice(DEVICES[played as usize % DEVICES.len()].as_bytes());
        value.extend_from_slice(br#"\",\"app\":\"8."#);
        value.extend_from_slice(self.digits.format(played % 40).as_bytes());
        value.extend_from_slice(br#".1\",\"net\":\"wifi\",\"pos\":"#);
        value.extend_from_slice(self.digits.format(played % 25).as_bytes());
        value.extend_from_slice(br#"}"}"#);
        video
    }

    fn event_type(&mut self) -> &'static str {
        let mut share: f64 = self.random.random();
        for (name, probability) in TYPES {
            if share < probability {
                return name;
            }
            share -= probability;
        }
        TYPES[0].0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some(count: usize) -> Vec<(usize, Vec<u8>)> {
        let mut stream = EventStream::new(&EventShape::default());
        let mut write = || {
            let mut value = Vec::new();
            (stream.write_next(1_760_000_040_000, &mut value), value)
        };
        (0..count).map(|_| write()).collect()
    }

    #[test]
    fn events_are_json_of_the_promised_size() {
        let events = some(1_000);
        let mean = events.iter().map(|(_, value)| value.len()).sum::<usize>() / events.len();
        assert!((244..=260).contains(&mean), "{mean} bytes");
        for (_, value) in events {
            let event: serde_json::Value = serde_json::from_slice(&value).unwrap();
            assert_eq!(event["event_timestamp"], 1_760_000_040_000_i64);
            assert_eq!(event["event_id"].as_str().unwrap().len(), 36);
            let payload = event["payload_json"].as_str().unwrap();
            serde_json::from_str::<serde_json::Value>(payload).unwrap();
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_events_and_every_id_differs() {
        let events = some(1_000);
        assert_eq!(events, some(1_000));
        let ids: std::collections::HashSet<&[u8]> = events.iter().map(|(_, value)| &value[13..49]).collect();
        assert_eq!(ids.len(), 1_000);
    }

    #[test]
    fn the_first_video_is_the_most_popular() {
        let events = some(20_000);
        let share =
            |video: usize| events.iter().filter(|(found, _)| *found == video).count() as f64 / 20_000.0;
        // 1 / (the sum of rank^-1.1 over 10,000 ranks) = 0.151.
        assert!((share(0) - 0.151).abs() < 0.02, "{}", share(0));
        assert!(share(0) > share(1) && share(1) > share(9));
    }
}
