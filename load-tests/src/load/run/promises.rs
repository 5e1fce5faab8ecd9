//! What a scenario's `[load]` promises to send beside ordinary events, and how many records of each kind were sent. A short
//! form in which nothing of its kind comes tests nothing.
//!
//! Of `broken_client`, `schema_drift` and `inventory_drought` records tell nothing here: they act on what bytes say, or on
//! changes.

use std::collections::BTreeMap;

use pulselake_generator::{LogRecord, MalformedKind, RecordKind, ScenarioKind, focus_video};

use crate::load::scenario::LoadPlan;

/// Ages of late events, milliseconds: single ones are held back for 121 s to 210 s, clients are offline for up to two
/// minutes. What is older is of a client whose clock is wrong.
const LATE_MS: std::ops::RangeInclusive<i64> = 121_000..=240_000;

/// How a record of the kind is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sign {
    /// It is about this video.
    Video(u32),
    /// It is an event that was sent before.
    Retry,
    /// It belongs in quarantine, and no clock is to blame.
    Malformed,
    /// It comes minutes after its event.
    Late,
    /// Its client's clock is more than a day behind.
    BeyondLateness,
}

#[derive(Clone, Debug)]
struct Promise {
    name: String,
    sign: Sign,
    /// Milliseconds since the epoch.
    from_ms: i64,
    /// The same; `None`: to the end.
    to_ms: Option<i64>,
    count: u64,
}

/// The promises of a run, and what was sent so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct Promises {
    promises: Vec<Promise>,
}

impl Promises {
    /// Of a run whose first record is due `start_ms` (milliseconds since the epoch).
    pub(crate) fn of(load: &LoadPlan, start_ms: i64) -> Self {
        let ratios = [
            ("load.invalid_ratio", load.invalid_ratio, Sign::Malformed),
            ("load.duplicate_ratio", load.duplicate_ratio, Sign::Retry),
            ("load.late_ratio", load.late_ratio, Sign::Late),
        ];
        let whole = |name: &str, sign| Promise {
            name: name.to_owned(),
            sign,
            from_ms: start_ms,
            to_ms: None,
            count: 0,
        };
        let of_ratios =
            ratios.iter().filter(|(_, ratio, _)| *ratio > 0.0).map(|(name, _, sign)| whole(name, *sign));
        let of_scenarios = load.scenarios.iter().enumerate().filter_map(|(index, scenario)| {
            let sign = match scenario.kind {
                ScenarioKind::NormalBaseline
                | ScenarioKind::ViralHighQuality
                | ScenarioKind::ViralLowQuality
                | ScenarioKind::ColdStartUnderExposed
                | ScenarioKind::HotPartition => Sign::Video(focus_video(index)),
                ScenarioKind::InvalidPayloadBurst => Sign::Malformed,
                ScenarioKind::LateEvents => Sign::Late,
                ScenarioKind::ClockSkew => Sign::BeyondLateness,
                ScenarioKind::Duplicates => Sign::Retry,
                ScenarioKind::BrokenClient | ScenarioKind::InventoryDrought | ScenarioKind::SchemaDrift => {
                    return None;
                }
            };
            let from_ms = start_ms + i64::from(scenario.start_s) * 1_000;
            // What else is late or sent again may come after the scenario's end.
            let to_ms = (sign == Sign::Malformed && scenario.length_s > 0)
                .then(|| from_ms + i64::from(scenario.length_s) * 1_000);
            Some(Promise { name: scenario.to_string(), sign, from_ms, to_ms, count: 0 })
        });
        Self { promises: of_ratios.chain(of_scenarios).collect() }
    }

    /// Takes in a record that was sent.
    pub(crate) fn take(&mut self, record: &LogRecord) {
        for promise in &mut self.promises {
            let time_ms = record.record_time_ms;
            let is_in_time = time_ms >= promise.from_ms && promise.to_ms.is_none_or(|to_ms| time_ms < to_ms);
            promise.count += u64::from(is_in_time && promise.sign.is_at(record));
        }
    }

    /// Records of each kind, by what promises them.
    pub(crate) fn counts(&self) -> BTreeMap<String, u64> {
        self.promises.iter().map(|promise| (promise.name.clone(), promise.count)).collect()
    }

