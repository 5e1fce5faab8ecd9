//! kill -9 in the middle of compaction, expiry and deletion: nothing is lost, and the next run removes what was left.

use crate::common::engine::SIGABRT;
use crate::common::scene::Scene;
use crate::support::{
    AT_ONCE, BRONZE, GOLD, QUARANTINE, let_leases_run_out, maintain_to_the_end, scene_with_small_files,
    start_maintain, total,
};

/// A point, the table on whose way it is, and whether files are left behind there that nothing leads to.
const POINTS: [(&str, &str, bool); 7] = [
    ("maintain::before_output_close", BRONZE, false),
    ("maintain::before_commit", QUARANTINE, true),
    ("maintain::after_commit", QUARANTINE, false),
    ("maintain::before_expire", GOLD, false),
    ("maintain::after_expire", BRONZE, true),
    ("maintain::while_deleting", GOLD, false),
    // The lease is the first swap, the compaction the second.
    ("lake::before_catalog_swap", QUARANTINE, true),
];

fn aborting(point: &str) -> String {
    let passes = if point.starts_with("lake::") { "1*off->" } else { "" };
    format!("{point}={passes}1*return(abort)->off")
}

#[test]
#[ignore = "needs a broker: run through make test"]
fn a_killed_command_loses_nothing_and_the_next_one_finishes_its_work() {
    let (scene, mut stream) = scene_with_small_files("killed-command", 2, 31);
    for (point, table, leaves_orphans) in POINTS {
        stream.advance(60_000);
        stream.flush();
        scene.run_to_end();
        let mut killed = start_maintain(&scene, &["--table", table], &AT_ONCE, &aborting(point));
        killed.wait_for_death_by(SIGABRT, point);
        scene.audit();
        let report = maintain_to_the_end(&scene);
        let orphans = total(&report, "/sweep/orphans/deleted/files");
        assert!(!leaves_orphans || orphans > 0, "{point} left nothing behind: {report}");
    }
    scene.audit();
    scene.verify_all();
}

#[test]
#[ignore = "needs a broker: run through make test"]
fn a_killed_engine_loses_nothing_and_its_orphans_are_found() {
    let scene = Scene::new("killed-engine", 2);
    let stream = scene.stream(20.0, 32).in_background(3_000);
    // The engine's own commits pass the points of the catalog too: those are not maintenance's alone here.
    for (point, _, _) in POINTS.into_iter().filter(|(point, _, _)| point.starts_with("maintain::")) {
        let settings = [
            "kafka.group_mode=assign",
            "maintenance.check_interval_ms=200",
            "maintenance.interval_ms=1000",
            "maintenance.partition_close_delay_ms=0",
        ];
        let arguments = scene.run_arguments(&[&settings[..], &AT_ONCE[..]].concat());
        let mut killed = scene.start_with(&arguments, &aborting(point));
        killed.wait_for_death_by(SIGABRT, point);
        scene.audit();
        let_leases_run_out(&scene);
    }
    let report = maintain_to_the_end(&scene);
    assert!(total(&report, "/sweep/orphans/deleted/files") > 0, "nothing was left behind: {report}");
    scene.verify_to_the_end_of(stream);
}
