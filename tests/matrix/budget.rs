//! A panic that comes again and again, in each kind of actor: the budget of restarts is spent, and the process ends and
//! says why.

use crate::common::scene::Scene;

/// One point of each actor, and of what the supervisor does before a run, and of the commit path.
const POINTS: [&str; 9] = [
    "consumer::polled",
    "aggregator::batch",
    "aggregator::flush",
    "writer::batch",
    "writer::before_commit",
    "gold::before_write",
    "committer::before",
    "recovery::plan",
    "lake::before_catalog_swap",
];

#[test]
#[ignore = "needs a broker: run through make test"]
fn a_panic_that_comes_again_and_again_ends_the_service_loudly() {
    let scene = Scene::new("budget", 2);
    let mut stream = scene.stream(20.0, 4);
    for point in POINTS {
        stream.advance(60_000);
        stream.flush();
        let mut engine =
            scene.start_bounded(&["supervision.restart_budget=3"], &format!("{point}=panic(on purpose)"));
        let status = engine.wait();
        let log = engine.log();
        assert_eq!(status.code(), Some(1), "{point}:\n{}", log.tail());
        assert!(
            log.text.contains("on purpose") && log.has("restart_budget_spent"),
            "{point}:\n{}",
            log.tail()
        );
        let spent = &log.events("restart_budget_spent")[0];
        assert_eq!(spent["restarts"], 4, "{point}: the budget is three restarts:\n{}", log.tail());
        // What a dead service takes along starts again too, and costs nothing.
        assert!(log.count("generation_killed") >= 3, "{point}:\n{}", log.tail());
        let last = log.text.lines().rev().take(3).collect::<Vec<_>>().join("\n");
        assert!(
            last.contains("supervision.restart_budget"),
            "the message does not name the setting:\n{last}"
        );
        scene.audit();
    }
    // What is wrong has gone: the next start makes up for everything.
    scene.run_to_end();
    scene.verify_all();
}
