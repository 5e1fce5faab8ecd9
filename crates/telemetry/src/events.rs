//! The log events that matter, one function each: wording and fields come from here, so that a search or an alert
//! finds them all. Every one has the field `event`.

use std::time::{Duration, Instant};

use pulselake_model::tables::LakeTable;
use pulselake_model::{Entity, ErrorCode};
use tracing::{error, info, warn};

use crate::handles::CommitFigures;
use crate::rate_limit::BurstLimit;

/// Time between two lines about quarantined records.
const QUARANTINE_INTERVAL: Duration = Duration::from_secs(10);

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// The service begins.
pub fn service_started(version: &str, source: &str, data_dir: &str, shards: usize) {
    info!(event = "service_started", version, source, data_dir, shards, "pulselake starts");
}

/// Pages, API, metrics and health can be asked for here.
pub fn http_listening(address: &str) {
    info!(event = "http_listening", address, "pages, API, metrics and health are served");
}

/// The service ends as it should.
pub fn service_stopped(reason: &str) {
    info!(event = "service_stopped", reason, "pulselake has stopped");
}

/// A commit has landed.
pub fn commit_done(table: LakeTable, snapshot_id: i64, figures: CommitFigures, partitions: usize) {
    info!(
        event = "commit_done",
        table = table.full_name(),
        snapshot_id,
        rows = figures.rows,
        files = figures.files,
        bytes = figures.bytes,
        duration_ms = millis(figures.duration),
        partitions,
        "committed"
    );
}

/// The answer of a commit was lost; its outcome is looked up before anything else happens.
pub fn commit_outcome_unknown(table: LakeTable, commit_id: &str, reason: &str) {
    warn!(
        event = "commit_outcome_unknown",
        table = table.full_name(),
        commit_id,
        reason,
        "the outcome of a commit is unknown, looking it up"
    );
}

/// A commit failed and will be tried again.
pub fn commit_retry(table: LakeTable, attempt: u32, retry_in: Duration, reason: &str) {
    warn!(
        event = "commit_retry",
        table = table.full_name(),
        attempt,
        retry_in_ms = millis(retry_in),
        reason,
        "a commit failed, trying again"
    );
}

/// Another owner has gone on with a partition: this one's work is thrown away, nothing is lost.
pub fn fenced(table: LakeTable, partition: i32, generation: u64, reason: &str) {
    warn!(
        event = "fenced",
        table = table.full_name(),
        partition,
        generation,
        reason,
        "another owner has gone on with this partition, starting again from its ledger"
    );
}

/// A file that no snapshot refers to could not be deleted; a janitor finds it later.
pub fn orphan_left(table: LakeTable, path: &str, reason: &str) {
    warn!(
        event = "orphan_left",
        table = table.full_name(),
        path,
        reason,
        "an unused file could not be deleted"
    );
}

/// A ledger stands in the table's property but in no snapshot that is left; the property is trusted.
pub fn ledger_without_snapshot(table: LakeTable) {
    warn!(
        event = "ledger_without_snapshot",
        table = table.full_name(),
        "no snapshot with a ledger is left, the table's property is trusted"
    );
}

/// A maintenance run has ended well.
pub fn maintenance_done(table: &str, done: &str, took: Duration) {
    info!(event = "maintenance_done", table, done, took_ms = millis(took), "maintenance done");
}

/// A maintenance run failed; the tables are as they were, and it will be tried again.
pub fn maintenance_failed(table: &str, step: &str, retry_in: Duration, reason: &str) {
    warn!(
        event = "maintenance_failed",
        table,
        step,
        retry_in_ms = millis(retry_in),
        reason,
        "maintenance failed, trying again later; the table is as good as before"
    );
}

/// Another process maintains the table.
pub fn maintenance_left_to_another(table: &str, holder: &str) {
    tracing::debug!(
        event = "maintenance_left_to_another",
        table,
        holder,
        "another process maintains this table"
    );
}

/// The catalog is locked at the start; it is asked again until `left` has passed.
pub fn catalog_waited_for(left: Duration, reason: &str) {
    warn!(
        event = "catalog_waited_for",
        give_up_in_ms = left.as_millis() as u64,
        reason,
        "the catalog is locked, waiting for it"
    );
}

/// A shard's generation runs.
pub fn generation_started(shard: &str, generation: u64, partitions: &[i32]) {
    info!(event = "generation_started", shard, generation, ?partitions, "shard runs");
}

