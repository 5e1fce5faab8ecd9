//! Whether the ledgers can be relied on, and agree about what they describe.

use pulselake_ledger::Ledger;
use pulselake_model::tables::LakeTable;

use crate::inspect::ledgers::Ledgers;
use crate::inspect::report::{Check, Checks};

const TRUSTED: &str = "ledger.trusted";

/// The check that fails for a table whose ledger can't be relied on; `reason` says what to do.
pub(crate) fn untrusted(table: LakeTable, reason: &str) -> Vec<Check> {
    let mut checks = Checks::of(table.full_name());
    checks.holds(TRUSTED, false, "property and snapshot to agree", reason.to_owned());
    checks.into_list()
}

/// The checks of trusted ledgers.
pub(crate) fn ledger_checks(ledgers: &Ledgers) -> Vec<Check> {
    let tables = [
        (LakeTable::InvalidEventsContent, &ledgers.quarantine),
        (LakeTable::RawEvents, &ledgers.bronze),
        (LakeTable::VideoStats1Min, &ledgers.gold),
    ];
    let mut list = Vec::new();
    for (table, ledger) in tables {
        let mut checks = Checks::of(table.full_name());
        let found = if ledger.is_some() { "they do" } else { "no commit yet" };
        checks.holds(TRUSTED, true, "property and snapshot to agree", found.to_owned());
        list.extend(checks.into_list());
    }
    let present: Vec<(LakeTable, &Ledger)> =
        tables.into_iter().filter_map(|(table, ledger)| Some((table, ledger.as_ref()?))).collect();
    let mut checks = Checks::of("all tables");
    let sources = distinct(&present, |ledger| &ledger.cluster_id);
    checks.holds("ledger.same_source", sources.len() <= 1, "one source", listed(&sources));
    let decoders = distinct(&present, |ledger| &ledger.fingerprint);
    if decoders.len() <= 1 {
        checks.holds("ledger.same_decoder", true, "one decoder", listed(&decoders));
    } else {
        // A table's ledger changes with its next commit, and the quarantine has none while nothing is rejected.
        let found = format!(
            "{}: the settings were changed and not every table has committed since",
            listed(&decoders)
        );
        checks.note("ledger.same_decoder", "one decoder", found);
    }
    list.extend(checks.into_list());
    list
}

fn distinct<'a>(
    present: &[(LakeTable, &'a Ledger)],
    part: impl Fn(&'a Ledger) -> &'a String,
) -> Vec<(LakeTable, &'a str)> {
    let mut found: Vec<(LakeTable, &str)> = Vec::new();
    for &(table, ledger) in present {
        if found.iter().all(|(_, known)| *known != part(ledger)) {
            found.push((table, part(ledger)));
        }
    }
    found
}

fn listed(found: &[(LakeTable, &str)]) -> String {
    match found {
        [] => "none yet".to_owned(),
        [(_, only)] => (*only).to_owned(),
        several => {
            let texts: Vec<String> =
                several.iter().map(|(table, text)| format!("{text} ({})", table.full_name())).collect();
            texts.join(" and ")
        }
    }
}
