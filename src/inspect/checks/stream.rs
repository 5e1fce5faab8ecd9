//! Bronze and quarantine of one source partition: every record taken is a row of one of them.

use pulselake_generator::GeneratorConfig;
use pulselake_generator::world::INDEX_BITS;
use pulselake_ledger::{Ledger, PartitionLedger};

use crate::inspect::evidence::Evidence;
use crate::inspect::ledgers::{Ledgers, SourcePartition, entry, first_offset, replayed, signed};
use crate::inspect::marks::{Erased, Marks};
use crate::inspect::offsets::OffsetEvidence;
use crate::inspect::report::{Check, Checks};

/// So many missing offsets are named.
const OFFSETS_NAMED: usize = 3;

/// Its checks.
pub(super) fn checks(
    ledgers: &Ledgers,
    evidence: &Evidence,
    marks: &Marks,
    source: &SourcePartition,
) -> Vec<Check> {
    let erased = marks.erased(source);
    let nothing = OffsetEvidence::default();
    let quarantine = evidence.quarantine.get(source).unwrap_or(&nothing);
    let bronze = evidence.bronze.get(source).map_or(&nothing, |found| &found.offsets);
    let mut checks = Checks::of(source.to_string());
    quarantine_checks(&mut checks, ledgers, source, quarantine, erased);
    bronze_checks(&mut checks, ledgers, source, bronze, quarantine, erased);
    checks.into_list()
}

fn quarantine_checks(
    checks: &mut Checks,
    ledgers: &Ledgers,
    source: &SourcePartition,
    quarantine: &OffsetEvidence,
    erased: Erased,
) {
    let ledger = entry(ledgers.quarantine.as_ref(), source);
    let bronze = entry(ledgers.bronze.as_ref(), source);
    checks.equal(
        "quarantine.rows",
        signed(ledger.counts.quarantined) - signed(erased.quarantine),
        &format!("rows: quarantined by its ledger{}", less_erased(erased.quarantine)),
        signed(quarantine.rows()),
    );
    offset_checks(checks, quarantine, ("quarantine.offsets_distinct", "quarantine.offsets_consumed"), {
        // What it has rejected lies where bronze has been, or ahead of it after a crash between the two commits.
        let first = if ledgers.bronze.is_some() { first_offset(&bronze) } else { 0 };
        (first, ledger.next)
    });
    let rejected = signed(bronze.counts.quarantined);
    checks.between(
        "quarantine.rows_behind_bronze",
        rejected - signed(erased.quarantine)..=rejected,
        &format!("rows: quarantined by bronze's ledger{}", less_erased(erased.quarantine)),
        signed(quarantine.within(0, bronze.next)),
    );
}

fn bronze_checks(
    checks: &mut Checks,
    ledgers: &Ledgers,
    source: &SourcePartition,
    bronze: &OffsetEvidence,
    quarantine: &OffsetEvidence,
    erased: Erased,
) {
    let ledger = entry(ledgers.bronze.as_ref(), source);
    let counts = &ledger.counts;
    let entered = replayed(ledgers.bronze.as_ref(), source);
    checks.equal(
        "bronze.rows",
        signed(counts.records) - signed(counts.quarantined) + signed(entered.len()) - signed(erased.bronze),
        &format!(
            "rows: {} records - {} quarantined + {} replayed{}",
            counts.records,
            counts.quarantined,
            entered.len(),
            less_erased(erased.bronze)
        ),
        signed(bronze.rows()),
    );
    let first = first_offset(&ledger);
    offset_checks(
        checks,
        bronze,
        ("bronze.offsets_distinct", "bronze.offsets_consumed"),
        (first, ledger.next),
    );
    gap_check(checks, ledgers.bronze.as_ref(), &ledger, bronze, quarantine, erased);
    completeness_check(checks, &ledger, bronze, quarantine, erased);
    let mut unexplained = bronze.shared_with(quarantine).filter(|&offset| !entered.contains(offset));
    let example = unexplained.next();
    let count = example.iter().count() as u64 + unexplained.count() as u64;
    checks.none(
        "bronze.apart_from_quarantine",
        "no offset in both without a replay",
        count,
        example.map(offset_text),
    );
    let mut absent =
        entered.iter().filter(|&offset| !bronze.contains(offset) || !quarantine.contains(offset));
    let example = absent.next();
    let count = example.iter().count() as u64 + absent.count() as u64;
    checks.none(
        "bronze.replayed_in_both",
        &format!(
            "none of {} replayed offsets missing from bronze or quarantine{}",
            entered.len(),
            beside_erased(erased)
        ),
        count.saturating_sub(erased.any()),
        example.map(offset_text),
    );
}

