//! Programs that are not the engine read the same before and after maintenance, also of old snapshots.

use crate::lake::{snapshots, sums, sums_at};
use crate::support::{
    AT_ONCE, BRONZE, RETAINED, TABLES, grow_old, maintain, of_table, scene_with_small_files,
};

#[test]
#[ignore = "needs a broker: run through make test"]
fn other_readers_read_the_same_sums_now_and_then() {
    let (scene, _) = scene_with_small_files("readers", 2, 41);
    let before = sums(&scene);
    let old: Vec<(&str, String)> = TABLES
        .into_iter()
        .map(|table| {
            let all = snapshots(&scene, table);
            (table, all[all.len() / 2][0].clone())
        })
        .collect();
    let sums_then: Vec<_> = old.iter().map(|(table, snapshot)| sums_at(&scene, table, snapshot)).collect();
    assert_ne!(sums_then[1], before[old[1].0], "there was no older state of {}", old[1].0);

    // Compaction alone: every snapshot is young. Orphans old enough are looked for all the same.
    grow_old(&scene);
    let report = maintain(&scene, &RETAINED);
    for table in TABLES {
        assert_eq!(of_table(&report, table)["is_changed"], true, "{report}");
    }
    assert_eq!(sums(&scene), before);
    for ((table, snapshot), then) in old.iter().zip(&sums_then) {
        assert_eq!(sums_at(&scene, table, snapshot), *then, "{table} at {snapshot}");
    }
    let replaced = snapshots(&scene, BRONZE).into_iter().filter(|found| found[2] == "replace").count();
    assert!(replaced > 0, "{:?}", snapshots(&scene, BRONZE));

    grow_old(&scene);
    maintain(&scene, &AT_ONCE);
    assert_eq!(sums(&scene), before);
    for (table, snapshot) in &old {
        let left = snapshots(&scene, table);
        assert!(left.iter().all(|found| found[0] != *snapshot), "{table} still has {snapshot}: {left:?}");
    }
    scene.verify_all();
}
