//! Laws of the comparison over whole runs.

use proptest::prelude::*;

use super::*;
use crate::load::example::{self, Recipe};

fn verdict(comparison: &Comparison, name: &str) -> Verdict {
    comparison.rows.iter().find(|row| row.name == name).unwrap().verdict
}

fn worse(comparison: &Comparison) -> Vec<&str> {
    let rows = comparison.rows.iter().filter(|row| row.verdict == Verdict::Worse);
    rows.map(|row| row.name.as_str()).collect()
}

/// What a level of a made-up run moves.
const MOVED: [&str; 4] = ["bronze_p50_s", "bronze_p95_s", "cpu_s_per_million", "resident_mib_mean"];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn a_run_compared_with_itself_is_never_worse(
        seed: u64, noise in 0.0..0.8_f64, memory in 0.0..0.95_f64, length_s in 10..400_u32,
    ) {
        let run = Recipe { seed, length_s, noise, memory, level: 1.0 }.cook();
        let comparison = compare(&run, &run);
        prop_assert_eq!(comparison.exit_code(), 0);
        let is_called = |row: &Row| [Verdict::Worse, Verdict::Better].contains(&row.verdict);
        prop_assert!(!comparison.rows.iter().any(is_called), "{}", comparison);
    }

    #[test]
    fn a_shift_of_a_fifth_with_little_noise_is_found(seed: u64, noise in 0.0..0.05_f64, memory in 0.0..0.6_f64) {
        let a = Recipe { seed, noise, memory, ..Recipe::new(0) }.cook();
        let b = Recipe { seed: seed ^ 1, noise, memory, level: 1.2, ..Recipe::new(0) }.cook();
        let (there, back) = (compare(&a, &b), compare(&b, &a));
        prop_assert_eq!(there.exit_code(), 3);
        prop_assert_eq!(back.exit_code(), 0);
        for name in MOVED {
            prop_assert_eq!(verdict(&there, name), Verdict::Worse, "{}\n{}", name, &there);
            prop_assert_eq!(verdict(&back, name), Verdict::Better, "{}\n{}", name, &back);
        }
    }
}

/// Noise as large as the shift: levels that spread by a half and stay for some twenty seconds, so that the mean of a run of
/// 270 s is off by 13 % and the difference of two by 19 %. Seconds taken as independent would call most of these.
#[test]
fn the_same_shift_in_noise_as_large_is_not_called() {
    let pairs = 60;
    let called = (0..pairs).filter(|seed| {
        let noisy = Recipe { noise: 0.5, memory: 0.9, ..Recipe::new(0) };
        let a = Recipe { seed: seed * 2, ..noisy }.cook();
        let b = Recipe { seed: seed * 2 + 1, level: 1.2, ..noisy }.cook();
        verdict(&compare(&a, &b), "bronze_p95_s") == Verdict::Worse
    });
    let called = called.count();
    assert!(called * 8 <= pairs as usize, "{called} of {pairs}");
}

/// The same between runs: each run quiet in itself, but at a level of its own.
#[test]
fn runs_that_spread_as_much_as_the_shift_hide_it_and_runs_that_agree_show_it() {
    let side = |first_seed: u64, levels: [f64; 3]| {
        let runs = levels.iter().zip(first_seed..);
        runs.map(|(level, seed)| Recipe { level: *level, ..Recipe::new(seed) }.cook()).collect::<Vec<_>>()
    };
    let (a, shifted) = (side(1, [0.8, 1.0, 1.2]), side(4, [1.0, 1.2, 1.4]));
    let spread = compare_sides(&a, &shifted, &[]);
    assert_eq!(worse(&spread), Vec::<&str>::new(), "{spread}");
    let alike = compare_sides(&side(1, [0.99, 1.0, 1.01]), &side(4, [1.19, 1.2, 1.21]), &[]);
    for name in MOVED {
        assert_eq!(verdict(&alike, name), Verdict::Worse, "{alike}");
    }
    // One pair out of the spread would have been called: only the other runs tell that it means nothing.
    assert_eq!(compare(&a[0], &shifted[2]).exit_code(), 3);
}

#[test]
fn equal_runs_are_rarely_called_worse() {
    let pairs = 150;
    let recipe = |seed| Recipe { seed, noise: 0.3, memory: 0.7, ..Recipe::new(0) };
    let called = (0..pairs)
        .filter(|pair| {
            compare(&recipe(1_000 + pair * 2).cook(), &recipe(1_001 + pair * 2).cook()).exit_code() == 3
        })
        .count();
    assert!(called <= 6, "{called} of {pairs}");
}

#[test]
fn the_same_reports_give_the_same_text() {
    let (a, b) = (example::steady(1), example::with_faults(2));
    assert_eq!(compare(&a, &b).to_string(), compare(&a, &b).to_string());
}

#[test]
fn an_audit_that_failed_is_worse_than_any_figure() {
    let a = example::steady(1);
    let mut b = a.clone();
    b.audit.passed = false;
    let comparison = compare(&a, &b);
    assert!(
        comparison.exit_code() == 3 && comparison.to_string().contains("audit passed in A and failed in B")
    );
    assert_eq!(compare(&b, &a).exit_code(), 0);
}

#[test]
fn other_phases_leave_only_what_does_not_depend_on_them() {
    let a = example::steady(1);
    let mut b = example::steady(2);
    b.phases[1].events *= 2;
    let comparison = compare(&a, &b);
    assert_eq!(verdict(&comparison, "bronze_p95_s"), Verdict::NotComparable);
    assert_eq!(verdict(&comparison, "peak_resident_mib"), Verdict::WithinNoise);
    assert!(comparison.to_string().contains("the phases of A and B differ"), "{comparison}");
}

#[test]
fn runs_that_differ_in_what_must_be_equal_are_not_judged() {
    let a = example::steady(1);
    let mut b = Recipe { level: 2.0, ..Recipe::new(2) }.cook();
    b.scenario = "soak".to_owned();
    let comparison = compare(&a, &b);
    assert_eq!(comparison.exit_code(), 1);
    assert!(comparison.rows.iter().all(|row| row.verdict == Verdict::NotComparable && row.a.is_some()));
    let despite = compare_sides(&[a], &[b], &[Difference::Scenario]);
    assert_eq!(despite.exit_code(), 1, "that can't be passed over");
}

#[test]
fn nothing_to_compare_is_no_success() {
    assert_eq!(compare(&example::empty(), &example::empty()).exit_code(), 1);
    assert_eq!(compare_sides(&[], &[], &[]).exit_code(), 1);
}

/// A run of hours in which memory, files or rates are compared over tens of thousands of samples.
#[test]
fn a_long_run_is_compared_as_well() {
    let comparison = compare(&example::soak(8 * 3600), &example::soak(8 * 3600));
    assert_eq!(comparison.exit_code(), 0);
}
