//! The changes of videos and users that come along: what is sent, when each was made in the source, and what it comes to.
//! Over Kafka they are sent here; the embedded generator sends the same ones itself.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use pulselake_generator::{CdcConfig, CdcPartitionLog, CdcTruth, CdcWorld, GeneratorConfig};
use pulselake_model::Entity;

use crate::change_feed::{ChangeFeed, PacedChanges, SentChanges};
use crate::cli::BrokerArgs;

/// Partitions of each topic of changes.
pub(crate) const PARTITIONS: i32 = 3;

/// One entity's changes.
pub(crate) struct EntityChanges {
    pub(crate) entity: Entity,
    /// Of the topic, or what stands for it.
    pub(crate) topic: String,
    world: Arc<CdcWorld>,
    duration_s: u32,
    sending: Sending,
}

enum Sending {
    /// The engine makes them.
    Embedded,
    /// The creates of all keys are sent.
    Ready(Box<ChangeFeed>),
    UnderWay(PacedChanges),
    Done(SentChanges),
}

/// When changes were made: of each partition its records in order.
pub(crate) struct WrittenTimes {
    /// Where offsets are not numbers: of each record.
    offsets: Option<Vec<Vec<i64>>>,
    /// Milliseconds since the epoch; `None` for what makes no newer row.
    written_ms: Vec<Vec<Option<i64>>>,
}

impl WrittenTimes {
    /// Of the records in `from..to` (offsets) of a partition.
    pub(crate) fn between(&self, partition: i32, from: i64, to: i64) -> &[Option<i64>] {
        let Some(times) = usize::try_from(partition).ok().and_then(|index| self.written_ms.get(index)) else {
            return &[];
        };
        let number = |offset: i64| match &self.offsets {
            None => usize::try_from(offset).unwrap_or(0).min(times.len()),
            Some(offsets) => {
                offsets[partition.unsigned_abs() as usize].partition_point(|known| *known < offset)
            }
        };
        let (from, to) = (number(from), number(to));
        &times[from.min(to)..to]
    }

    fn count(&self) -> u64 {
        self.written_ms.iter().map(|times| times.len() as u64).sum()
    }
}

/// The settings of an entity's changes beside a log of events. `rate_per_s`: where it is not that of the events' log.
pub(crate) fn config(events: &GeneratorConfig, entity: Entity, rate_per_s: Option<f64>) -> CdcConfig {
    let beside = CdcConfig { partitions: PARTITIONS, ..CdcConfig::beside(events, entity) };
    CdcConfig { rate_per_s: rate_per_s.unwrap_or(beside.rate_per_s), ..beside }
}

impl EntityChanges {
    /// Those that the embedded generator makes.
    pub(crate) fn embedded(config: CdcConfig, topic: &str, duration_s: u32) -> anyhow::Result<Self> {
        Self::with(config, topic, duration_s, Sending::Embedded)
    }

    /// Sends the creates of all keys into a topic that is there and empty, and waits until the broker has them.
    pub(crate) fn to_topic(
        config: CdcConfig,
        brokers: &str,
        topic: &str,
        duration_s: u32,
    ) -> anyhow::Result<Self> {
        let broker = BrokerArgs {
            brokers: brokers.to_owned(),
            partitions: config.partitions,
            compression: "none".to_owned(),
        };
        let mut feed = ChangeFeed::new(&broker, topic, &config)?;
        feed.send_initial()?;
        Self::with(config, topic, duration_s, Sending::Ready(Box::new(feed)))
    }

    fn with(config: CdcConfig, topic: &str, duration_s: u32, sending: Sending) -> anyhow::Result<Self> {
        let (entity, topic) = (config.entity, topic.to_owned());
        Ok(Self { entity, topic, world: CdcWorld::new(config)?, duration_s, sending })
    }

    /// Begins to send the changes, each when it is due.
    pub(crate) fn start(&mut self) -> anyhow::Result<()> {
        self.sending = match std::mem::replace(&mut self.sending, Sending::Embedded) {
            Sending::Ready(feed) => {
                let duration = Duration::from_secs(self.duration_s.into());
                Sending::UnderWay(PacedChanges::start(*feed, duration)?)
            }
            other => other,
        };
        Ok(())
    }

    /// Waits until the broker has everything.
    pub(crate) fn finish(&mut self) -> anyhow::Result<()> {
        self.sending = match std::mem::replace(&mut self.sending, Sending::Embedded) {
            Sending::UnderWay(changes) => Sending::Done(changes.finish()?.0),
            other => other,
        };
        Ok(())
    }

