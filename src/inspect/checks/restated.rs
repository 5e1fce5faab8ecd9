//! Gold's rows of restatements against what the restatements say that they added.

use std::collections::BTreeMap;

use crate::inspect::evidence::Evidence;
use crate::inspect::marks::Marks;
use crate::inspect::report::{Check, Checks};

/// Their checks; none for a table that was never restated.
pub(super) fn checks(evidence: &Evidence, marks: &Marks) -> Vec<Check> {
    let (found, recorded) = (&evidence.restated, &marks.restated);
    let mut checks = Checks::of("restatements");
    if found.rows == 0 && recorded.number == 0 {
        return checks.into_list();
    }
    let expected: BTreeMap<String, i64> = recorded
        .sums
        .iter()
        .filter(|(_, sum)| **sum != 0)
        .map(|(column, sum)| (column.clone(), *sum))
        .collect();
    let sums = found.sums_by_column();
    let said = format!("{}: what {} restatements have added", listed(&expected), recorded.number);
    match marks.is_gold_erased && sums != expected {
        true => {
            let why = "rows of a video were erased from gold";
            checks.note("gold.restated", &said, format!("{}; {why}", listed(&sums)));
        }
        false => checks.holds("gold.restated", sums == expected, &said, listed(&sums)),
    }
    let (lowest, highest) = found.revisions.unwrap_or((1, recorded.number));
    checks.holds(
        "gold.restated_revisions",
        lowest >= 1 && highest <= recorded.number,
        &format!("revisions from 1 to {}", recorded.number),
        format!("{lowest} to {highest}"),
    );
    checks.none(
        "gold.grain_distinct",
        "no video, window and revision twice",
        found.repeated_grains,
        found.repeated_example.clone(),
    );
    checks.note(
        "gold.as_streamed",
        "gold to be what real time has counted",
        format!("{} rows of restatements beside it; the other checks leave them out", found.rows),
    );
    checks.into_list()
}

fn listed(sums: &BTreeMap<String, i64>) -> String {
    if sums.is_empty() {
        return "no difference".to_owned();
    }
    sums.iter().map(|(column, sum)| format!("{column} {sum:+}")).collect::<Vec<_>>().join(", ")
}
