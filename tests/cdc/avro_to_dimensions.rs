//! Debezium's changes in Avro, by a converter of Connect, with a Confluent-compatible registry: Apicurio.

use crate::changes::Changes;
use crate::common::group::QUICK_GROUP;
use crate::common::kafka::unique;
use crate::common::{scaled, seed};
use crate::debezium_to_dimensions::evolve;
use crate::dimensions::Dimensions;
use crate::services::Service;
use crate::source::Source;

#[test]
#[ignore = "needs a broker and services: run through make test"]
fn avro_to_dimensions() {
    let registry = Service::start("schema-registry", "schema-registry-up.sh", &[]);
    let mut source = Source::start(&unique("avro"));
    let mut changes = Changes::new(seed());
    changes.fill(&mut source.database, scaled(50, 1_000));
    // The users come in JSON at first.
    source.videos.registry = Some(registry.url.clone());
    source.follow();

    let dimensions = Dimensions::of(&source, "avro");
    let url = format!("cdc.schema_registry_url={}/apis/ccompat/v7", registry.url);
    let settings = [&["cdc.commit_interval_ms=500", &url], &QUICK_GROUP[..]].concat();
    let mut engine = dimensions.start_engine(&settings);
    dimensions.wait_until_equal(&mut engine, "first snapshot");
    changes.make(&mut source.database, scaled(40, 400));
    dimensions.wait_until_equal(&mut engine, "live changes");

    evolve(&mut source);
    changes.make(&mut source.database, 20);
    dimensions.wait_until_equal(&mut engine, "columns added and widened");

    source.users.registry = Some(registry.url.clone());
    source.debezium.register(&source.users);
    changes.make(&mut source.database, scaled(40, 400));
    dimensions.wait_until_equal(&mut engine, "the users come in Avro too");

    engine.terminate();
    dimensions.scene.audit();
    let log = engine.log();
    assert!(log.count("schema_fetched") >= 3, "{}", log.tail());
    assert!(!log.has("generation_killed") && !log.has("changes_quarantined"), "{}", log.tail());
}
