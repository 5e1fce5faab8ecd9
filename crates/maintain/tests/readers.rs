//! Every state that a table can be in reads the same in other programs: DuckDB and PyIceberg, in the long form Trino and
//! Spark too. And other programs may write between our commits: nothing is lost, the ledger included.

#![allow(clippy::unwrap_used)]

mod any_lake;
#[path = "readers_parts/others.rs"]
mod others;
#[path = "readers_parts/states.rs"]
mod states;

use std::collections::HashMap;

use any_lake::{AnyLake, Kind, change, is_soak};
use futures::TryStreamExt;
use iceberg::TableIdent;
use iceberg::spec::TableMetadata;
use iceberg::table::Table;
use others::{Others, PyIceberg};
use pulselake_commit::{ChangeKind, Guard, Judgement, Riders, nearest_summary_value};
use pulselake_ledger::{AncestryVerdict, Ledger, PROPERTY, PartitionLedger, judge_ancestry};
use pulselake_maintain::compaction::{Compaction, TablePolicy, compact_table};
use pulselake_read::{PartitionPredicate, plan_table, read_table};

/// Rows as text, sorted: cells by '|', `NULL` for none.
async fn own_rows(table: &Table) -> Vec<String> {
    let batches: Vec<_> = read_table(table, None, None).await.unwrap().try_collect().await.unwrap();
    states::texts(&batches)
}

async fn has_equality_deletes(table: &Table) -> bool {
    let plan = plan_table(table, None, &PartitionPredicate::all()).await.unwrap();
    plan.deletes
        .iter()
        .any(|delete| delete.file().content_type() == iceberg::spec::DataContentType::EqualityDeletes)
}

