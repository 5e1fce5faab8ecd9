//! Why a run failed, in sentences: which limit was missed and by how much, what the audit found, which fault cannot be seen.

use super::figure_name::FigureKind;
use super::outcome::{LimitOutcome, RunOutcome};
use super::report::numbers::with_unit;

/// One sentence for each reason to call the run failed; none of a run without problems, whose limits and audit hold and
/// whose faults can all be seen.
#[must_use]
pub fn reasons_to_fail(outcome: &RunOutcome) -> Vec<String> {
    let missed = outcome.limits.iter().filter(|limit| !limit.met).map(missed_limit);
    let unseen = outcome.faults.iter().filter(|fault| fault.evidence.is_empty()).map(|fault| {
        format!(
            "the fault {} at {:.0} s does not show in the engine's metrics or log",
            fault.kind, fault.from_s
        )
    });
    let audit = (!outcome.audit.passed).then(|| match outcome.audit.findings.as_slice() {
        [] => "the audit did not pass, and says nothing more".to_owned(),
        [only] => format!("the tables differ from the truth: {only}"),
        [first, rest @ ..] => {
            format!("the tables differ from the truth: {first}, and {} more", rest.len())
        }
    });
    outcome.problems.iter().cloned().chain(audit).chain(missed).chain(unseen).collect()
}

/// Such as "bronze_p95_s is 3.4 s: 70 % over the limit of 2 s".
fn missed_limit(limit: &LimitOutcome) -> String {
    let unit = FigureKind::of(&limit.name).unit();
    let allowed = with_unit(limit.limit, unit);
    let Some(measured) = limit.measured.filter(|measured| measured.is_finite()) else {
        return format!("{} was not measured, so its limit of {allowed} is not met", limit.name);
    };
    let (side, distance) = if limit.side == "at_least" {
        ("under", limit.limit - measured)
    } else {
        ("over", measured - limit.limit)
    };
    // A limit of nothing at all has no percentage.
    let by = if limit.limit > 0.0 {
        format!("{:.0} %", distance / limit.limit * 100.0)
    } else {
        with_unit(distance, unit)
    };
    format!("{} is {}: {by} {side} the limit of {allowed}", limit.name, with_unit(measured, unit))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::example;

    fn limit(name: &str, side: &str, allowed: f64, measured: Option<f64>) -> LimitOutcome {
        LimitOutcome { name: name.to_owned(), side: side.to_owned(), limit: allowed, measured, met: false }
    }

    #[test]
    fn a_good_run_has_no_reasons() {
        assert_eq!(reasons_to_fail(&example::steady(1)), Vec::<String>::new());
    }

    #[test]
    fn a_missed_limit_says_by_how_much() {
        for (limit, expected) in [
            (
                limit("bronze_p95_s", "at_most", 2.0, Some(3.4)),
                "bronze_p95_s is 3.4 s: 70 % over the limit of 2 s",
            ),
            (
                limit("committed_per_s", "at_least", 1000.0, Some(900.0)),
                "committed_per_s is 900/s: 10 % under the limit of 1,000/s",
            ),
            (
                limit("lag_records_end", "at_most", 0.0, Some(5.0)),
                "lag_records_end is 5 records: 5 records over the limit of 0 records",
            ),
            (
                limit("gold_p95_s", "at_most", 70.0, None),
                "gold_p95_s was not measured, so its limit of 70 s is not met",
            ),
        ] {
            assert_eq!(missed_limit(&limit), expected);
        }
    }

    #[test]
    fn findings_and_unseen_faults_are_reasons() {
        let mut outcome = example::with_faults(1);
        outcome.faults[0].evidence.clear();
        outcome.problems = vec!["the engine ended by itself".to_owned()];
        outcome.audit.passed = false;
        outcome.audit.findings = vec!["bronze holds 1 record too few".to_owned(), "gold".to_owned()];
        let reasons = reasons_to_fail(&outcome);
        assert_eq!(reasons[0], "the engine ended by itself");
        assert_eq!(reasons[1], "the tables differ from the truth: bronze holds 1 record too few, and 1 more");
        assert!(reasons.iter().any(|reason| reason.contains("engine_kill")), "{reasons:?}");
    }
}