/// A shard's generation was killed and the next one will start.
pub fn generation_killed(
    shard: &str,
    generation: u64,
    cause: &str,
    restart_in: Duration,
    restarts_left: usize,
) {
    warn!(
        event = "generation_killed",
        shard,
        generation,
        cause,
        restart_in_ms = millis(restart_in),
        restarts_left,
        "shard failed, starting again from what is committed"
    );
}

/// A shard has failed too often: the service gives up.
pub fn restart_budget_spent(shard: &str, restarts: usize, within: Duration, cause: &str) {
    error!(
        event = "restart_budget_spent",
        shard,
        restarts,
        within_ms = millis(within),
        cause,
        "shard fails again and again, giving up: mend the cause and start again, what is committed stays"
    );
}

/// An actor has not answered for too long. `run` names the shard's generation, or the shared services.
pub fn heartbeat_missed(actor: &str, run: &str, silent_for: Duration) {
    warn!(
        event = "heartbeat_missed",
        actor,
        run,
        silent_for_ms = millis(silent_for),
        "an actor does not answer, its run is given up"
    );
}

/// Partitions came or went.
pub fn rebalanced(stream: &str, assigned: &[i32], revoked: &[i32]) {
    info!(event = "rebalanced", stream, ?assigned, ?revoked, "partitions were handed out anew");
}

/// No partition is this process's, and has not been for so long.
pub fn waiting_for_partitions(stream: &str, waited: Duration) {
    info!(
        event = "waiting_for_partitions",
        stream,
        waited_ms = millis(waited),
        "no partition is assigned to this process: the group has more members than the topic has partitions, or still shares them out; it waits until one is free (kafka.group_mode = \"assign\" takes all of them without a group)"
    );
}

/// Records went to quarantine; a burst makes one line at once and then one per 10 seconds.
pub fn quarantined(partition: i32, by_code: &[u64; ErrorCode::COUNT], example: &str) {
    static LIMIT: BurstLimit = BurstLimit::new(QUARANTINE_INTERVAL);
    let count: u64 = by_code.iter().sum();
    if count == 0 {
        return;
    }
    let Some(records) = LIMIT.add(count, Instant::now()) else { return };
    warn!(
        event = "quarantined",
        records,
        partition,
        codes = codes_of(by_code),
        example,
        "records went to quarantine since the last such line; see pulselake quarantine list"
    );
}

fn codes_of(by_code: &[u64; ErrorCode::COUNT]) -> String {
    let present = ErrorCode::ALL.into_iter().filter(|code| by_code[*code as usize] > 0);
    present.map(ErrorCode::as_str).collect::<Vec<_>>().join(",")
}

/// Changes of an entity went to quarantine; a burst makes one line at once and then one per 10 seconds.
pub fn changes_quarantined(entity: Entity, by_code: &[u64; ErrorCode::COUNT]) {
    static LIMIT: BurstLimit = BurstLimit::new(QUARANTINE_INTERVAL);
    let count: u64 = by_code.iter().sum();
    if count == 0 {
        return;
    }
    let Some(records) = LIMIT.add(count, Instant::now()) else { return };
    warn!(
        event = "changes_quarantined",
        records,
        entity = entity.as_str(),
        codes = codes_of(by_code),
        "changes went to quarantine since the last such line; see the table bronze.invalid_events_cdc_*"
    );
}

/// The source's table has changed, and the dimension's columns follow it.
pub fn dimension_evolved(entity: Entity, changes: &[String]) {
    info!(
        event = "dimension_evolved",
        entity = entity.as_str(),
        changes = changes.join(", "),
        "columns of the dimension and of its history follow the source"
    );
}

/// A schema that records in Avro name was fetched.
pub fn schema_fetched(id: u32, bytes: usize) {
    info!(event = "schema_fetched", id, bytes, "the schema that records of changes name is read");
}

/// The schema registry can't be asked; changes that need it wait. Said at once and then twice a minute.
pub fn schema_registry_away(id: u32, waited: Duration, reason: &str) {
    warn!(
        event = "schema_registry_away",
        id,
        waited_ms = millis(waited),
        reason,
        "the schema registry can't be asked for a schema that records of changes name; their partition waits, and it is asked again"
    );
}

/// The schema registry answers again.
pub fn schema_registry_back(waited: Duration) {
    info!(
        event = "schema_registry_back",
        waited_ms = millis(waited),
        "the schema registry answers; changes go on"
    );
}

