//! Kills and panics in the middle of decisions: the pause holds, nothing is decided twice, and ingestion goes on.

use std::os::unix::process::ExitStatusExt;

use crate::common::engine::SIGABRT;
use crate::common::poll;
use crate::demo::{Demo, PATIENCE};
use crate::queue::assert_sound;

#[test]
fn no_kill_breaks_the_pause_between_two_actions() {
    let demo = Demo::new("decisions-kills");
    let expected = demo.expected();
    let mut before = Vec::new();
    for failpoint in [
        // The decisions are made and not committed, then committed and nobody knows, then it dies in a later round.
        "decisions::before_commit=return(abort)",
        "decisions::committed=return(abort)",
        "decisions::round=8*off->return(abort)",
    ] {
        let mut engine = demo.start(failpoint);
        let status = engine.wait_within(PATIENCE);
        assert_eq!(status.signal(), Some(SIGABRT), "{failpoint}: {}", engine.log().tail());
        let actions = demo.other_process().actions();
        assert_sound(&actions);
        for action in &before {
            assert!(actions.contains(action), "{action:?} is gone after {failpoint}");
        }
        before = actions;
    }
    assert!(!before.is_empty());
    let mut engine = demo.start("");
    let other = demo.other_process();
    let videos = expected.iter().filter(|one| !one.is_nothing()).count();
    let are_decided = poll(PATIENCE, || {
        let actions = other.actions();
        let decided = expected.iter().filter(|one| !one.is_nothing());
        let decided = decided.filter(|one| actions.iter().any(|action| action.video_id == one.video_id));
        (decided.count() == videos).then_some(())
    });
    assert!(are_decided.is_some(), "{}", engine.log().tail());
    engine.kill();
    let actions = other.actions();
    assert_sound(&actions);
    assert!(before.iter().all(|action| actions.iter().any(|found| found.action_id == action.action_id)));
    other.assert_all_were_active(&actions);
}

#[test]
fn a_decision_maker_that_panics_is_started_again_and_stops_nothing() {
    let demo = Demo::new("decisions-panic");
    let mut engine = demo.start("decisions::round=1*off->2*panic(on purpose at decisions::round)->off");
    let other = demo.other_process();
    let decided = poll(PATIENCE, || Some(other.actions()).filter(|actions| !actions.is_empty()));
    assert!(decided.is_some(), "{}", engine.log().tail());
    engine.terminate();
    let log = engine.log();
    assert_eq!(log.count("decision_maker_restarted"), 2, "{}", log.tail());
    assert_eq!(log.count("generation_killed"), 0, "{}", log.tail());
}
