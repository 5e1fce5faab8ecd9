//! What restatements have added to a table of windows, beside what it has consumed.
//!
//! A restatement's rows come from no source, so the ledger knows nothing of them. They are accounted for here: each
//! restatement sets the table property [`RESTATED_PROPERTY`], and every commit with a ledger repeats it in its summary, so
//! that a table that was rolled back says what is in it still.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Table property (and snapshot summary key) that holds the JSON of [`Restated`].
pub const RESTATED_PROPERTY: &str = "pulselake.restated";

/// What all restatements of a table so far have added.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restated {
    /// How many there were: the revision of the last one's rows.
    pub number: i32,
    /// What their rows add up to, by column.
    pub sums: BTreeMap<String, i64>,
}

impl Restated {
    /// What the property says; nothing where there is none.
    ///
    /// # Errors
    /// When it is not the JSON that this engine writes.
    pub fn of(text: Option<&str>) -> Result<Self, serde_json::Error> {
        text.map_or_else(|| Ok(Self::default()), serde_json::from_str)
    }

    /// The JSON.
    pub fn to_json(&self) -> String {
        serde_json::json!({ "number": self.number, "sums": self.sums }).to_string()
    }

    /// After one more restatement; `None` where a number or a sum does not fit any more.
    pub fn after(&self, added: &BTreeMap<String, i64>) -> Option<Self> {
        let mut sums = self.sums.clone();
        for (column, more) in added {
            let sum = sums.entry(column.clone()).or_default();
            *sum = sum.checked_add(*more)?;
        }
        Some(Self { number: self.number.checked_add(1)?, sums })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn restatements_add_up_and_are_numbered() {
        assert_eq!(Restated::of(None).unwrap(), Restated::default());
        let first = Restated::default().after(&BTreeMap::from([("likes".to_string(), 3)])).unwrap();
        let both = BTreeMap::from([("likes".to_string(), -5), ("shares".to_string(), 1)]);
        let second = first.after(&both).unwrap();
        assert_eq!(second.to_json(), r#"{"number":2,"sums":{"likes":-2,"shares":1}}"#);
        assert_eq!(Restated::of(Some(&second.to_json())).unwrap(), second);
        assert!(Restated::of(Some("{}")).is_err());
        let full = BTreeMap::from([("shares".to_string(), i64::MAX)]);
        assert_eq!(second.after(&full), None);
    }
}