    /// One sentence for each promise that was not kept.
    pub(crate) fn problems(&self) -> Vec<String> {
        let broken = self.promises.iter().filter(|promise| promise.count == 0);
        broken.map(|promise| format!("{} sent nothing of its kind", promise.name)).collect()
    }
}

impl Sign {
    fn is_at(self, record: &LogRecord) -> bool {
        let is_event = matches!(record.kind, RecordKind::Event | RecordKind::Retry);
        match self {
            Self::Video(video) => is_event && record.video == video,
            Self::Retry => record.kind == RecordKind::Retry,
            Self::Malformed => {
                matches!(record.kind, RecordKind::Malformed(kind) if kind != MalformedKind::ClockAhead)
            }
            Self::Late => is_event && LATE_MS.contains(&(record.record_time_ms - record.event_time_ms)),
            Self::BeyondLateness => record.is_beyond_lateness,
        }
    }
}

#[cfg(test)]
mod tests {
    use pulselake_generator::FIRST_FOCUS_VIDEO;

    use super::*;
    use crate::load::run::seconds::SecondReader;
    use crate::load::run::sent::tests::record;
    use crate::load::scenario::plan::{Timetable, generator_config};
    use crate::load::scenario::{file, ready};

    const START_MS: i64 = 1_770_000_000_000;

    fn at(record: LogRecord, after_ms: i64, age_ms: i64) -> LogRecord {
        let record_time_ms = START_MS + after_ms;
        LogRecord { record_time_ms, event_time_ms: record_time_ms - age_ms, ..record }
    }

    #[test]
    fn records_count_for_what_promises_them() {
        let load = LoadPlan {
            invalid_ratio: 0.1,
            scenarios: [
                "clock_skew",
                "hot_partition:start_s=5",
                "invalid_payload_burst:start_s=5,length_s=2",
                "late_events",
                "duplicates",
            ]
            .map(|text| text.parse().unwrap())
            .to_vec(),
            ..LoadPlan::default()
        };
        let mut promises = Promises::of(&load, START_MS);
        assert_eq!(promises.problems().len(), 6);
        let malformed = record(RecordKind::Malformed(MalformedKind::ALL[0]));
        let event = record(RecordKind::Event);
        let hot = LogRecord { video: FIRST_FOCUS_VIDEO + 1, ..event };
        for record in [
            at(malformed, 4_999, 0),
            at(malformed, 6_999, 0),
            at(malformed, 7_000, 0),
            at(record(RecordKind::Malformed(MalformedKind::ClockAhead)), 6_000, -3_600_000),
            at(hot, 4_000, 0),
            at(hot, 5_000, 0),
            at(event, 0, 121_000),
            at(event, 0, 120_999),
            at(event, 0, 3_600_000),
            at(LogRecord { is_beyond_lateness: true, ..event }, 0, 100_000_000),
        ] {
            promises.take(&record);
        }
        let counts: Vec<u64> = promises.counts().into_values().collect();
        // By name: clock_skew, duplicates, hot_partition, invalid_payload_burst, late_events, load.invalid_ratio.
        assert_eq!(counts, [1, 0, 1, 1, 1, 3]);
        assert_eq!(
            promises.problems(),
            ["duplicates:start_s=0,length_s=0,strength=1 sent nothing of its kind"]
        );
    }

    /// The promises of the ready scenarios can be kept: seen in the logs, without an engine.
    #[test]
    fn the_short_forms_send_what_they_promise() {
        for name in ready::names() {
            let scenario = file::find(name, true).unwrap();
            let mut promises = Promises::of(&scenario.load, START_MS);
            for stretch in &Timetable::of(&scenario).stretches {
                let config = generator_config(&scenario.load, stretch, START_MS);
                let mut reader = SecondReader::new(config, stretch.lead_s, false).unwrap();
                for _ in 0..stretch.length_s {
                    reader.next_second().unwrap().records.iter().for_each(|due| promises.take(&due.record));
                }
            }
            assert_eq!(promises.problems(), Vec::<String>::new(), "{name}: {:?}", promises.counts());
        }
    }
}