/// The last version of each key was read from the history, to start from.
pub fn versions_loaded(entity: Entity, keys: usize, bytes: usize, took: Duration) {
    info!(
        event = "versions_loaded",
        entity = entity.as_str(),
        keys,
        bytes,
        took_ms = millis(took),
        "last versions read from the history"
    );
}

/// The source has deleted records that were not consumed, and the settings say to go on.
pub fn data_loss_gap(topic: &str, partition: i32, from_offset: i64, to_offset: i64) {
    error!(
        event = "data_loss_gap",
        topic,
        partition,
        from_offset,
        to_offset,
        lost = to_offset.saturating_sub(from_offset),
        "the source deleted records before they were consumed, going on behind them"
    );
}

/// A replay refilled the open windows with another number of events than was committed: records were lost at the source,
/// or settings have changed. The difference is booked in gold's ledger, so that its counts still explain the table.
pub fn replay_difference(partition: i32, committed_open: u64, refilled_open: u64) {
    warn!(
        event = "replay_difference",
        partition,
        committed_open,
        refilled_open,
        "open windows were refilled with another number of events than before"
    );
}

/// Bronze has events of types that this version does not know: a newer one wrote them. They count as rejected, as this
/// version's decoder would have judged them.
pub fn unknown_event_types(partition: i32, events: usize, example: &str) {
    warn!(
        event = "unknown_event_types",
        partition,
        events,
        example,
        "bronze has events of types that this version does not know, gold is refilled without them: run the version that wrote them"
    );
}

/// A partition is paused, or goes on, because of back-pressure.
pub fn partition_paused(partition: i32, paused: bool) {
    tracing::debug!(event = "partition_paused", partition, paused, "back-pressure");
}

/// The last commits are being made.
pub fn drain_started(reason: &str, timeout: Duration) {
    info!(event = "drain_started", reason, timeout_ms = millis(timeout), "draining");
}

/// The last commits are made, or the time for them is over.
pub fn drain_finished(complete: bool, took: Duration, reason: &str) {
    let took_ms = millis(took);
    if complete {
        info!(event = "drain_finished", complete, took_ms, "drained, everything taken is committed");
        return;
    }
    warn!(
        event = "drain_finished",
        complete,
        took_ms,
        reason,
        "not everything taken is committed: the rest is read again at the next start"
    );
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::Arc;

    use parking_lot::Mutex;

    use super::*;

    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);

    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn lines_of(log: impl FnOnce()) -> Vec<serde_json::Value> {
        let sink = Sink::default();
        let writer = sink.clone();
        let subscriber =
            tracing_subscriber::fmt().json().flatten_event(true).with_writer(move || writer.clone()).finish();
        tracing::subscriber::with_default(subscriber, log);
        let bytes = sink.0.lock().clone();
        String::from_utf8(bytes).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[test]
    fn an_event_has_its_name_and_fields() {
        let figures = CommitFigures { rows: 10, files: 1, bytes: 999, duration: Duration::from_millis(12) };
        let lines = lines_of(|| commit_done(LakeTable::RawEvents, 77, figures, 3));
        assert_eq!(lines.len(), 1);
        assert_eq!(lines[0]["event"], "commit_done");
        assert_eq!(lines[0]["table"], "bronze.raw_events");
        assert_eq!(lines[0]["snapshot_id"], 77);
        assert_eq!(lines[0]["duration_ms"], 12);
        assert_eq!(lines[0]["level"], "INFO");
    }

    #[test]
    fn a_burst_into_quarantine_makes_one_line() {
        let mut by_code = [0; ErrorCode::COUNT];
        by_code[ErrorCode::MalformedJson as usize] = 2;
        by_code[ErrorCode::TooLarge as usize] = 1;
        let lines = lines_of(|| {
            for _ in 0..1_000 {
                quarantined(4, &by_code, "line 1");
            }
            quarantined(4, &[0; ErrorCode::COUNT], "none");
        });
        assert_eq!(lines.len(), 1);
        assert_eq!(lines[0]["records"], 3);
        assert_eq!(lines[0]["codes"], "MALFORMED_JSON,TOO_LARGE");
    }

    #[test]
    fn an_incomplete_drain_is_a_warning() {
        let lines = lines_of(|| {
            drain_finished(true, Duration::from_secs(1), "");
            drain_finished(false, Duration::from_secs(30), "no time left");
        });
        assert_eq!(lines[0]["level"], "INFO");
        assert_eq!(lines[1]["level"], "WARN");
    }
}