    /// The key's text of a number.
    pub(crate) fn key_text(&self, number: u64) -> String {
        self.world.key_text(number)
    }

    fn end_offset(&self) -> i64 {
        let end_ms = self.world.config().start_ms + i64::from(self.duration_s) * 1_000;
        self.world.end_offset_at(end_ms - 1)
    }

    /// What the tables must come to.
    pub(crate) fn truth(&self) -> anyhow::Result<CdcTruth> {
        let ends = vec![self.end_offset(); self.world.config().partitions.unsigned_abs() as usize];
        let truth = CdcTruth::up_to(&self.world, &ends)?;
        if let Sending::Done(sent) = &self.sending {
            anyhow::ensure!(
                sent.count() == truth.records,
                "{} changes of {} were sent instead of {}",
                sent.count(),
                self.entity.as_str(),
                truth.records
            );
        }
        Ok(truth)
    }

    /// When each change was made in the source. After [`Self::finish`].
    pub(crate) fn written_times(&self) -> anyhow::Result<WrittenTimes> {
        match &self.sending {
            Sending::Done(sent) => Ok(WrittenTimes { offsets: None, written_ms: sent.written_ms.clone() }),
            Sending::Embedded => self.computed_times(),
            Sending::Ready(_) | Sending::UnderWay(_) => anyhow::bail!("the changes are not all sent"),
        }
    }

    fn computed_times(&self) -> anyhow::Result<WrittenTimes> {
        let partitions = self.world.config().partitions;
        let initial_end = self.world.initial_end_offset();
        let end = self.end_offset();
        let mut sent = SentChanges::of_partitions(partitions);
        let mut offsets = vec![Vec::new(); partitions.unsigned_abs() as usize];
        for (index, partition) in (0..partitions).enumerate() {
            let mut log = CdcPartitionLog::in_world(self.world.clone(), partition)?;
            let mut batch = pulselake_model::RawBatch::at(partition, 0);
            let mut records = Vec::new();
            let last_ms = self.world.config().start_ms + i64::from(self.duration_s) * 1_000 - 1;
            while log.read_with(&mut batch, last_ms, usize::MAX, usize::MAX, |record| records.push(record))?
                == pulselake_generator::ReadOutcome::More
            {}
            for record in records.iter().filter(|record| record.offset < end) {
                sent.take(index, record, record.offset < initial_end, 0);
                offsets[index].push(record.offset);
            }
        }
        Ok(WrittenTimes { offsets: Some(offsets), written_ms: sent.written_ms })
    }

    /// Records that have to be consumed by the time the tables hold everything.
    pub(crate) fn has_all(&self, next_offset: impl Fn(i32) -> i64, times: &WrittenTimes) -> bool {
        let consumed: usize = (0..self.world.config().partitions)
            .map(|partition| times.between(partition, 0, next_offset(partition)).len())
            .sum();
        consumed as u64 >= times.count()
    }
}

/// Waits are counted, and the wait for changes is one of them.
pub(crate) fn finish_all(changes: &mut [EntityChanges]) -> anyhow::Result<()> {
    for of_entity in changes {
        let name = of_entity.entity.as_str();
        of_entity.finish().with_context(|| format!("can't send the changes of {name}"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn embedded_changes_have_the_times_of_the_log() {
        let events = GeneratorConfig { videos: 200, users: 100, ..GeneratorConfig::default() };
        let config = config(&events, Entity::Videos, Some(20.0));
        let changes = EntityChanges::embedded(config, "t", 30).unwrap();
        let (times, truth) = (changes.written_times().unwrap(), changes.truth().unwrap());
        assert_eq!(times.count(), truth.records);
        let written: Vec<i64> = (0..PARTITIONS)
            .flat_map(|partition| {
                times.between(partition, 0, i64::MAX).iter().flatten().copied().collect::<Vec<_>>()
            })
            .collect();
        assert!(written.len() > 300, "{}", written.len());
        assert!(written.iter().all(|time| (events.start_ms..events.start_ms + 30_000).contains(time)));
        assert!(changes.has_all(|_| i64::MAX, &times) && !changes.has_all(|_| 0, &times));
        let middle = changes.end_offset() / 2;
        let halves = [(0, middle), (middle, i64::MAX)].map(|(from, to)| times.between(1, from, to).len());
        assert_eq!(halves[0] + halves[1], times.between(1, 0, i64::MAX).len());
        assert!(times.between(9, 0, i64::MAX).is_empty());
    }
}
