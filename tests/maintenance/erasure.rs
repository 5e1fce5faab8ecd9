//! `pulselake erase`: afterwards no table, and then no file, knows the user.

use serde_json::Value;

use crate::common::scene::Scene;
use crate::lake::{lake, sums};
use crate::support::{
    BRONZE, GOLD, QUARANTINE, json, maintain_to_the_end, number, of_table, scene_with_small_files,
};

/// A user, with how many rows of bronze and of quarantine know it.
struct Someone {
    id: String,
    events: u64,
    rejected: u64,
}

fn two_users(scene: &Scene) -> [Someone; 2] {
    let found = lake(scene, "someone", &[]);
    let someone = |place: usize| {
        let user = &found["users"][place];
        let id = user[0]
            .as_str()
            .unwrap_or_else(|| panic!("too few users are in bronze and in quarantine: {found}"));
        Someone { id: id.to_owned(), events: number(user, "/1"), rejected: number(user, "/2") }
    };
    [someone(0), someone(1)]
}

/// The files of the warehouse that know the user, whether or not a table needs them.
fn files_with(scene: &Scene, someone: &Someone) -> Vec<Value> {
    let found = lake(scene, "mentions", &[&someone.id]);
    for kind in [".parquet", ".avro", ".json"] {
        assert!(number(&found["searched"], &format!("/{kind}")) > 0, "no {kind} was searched: {found}");
    }
    found["files"].as_array().unwrap().clone()
}

/// The report says what went, and the tables have that much less.
fn assert_erased(report: &Value, someone: &Someone, before: &Value, after: &Value) {
    for (table, rows) in [(BRONZE, someone.events), (QUARANTINE, someone.rejected)] {
        let erased = of_table(report, table);
        assert_eq!(number(erased, "/rows_erased"), rows, "{erased}");
        assert_eq!(erased["complete"], true);
        assert_eq!(
            number(before, &format!("/{table}/0")) - number(after, &format!("/{table}/0")),
            rows,
            "{table}"
        );
    }
    assert_eq!(after[GOLD], before[GOLD], "gold knows no users");
}

#[test]
#[ignore = "needs a broker: run through make test"]
fn an_erased_user_is_in_no_row_and_then_in_no_file() {
    let (scene, mut stream) = scene_with_small_files("erase", 2, 61);
    let [first, second] = two_users(&scene);
    let before = sums(&scene);
    assert!(!files_with(&scene, &first).is_empty());

    let plan = json(&scene, &["erase", "--user", &first.id, "--dry-run"], &[]);
    assert_eq!(plan["dry_run"], true);
    assert!(number(of_table(&plan, BRONZE), "/files_found") > 0, "{plan}");
    assert_eq!(sums(&scene), before, "a dry run has changed the tables");

    let report = json(&scene, &["erase", "--user", &first.id, "--expire-now"], &[]);
    let without_first = sums(&scene);
    assert_erased(&report, &first, &before, &without_first);
    assert!(number(of_table(&report, BRONZE), "/expired/snapshots") > 0, "{report}");
    assert_eq!(number(of_table(&report, BRONZE), "/snapshots_holding"), 0, "{report}");
    assert!(!report.to_string().contains(&first.id), "the report names the user: {report}");
    assert_eq!(files_with(&scene, &first), Vec::<Value>::new());
    scene.audit();

    // Without expiry at once, the next maintenance that may do it does it.
    let report = json(&scene, &["erase", "--user", &second.id], &[]);
    assert_erased(&report, &second, &without_first, &sums(&scene));
    assert!(number(of_table(&report, BRONZE), "/snapshots_holding") > 0, "{report}");
    assert!(of_table(&report, BRONZE)["gone_after_ms"].is_i64(), "{report}");
    assert!(!files_with(&scene, &second).is_empty(), "nothing was to expire yet");
    maintain_to_the_end(&scene);
    assert_eq!(files_with(&scene, &second), Vec::<Value>::new());
    scene.audit();

    // A second time there is nothing left to do, and the stream goes on.
    let again = json(&scene, &["erase", "--user", &first.id, "--expire-now"], &[]);
    assert_eq!(number(of_table(&again, BRONZE), "/rows_erased"), 0, "{again}");
    stream.advance(60_000);
    stream.flush();
    scene.run_to_end();
    scene.audit();
}