async fn compact(lake: &AnyLake, table: &TableIdent) {
    let policy = TablePolicy { min_input_files: 2, ..TablePolicy::dimension("id") };
    let report = compact_table(lake.catalog.as_ref(), table, &Compaction::new(policy)).await.unwrap();
    assert!(report.groups > 0 && report.is_finished, "{report:?}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs services and the test tools: run through make test"]
async fn every_state_reads_the_same_everywhere() {
    let lake = AnyLake::new(Kind::Rest).await;
    let states = states::make_all(&lake).await;
    let mut expected = HashMap::new();
    let mut with_equality_deletes = Vec::new();
    for (table, rows) in &states {
        let loaded = lake.load(table).await;
        assert_eq!(own_rows(&loaded).await, *rows, "{table} by our own reader");
        expected.insert(table.name().to_owned(), rows.clone());
        if has_equality_deletes(&loaded).await {
            with_equality_deletes.push(table.name().to_owned());
        }
    }
    assert!(with_equality_deletes.len() >= 4, "{with_equality_deletes:?}");
    let tables: Vec<Table> =
        futures::future::join_all(states.iter().map(|(table, _)| lake.load(table))).await;
    let others = Others::new(&lake.namespace, &tables);

    let (duckdb, pyiceberg) = others.duckdb_and_pyiceberg();
    assert_same("DuckDB", &duckdb, &expected);
    for (name, read) in &pyiceberg {
        match read {
            PyIceberg::Rows(rows) => assert_eq!(rows, &expected[name], "{name} by PyIceberg"),
            // It has to say so: rows that come back from the dead would be a lie.
            PyIceberg::Refused => assert!(with_equality_deletes.contains(name), "PyIceberg refused {name}"),
        }
    }
    assert!(pyiceberg.values().filter(|read| matches!(read, PyIceberg::Rows(_))).count() >= 4);
    if !is_soak() {
        return;
    }
    assert_same("Spark", &others.spark(), &expected);
    assert_same("Trino", &others.trino(), &expected);
}

fn assert_same(reader: &str, found: &HashMap<String, Vec<String>>, expected: &HashMap<String, Vec<String>>) {
    let differ = expected.iter().filter(|(name, rows)| found.get(*name) != Some(rows));
    let differences: Vec<String> = differ
        .map(|(name, rows)| format!("{name} by {reader}:\n{:?}\ninstead of\n{rows:?}", found.get(name)))
        .collect();
    assert!(differences.is_empty(), "{}", differences.join("\n"));
    println!("{reader} reads {} tables as we do", expected.len());
}

/// A stream's guard in small: the ledger says how many commits there were.
struct Counting {
    number: i64,
}

impl Counting {
    fn ledger(&self) -> String {
        let mut ledger = Ledger::new("cluster", "decoder");
        let entry = PartitionLedger { next: self.number, seq: self.number, ..PartitionLedger::default() };
        ledger.topics.entry("events".to_string()).or_default().insert(0, entry);
        ledger.to_json()
    }
}

impl Guard for Counting {
    type Refusal = String;

    fn judge(&self, base: &TableMetadata) -> Result<Judgement, String> {
        let property = base.properties().get(PROPERTY).map(String::as_str);
        let before = Counting { number: self.number - 1 }.ledger();
        match judge_ancestry(property, nearest_summary_value(base, PROPERTY)).unwrap() {
            AncestryVerdict::Fresh if self.number == 1 => {}
            AncestryVerdict::Consistent(found) | AncestryVerdict::TrustProperty(found)
                if found.to_json() == before => {}
            other => return Err(format!("{other:?} before commit {}", self.number)),
        }
        let riders = HashMap::from([(PROPERTY.to_string(), self.ledger())]);
        Ok(Judgement::Commit(Riders { properties: riders.clone(), summary: riders }))
    }
}

/// A table that the stream and others write to in turns.
struct Shared {
    lake: AnyLake,
    table: TableIdent,
    expected: Vec<String>,
    commits: i64,
}

impl Shared {
    async fn our_append(&mut self) {
        self.commits += 1;
        let ids = [self.commits * 100, self.commits * 100 + 1];
        let file = states::append_file(&self.lake.load(&self.table).await, &ids).await;
        let append = change(ChangeKind::Append { files: vec![file] });
        self.lake.try_land(&self.table, &append, &Counting { number: self.commits }).await.unwrap();
        self.expected.extend(ids.iter().map(|id| states::row_text(*id)));
        self.check("our append").await;
    }

    async fn their_append(&mut self, others: &Others, id: i64) {
        others.append_by_pyiceberg(self.table.name(), id);
        self.expected.push(states::row_text(id));
        self.check("PyIceberg's append").await;
    }

    async fn our_compaction(&self) {
        compact(&self.lake, &self.table).await;
        self.check("our compaction").await;
    }

    /// All rows are there once, and the ledger says what our last commit said.
    async fn check(&self, after: &str) {
        let loaded = self.lake.load(&self.table).await;
        let mut expected = self.expected.clone();
        expected.sort();
        assert_eq!(own_rows(&loaded).await, expected, "after {after}");
        let metadata = loaded.metadata();
        let property = metadata.properties().get(PROPERTY).map(String::as_str);
        let ours = Counting { number: self.commits }.ledger();
        assert_eq!(property, Some(ours.as_str()), "after {after}");
        let verdict = judge_ancestry(property, nearest_summary_value(metadata, PROPERTY)).unwrap();
        assert!(
            matches!(verdict, AncestryVerdict::Consistent(_) | AncestryVerdict::TrustProperty(_)),
            "{verdict:?} after {after}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs services and the test tools: run through make test"]
async fn others_may_write_between_our_commits() {
    let lake = AnyLake::new(Kind::Rest).await;
    let table = states::create(&lake, "shared").await;
    let others = Others::new(&lake.namespace, &[lake.load(&table).await]);
    let mut shared = Shared { lake, table, expected: Vec::new(), commits: 0 };
    shared.our_append().await;
    shared.their_append(&others, 1).await;
    shared.our_append().await;
    shared.our_compaction().await;
    shared.their_append(&others, 2).await;
    shared.our_append().await;
    if is_soak() {
        let name = format!("{}.shared", shared.lake.namespace.to_url_string());
        others.run_spark(&[&format!(
            "CALL lake.system.rewrite_data_files(table => '{name}', options => map('rewrite-all', 'true'))"
        )]);
        shared.check("Spark's rewrite").await;
        shared.our_append().await;
        let newest = "older_than => TIMESTAMP '2999-01-01 00:00:00', retain_last => 1";
        let insert = format!("INSERT INTO lake.{name} VALUES {}", states::row_sql(3));
        others.run_spark(&[
            &insert,
            &format!("CALL lake.system.expire_snapshots(table => '{name}', {newest})"),
        ]);
        shared.expected.push(states::row_text(3));
        shared.check("Spark's append and expiry").await;
        assert_eq!(shared.lake.load(&shared.table).await.metadata().snapshots().count(), 1);
        shared.our_append().await;
    }
    shared.our_compaction().await;
    let (duckdb, _) = others.duckdb_and_pyiceberg();
    shared.expected.sort();
    assert_eq!(duckdb["shared"], shared.expected);
}
