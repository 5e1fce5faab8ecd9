//! The operational database: PostgreSQL with logical decoding, and sessions on it.

use sqlx::postgres::PgConnection;
use sqlx::{Connection, Row};
use tokio::runtime::{Builder, Runtime};

use crate::services::Service;

/// A PostgreSQL of its own.
pub struct Database {
    service: Service,
    session: Session,
}

impl Database {
    /// Starts one whose log can be decoded.
    pub fn start() -> Self {
        let service = Service::start("postgres", "postgres-up.sh", &["wal_level=logical"]);
        let session = Session::open(&service.url);
        Self { service, session }
    }

    /// `postgres://user@host:port/database`.
    pub fn url(&self) -> &str {
        &self.service.url
    }

    /// Its port on the loopback interface.
    pub fn port(&self) -> &str {
        self.url().rsplit_once(':').unwrap().1.split('/').next().unwrap()
    }

    /// A further session, for a transaction that stays open.
    pub fn session(&self) -> Session {
        Session::open(self.url())
    }

    /// Runs one or more statements; several in one text are one transaction.
    #[track_caller]
    pub fn run(&mut self, sql: &str) {
        self.session.run(sql);
    }

    /// The texts in the first column that a query gives.
    #[track_caller]
    pub fn texts(&mut self, sql: &str) -> Vec<String> {
        self.session.texts(sql)
    }

    /// Its clock, milliseconds since the epoch.
    pub fn now_ms(&mut self) -> i64 {
        let sql = "SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint::text";
        self.texts(sql)[0].parse().unwrap()
    }
}

/// A connection.
pub struct Session {
    runtime: Runtime,
    connection: PgConnection,
}

impl Session {
    fn open(url: &str) -> Self {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let connection = runtime.block_on(PgConnection::connect(url)).unwrap();
        Self { runtime, connection }
    }

    /// Runs one or more statements.
    #[track_caller]
    pub fn run(&mut self, sql: &str) {
        let Self { runtime, connection } = self;
        let outcome = runtime.block_on(sqlx::raw_sql(sql).execute(connection));
        outcome.unwrap_or_else(|error| panic!("{error} at: {sql}"));
    }

    #[track_caller]
    fn texts(&mut self, sql: &str) -> Vec<String> {
        let Self { runtime, connection } = self;
        let rows = runtime.block_on(sqlx::raw_sql(sql).fetch_all(connection));
        let rows = rows.unwrap_or_else(|error| panic!("{error} at: {sql}"));
        rows.iter().map(|row| row.get(0)).collect()
    }
}