/// Every offset that was consumed is a row, or known to be missing.
fn completeness_check(
    checks: &mut Checks,
    ledger: &PartitionLedger,
    bronze: &OffsetEvidence,
    quarantine: &OffsetEvidence,
    erased: Erased,
) {
    let (counts, first) = (&ledger.counts, first_offset(ledger));
    let covered = bronze.within_either(quarantine, first, ledger.next);
    let absent = ledger.next - first - signed(covered);
    if erased.any() > 0 {
        // An erased row of both tables is one offset, of one table too if the other still has it.
        let known = signed(counts.gaps + counts.lost);
        return checks.between(
            "bronze.offsets_complete",
            known..=known + signed(erased.any()),
            &format!(
                "of offsets {first}..{} in neither table: {} gaps + {} lost + at most {} erased",
                ledger.next,
                counts.gaps,
                counts.lost,
                erased.any()
            ),
            absent,
        );
    }
    checks.equal_or(
        "bronze.offsets_complete",
        signed(counts.gaps + counts.lost),
        &format!(
            "of offsets {first}..{} in neither table: {} gaps + {} lost",
            ledger.next, counts.gaps, counts.lost
        ),
        absent,
        || {
            let absent_offsets = bronze.in_neither(quarantine, first, ledger.next).take(OFFSETS_NAMED);
            let named: Vec<String> = absent_offsets.map(|offset| offset.to_string()).collect();
            if named.is_empty() {
                String::new()
            } else {
                format!(", the first at offsets {}", named.join(", "))
            }
        },
    );
}

/// Offsets without a record. The generator's lie behind its blocks; what other sources lack by their nature, the tables
/// can't tell from what was lost.
fn gap_check(
    checks: &mut Checks,
    ledger: Option<&Ledger>,
    own: &PartitionLedger,
    bronze: &OffsetEvidence,
    quarantine: &OffsetEvidence,
    erased: Erased,
) {
    let name = "bronze.gaps";
    let gaps = own.counts.gaps;
    let source = ledger.map_or("", |found| found.cluster_id.as_str());
    if GeneratorConfig::from_identity(source).is_some() {
        let (holes, first) = bronze.holes_in_blocks(quarantine, INDEX_BITS, own.next);
        return checks.none(
            name,
            &format!("no offset without a record inside a block of the generator{}", beside_erased(erased)),
            holes.saturating_sub(erased.any()),
            first.map(offset_text),
        );
    }
    let expected = "no offset without a record, by the ledger";
    if gaps == 0 {
        return checks.none(name, expected, 0, None);
    }
    let found = format!(
        "{gaps}: Kafka's transaction markers, aborted or compacted records, or a file's empty lines; whether a lost \
         record is among them only the source itself can tell"
    );
    checks.note(name, expected, found);
}

fn offset_checks(
    checks: &mut Checks,
    found: &OffsetEvidence,
    (distinct, consumed): (&'static str, &'static str),
    (first, next): (i64, i64),
) {
    let (repeated, example) = found.repeated();
    checks.none(distinct, "no source offset twice", repeated, example.map(offset_text));
    checks.none(consumed, &format!("no offset outside of {first}..{next}"), found.outside(first, next), None);
}

fn less_erased(rows: u64) -> String {
    if rows == 0 { String::new() } else { format!(" - {rows} erased") }
}

fn beside_erased(erased: Erased) -> String {
    match erased.any() {
        0 => String::new(),
        rows => format!(", beside {rows} erased rows"),
    }
}

fn offset_text(offset: i64) -> String {
    format!("offset {offset}")
}
