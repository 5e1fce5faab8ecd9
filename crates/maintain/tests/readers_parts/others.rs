//! Other programs that read and write the tables of the REST catalog.

use std::collections::HashMap;
use std::path::PathBuf;
use std::process::Command;

use iceberg::NamespaceIdent;
use iceberg::table::Table;
use serde_json::Value;

use crate::any_lake::service;
use crate::states::row_text;

type Rows = HashMap<String, Vec<String>>;

/// What PyIceberg said of a table.
#[derive(Debug, PartialEq, Eq)]
pub enum PyIceberg {
    Rows(Vec<String>),
    /// It can't apply equality deletes, and says so.
    Refused,
}

/// See the module.
pub struct Others {
    rest: String,
    namespace: String,
    /// Tables and their columns.
    tables: Vec<(String, Vec<String>)>,
}

impl Others {
    pub fn new(namespace: &NamespaceIdent, tables: &[Table]) -> Self {
        let described = tables.iter().map(|table| {
            let fields = table.metadata().current_schema().as_struct().fields();
            let columns = fields.iter().map(|field| field.name.clone()).collect();
            (table.identifier().name().to_owned(), columns)
        });
        Self {
            rest: service("PULSELAKE_TEST_REST"),
            namespace: namespace.to_url_string(),
            tables: described.collect(),
        }
    }

    /// All tables, by DuckDB and by PyIceberg.
    pub fn duckdb_and_pyiceberg(&self) -> (Rows, HashMap<String, PyIceberg>) {
        let tables = self.tables.iter().map(|(name, _)| format!("{}.{name}", self.namespace));
        let arguments = ["read".to_owned(), self.rest.clone()].into_iter().chain(tables);
        let said = python("foreign.py", arguments);
        let (mut duckdb, mut pyiceberg) = (Rows::new(), HashMap::new());
        for line in said.lines() {
            let read: Value = serde_json::from_str(line).unwrap();
            let (_, name) = read["table"].as_str().unwrap().split_once('.').unwrap();
            duckdb.insert(name.to_owned(), texts(&read["duckdb"]));
            let by_pyiceberg = match &read["pyiceberg"] {
                Value::Null => PyIceberg::Refused,
                rows => PyIceberg::Rows(texts(rows)),
            };
            pyiceberg.insert(name.to_owned(), by_pyiceberg);
        }
        (duckdb, pyiceberg)
    }

    /// PyIceberg appends one row.
    pub fn append_by_pyiceberg(&self, table: &str, id: i64) {
        let table = format!("{}.{table}", self.namespace);
        python("foreign.py", ["append".to_owned(), self.rest.clone(), table, row_text(id)]);
    }

    /// All tables, by Spark.
    pub fn spark(&self) -> Rows {
        let queries: Vec<String> = self.queries("STRING");
        let said = self.run_spark(&queries.iter().map(String::as_str).collect::<Vec<_>>());
        rows_by_table(said.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["line"].clone()))
    }

    /// Runs statements in Spark, in the catalog `lake`.
    pub fn run_spark(&self, statements: &[&str]) -> String {
        let mut command = Command::new(tool("spark-sql.sh"));
        command.arg(&self.rest).arg("--").args(statements);
        succeed(command, "Spark")
    }

    /// All tables, by Trino.
    pub fn trino(&self) -> Rows {
        let directory = PathBuf::from(service("PULSELAKE_TEST_SERVICES_DIR")).join("trino");
        let mut start = Command::new(tool("trino-up.sh"));
        start.arg(&directory).arg(&self.rest);
        let url = succeed(start, "Trino's start").trim().to_owned();
        let arguments = std::iter::once(url).chain(self.queries("VARCHAR"));
        let script = tool("trino_sql.py");
        let mut ask = Command::new(service("PULSELAKE_TEST_PYTHON"));
        ask.arg(script).args(arguments);
        let said = succeed(ask, "Trino");
        let mut stop = Command::new(tool("service-down.sh"));
        stop.arg(&directory);
        succeed(stop, "Trino's stop");
        rows_by_table(said.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()[0].clone()))
    }

    /// For each table a query for its rows as text behind its name.
    fn queries(&self, text: &str) -> Vec<String> {
        let of_table = |(name, columns): &(String, Vec<String>)| {
            let cells = columns.iter().map(|column| format!("coalesce(CAST({column} AS {text}), 'NULL')"));
            let cells = cells.collect::<Vec<_>>().join(", ");
            format!("SELECT concat_ws('|', '{name}', {cells}) AS line FROM lake.{}.{name}", self.namespace)
        };
        self.tables.iter().map(of_table).collect()
    }
}

fn rows_by_table(lines: impl Iterator<Item = Value>) -> Rows {
    let mut rows = Rows::new();
    for line in lines {
        let (name, row) = line.as_str().unwrap().split_once('|').unwrap();
        rows.entry(name.to_owned()).or_default().push(row.to_owned());
    }
    rows.values_mut().for_each(|found| found.sort());
    rows
}

fn texts(rows: &Value) -> Vec<String> {
    let mut texts: Vec<String> =
        rows.as_array().unwrap().iter().map(|row| row.as_str().unwrap().to_owned()).collect();
    texts.sort();
    texts
}

fn python(script: &str, arguments: impl IntoIterator<Item = String>) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/readers_parts").join(script);
    let mut command = Command::new(service("PULSELAKE_TEST_PYTHON"));
    command.arg(path).args(arguments).env("PYTHONPATH", repository("tests/verify"));
    succeed(command, script)
}

fn succeed(mut command: Command, what: &str) -> String {
    let output = command.output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{what} ended with {}:\n{said}{complaint}", output.status);
    said
}

fn tool(name: &str) -> PathBuf {
    repository("tests/tools").join(name)
}

fn repository(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
}
