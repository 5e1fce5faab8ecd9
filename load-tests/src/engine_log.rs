//! What the engine says in its log (JSON lines on standard error; `--set log.format=json`).

use serde_json::Value;

/// The log so far.
pub(crate) struct EngineLog {
    text: String,
}

/// A commit that the engine has logged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LoggedCommit {
    pub(crate) table: String,
    pub(crate) rows: u64,
    pub(crate) files: u64,
    pub(crate) bytes: u64,
}

impl EngineLog {
    pub(crate) fn of(text: String) -> Self {
        Self { text }
    }

    /// All log events of this name.
    pub(crate) fn events<'a>(&'a self, name: &'a str) -> impl Iterator<Item = Value> + 'a {
        // A cheap look first: parsing every line of a long run takes longer than finding the few.
        let lines = self.text.lines().filter(move |line| line.contains(name));
        lines
            .filter_map(|line| serde_json::from_str(line).ok())
            .filter(move |event: &Value| event["event"] == name)
    }

    /// Every line that is an object, in the order in which they were written.
    pub(crate) fn objects(&self) -> impl Iterator<Item = Value> + '_ {
        self.text.lines().filter_map(|line| serde_json::from_str(line).ok()).filter(Value::is_object)
    }

    /// Where metrics can be asked for.
    pub(crate) fn http_address(&self) -> Option<String> {
        Some(self.events("http_listening").next()?["address"].as_str()?.to_owned())
    }

    pub(crate) fn commits(&self) -> Vec<LoggedCommit> {
        let number = |event: &Value, field: &str| event[field].as_u64().unwrap_or(0);
        let commit = |event: Value| LoggedCommit {
            table: event["table"].as_str().unwrap_or_default().to_owned(),
            rows: number(&event, "rows"),
            files: number(&event, "files"),
            bytes: number(&event, "bytes"),
        };
        self.events("commit_done").map(commit).collect()
    }

    /// Records of a bounded run, from its last words.
    pub(crate) fn records_read(&self) -> Option<u64> {
        let last_words = self.text.lines().rev().find(|line| line.starts_with("caught up: "))?;
        last_words.split_whitespace().nth(2)?.parse().ok()
    }

    /// The last lines, for messages.
    pub(crate) fn tail(&self) -> String {
        let lines: Vec<&str> = self.text.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = r#"{"level":"INFO","event":"http_listening","address":"127.0.0.1:4711","message":"…"}
{"level":"INFO","event":"commit_done","table":"bronze.raw_events","rows":10,"files":2,"bytes":99,"message":"committed"}
not JSON, commit_done
caught up: 2000000 records read, 0 of them quarantined, all committed
"#;

    #[test]
    fn events_are_found_between_other_lines() {
        let log = EngineLog::of(LOG.to_owned());
        assert_eq!(log.http_address().as_deref(), Some("127.0.0.1:4711"));
        let expected = LoggedCommit { table: "bronze.raw_events".to_owned(), rows: 10, files: 2, bytes: 99 };
        assert_eq!(log.commits(), [expected]);
        assert_eq!(log.objects().count(), 2);
        assert_eq!(log.records_read(), Some(2_000_000));
        assert_eq!(EngineLog::of(String::new()).records_read(), None);
    }
}
