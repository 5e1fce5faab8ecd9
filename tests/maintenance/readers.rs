//! Programs that are not the engine read the same before and after maintenance, also of old snapshots.

use crate::lake::read;
use crate::support::{
    AT_ONCE, BRONZE, RETAINED, TABLES, grow_old, maintain, of_table, scene_with_small_files,
};

#[test]
#[ignore = "needs a broker: run through make test"]
fn other_readers_read_the_same_sums_now_and_then() {
    let (scene, _) = scene_with_small_files("readers", 3, 41);
    let before = read(&scene, &[]);
    let middle = |table: &str| {
        let all = before.snapshots(table);
        all[all.len() / 2][0].clone()
    };
    let old = TABLES.map(|table| (table, middle(table)));
    let pairs = old.clone().map(|(table, snapshot)| format!("{table}={snapshot}"));
    let pairs = pairs.each_ref().map(String::as_str);
    let then = read(&scene, &pairs).sums;
    assert_ne!(then[BRONZE], before.sums[BRONZE], "there was no older state");

    // Compaction alone: every snapshot is young. Orphans old enough are looked for all the same.
    grow_old(&scene);
    let report = maintain(&scene, &RETAINED);
    for table in TABLES {
        assert_eq!(of_table(&report, table)["is_changed"], true, "{report}");
    }
    let compacted = read(&scene, &[]);
    assert_eq!(compacted.sums, before.sums);
    let history = compacted.snapshots(BRONZE);
    assert!(history.iter().any(|snapshot| snapshot[1] == "replace"), "{history:?}");
    assert_eq!(read(&scene, &pairs).sums, then, "old snapshots are not as they were");

    grow_old(&scene);
    maintain(&scene, &AT_ONCE);
    let expired = read(&scene, &[]);
    assert_eq!(expired.sums, before.sums);
    for (table, snapshot) in &old {
        let left = expired.snapshots(table);
        assert!(left.iter().all(|found| found[0] != *snapshot), "{table} still has {snapshot}: {left:?}");
    }
    scene.verify_all();
}
