//! Transactional producers: what they abort is in no table, what they hold open is waited for by nobody, and the
//! markers that they leave at the end of a partition keep nobody from being caught up or idle.

use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

use crate::common::engine::Engine;
use crate::common::kafka::{brokers, topic_ends, unique};
use crate::common::scene::Scene;
use crate::common::verify::fact;
use crate::common::{PATIENCE, poll};
use crate::support::{BRONZE, GOLD, ledger_entry};

const START_MS: i64 = 1_770_458_400_000;
const TIMEOUT: Duration = Duration::from_secs(60);

/// A producer of events, one each 20 ms of stream time in each partition.
struct Writer<'a> {
    producer: BaseProducer,
    scene: &'a Scene,
    at_ms: i64,
}

impl<'a> Writer<'a> {
    /// Its events begin at `start_s` of stream time.
    fn new(scene: &'a Scene, start_s: i64) -> Self {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", brokers()).set("transactional.id", unique("writer"));
        let producer: BaseProducer = config.create().unwrap();
        producer.init_transactions(TIMEOUT).unwrap();
        Self { producer, scene, at_ms: START_MS + start_s * 1_000 }
    }

    /// Opens a transaction and writes `count` events to each of the partitions.
    fn open(&mut self, partitions: &[i32], count: i64) {
        self.producer.begin_transaction().unwrap();
        for _ in 0..count {
            self.at_ms += 20;
            for partition in partitions {
                let event = format!(
                    r#"{{"event_id":"{}","event_timestamp":{},"video_id":"v{}","user_id":"u","event_type":"like","payload":{{"watch_time_ms":5}}}}"#,
                    unique("e"),
                    self.at_ms,
                    self.at_ms % 7
                );
                let record = BaseRecord::<(), _>::to(&self.scene.topic).partition(*partition);
                self.producer
                    .send(record.payload(&event).timestamp(self.at_ms))
                    .map_err(|(error, _)| error)
                    .unwrap();
            }
        }
        self.producer.flush(TIMEOUT).unwrap();
    }

    fn commit(&self) {
        self.producer.commit_transaction(TIMEOUT).unwrap();
    }

    fn abort(&self) {
        self.producer.abort_transaction(TIMEOUT).unwrap();
    }
}

/// Runs to the end; the tables hold exactly so many records, one by one those that read_committed gives.
fn run_and_verify(scene: &Scene, records: u64) {
    scene.run_to_end();
    assert_eq!(fact(&scene.verify_all(), "topic records"), records);
}

/// Waits until gold has counted so many records of each partition and holds none of their windows open.
fn wait_until_closed(engine: &mut Engine, scene: &Scene, records: [u64; 2]) {
    let mut seen = Vec::new();
    let closed = poll(PATIENCE, || {
        engine.assert_alive();
        seen = (0..2).map(|partition| ledger_entry(scene, GOLD, partition)["counts"].clone()).collect();
        let is_closed = |(counts, expected): (&serde_json::Value, u64)| {
            counts["records"].as_u64() == Some(expected) && counts["open"].as_u64() == Some(0)
        };
        seen.iter().zip(records).all(is_closed).then_some(())
    });
    assert!(closed.is_some(), "gold has {seen:?}, not {records:?} and none open:\n{}", engine.log().tail());
}

#[test]
#[ignore = "needs a broker: run through make test"]
fn aborted_records_are_in_no_table_and_open_transactions_hold_nobody_up() {
    let scene = Scene::new("transactions", 2);
    let mut writer = Writer::new(&scene, 0);
    writer.open(&[0, 1], 500);
    writer.commit();
    writer.open(&[0, 1], 300);
    writer.abort();
    writer.open(&[0, 1], 500);
    writer.commit();
    writer.open(&[1], 300);
    writer.abort();
    // Partition 1 ends with aborted records and the marker that says so.
    run_and_verify(&scene, 2_000);
    let ends = topic_ends(&scene.topic, 2);
    assert_eq!((ends[0], ends[1]), (1_303, 1_604));
    for partition in 0..2 {
        let bronze = ledger_entry(&scene, BRONZE, partition);
        assert_eq!(bronze["next"].as_i64(), Some(ends[partition as usize]), "{bronze}");
        assert_eq!(bronze["counts"]["gaps"].as_i64(), Some(ends[partition as usize] - 1_000), "{bronze}");
    }

    // What is committed behind an open transaction can't be read either.
    let mut holder = Writer::new(&scene, 60);
    holder.open(&[0], 200);
    writer.open(&[0, 1], 400);
    writer.commit();
    run_and_verify(&scene, 2_400);

    // A live engine stands at the last stable offset: idle, so its windows close.
    let mut engine = scene.start(&["kafka.group_mode=assign", "engine.idle_timeout_ms=300"]);
    wait_until_closed(&mut engine, &scene, [1_000, 1_400]);
    holder.commit();
    wait_until_closed(&mut engine, &scene, [1_600, 1_400]);
    // Aborted while it is read: nothing of it comes, and the records before it are still idle at the end.
    holder.open(&[0, 1], 100);
    writer.open(&[0, 1], 50);
    writer.commit();
    holder.abort();
    wait_until_closed(&mut engine, &scene, [1_650, 1_450]);
    engine.terminate();
    run_and_verify(&scene, 3_100);
}
