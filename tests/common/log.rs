//! What an engine has logged so far: JSON lines, and whatever else went to standard error.

use std::collections::BTreeSet;

use serde_json::Value;

/// Log of one engine process.
pub struct Log {
    /// All of standard error.
    pub text: String,
}

impl Log {
    /// The lines that are log events of this name.
    pub fn events(&self, name: &str) -> Vec<Value> {
        // Cheap first: most lines are other events, and conditions are asked often.
        let lines = self.text.lines().filter(|line| line.contains(name));
        let events = lines.filter_map(event_in);
        events.filter(|event| event["event"] == name).collect()
    }

    /// How many events of this name there are.
    pub fn count(&self, name: &str) -> usize {
        self.events(name).len()
    }

    /// Whether there is an event of this name.
    pub fn has(&self, name: &str) -> bool {
        self.count(name) > 0
    }

    /// Commits of a table that landed.
    pub fn commits(&self, table: &str) -> usize {
        self.events("commit_done").iter().filter(|event| event["table"] == table).count()
    }

    /// The partitions that the process has now, by the hand-outs that it reported.
    pub fn assigned(&self) -> BTreeSet<i32> {
        let mut assigned = BTreeSet::new();
        for event in self.events("rebalanced") {
            assigned.extend(numbers(&event["assigned"]));
            for partition in numbers(&event["revoked"]) {
                assigned.remove(&partition);
            }
        }
        assigned
    }

    /// Records that the process read for bronze, as its last line says.
    pub fn records_read(&self) -> u64 {
        let line = self.text.lines().rev().find(|line| line.contains(" records read, "));
        let count = line.and_then(|line| line.split(": ").nth(1)?.split(' ').next()?.parse().ok());
        count.unwrap_or_else(|| {
            panic!("the last line does not say how many records were read:\n{}", self.tail())
        })
    }

    /// The last lines, for messages.
    pub fn tail(&self) -> String {
        let lines: Vec<&str> = self.text.lines().collect();
        lines[lines.len().saturating_sub(60)..].join("\n")
    }
}

/// The numbers in a text such as `[0, 3]`.
fn numbers(list: &Value) -> Vec<i32> {
    let text = list.as_str().unwrap_or_default();
    text.split(|c: char| !c.is_ascii_digit()).filter_map(|number| number.parse().ok()).collect()
}

/// The event in a line. What a panic says may stand before or behind it: both go to standard error.
fn event_in(line: &str) -> Option<Value> {
    let event = &line[line.find(r#"{"timestamp""#)?..];
    serde_json::Deserializer::from_str(event).into_iter().next()?.ok()
}
