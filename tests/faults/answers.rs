//! A catalog and a store that deceive: answers that are lost, late or given twice, and requests that arrive when nobody
//! waits for them any more. Under load, in the whole process.

use pulselake_lake::failpoint::REQUESTS;

use crate::common::scaled;
use crate::common::scene::Scene;
use crate::common::verify::fact;

/// Each manner once, between requests that go well.
const EACH_MANNER: &str = "1*return->1*off->1*return(unknown)->1*off->1*return(late:700)->1*off->\
                           1*return(zombie:700)->1*off->1*return(twice:100)->off";
/// What the start asks of the catalog; it refuses a catalog that does not answer.
const READS_AT_THE_START: u32 = 9;
const OFTEN: [&str; 3] =
    ["engine.batch_records=64", "gold.collect_wait_ms=0", "supervision.backoff_max_ms=100"];

/// One point after the other, so that each manner meets a process in which all else goes well.
#[test]
#[ignore = "needs a broker: run through make test"]
fn each_request_fails_or_deceives_in_each_manner() {
    let scene = Scene::new("answers", 4);
    let mut stream = scene.stream(20.0, 21);
    for point in REQUESTS {
        stream.advance(150_000);
        stream.flush();
        let passes = if point == "lake::catalog_read" { READS_AT_THE_START } else { 2 };
        let log = scene.run_to_end_with(&OFTEN, &format!("{point}={passes}*off->{EACH_MANNER}"));
        // A commit that could not read where the table stands asks again without a word.
        let is_told = point != "lake::catalog_read";
        assert!(
            !is_told || log.text.contains("injected failure"),
            "nothing failed at {point}:\n{}",
            log.tail()
        );
        scene.audit();
    }
    assert_eq!(fact(&scene.verify_all(), "topic records"), stream.flush());
}

/// All at once, while records come and runs end: a swap whose answer is lost is followed by metadata that can't be
/// written, so that nothing but the swap itself, when it arrives at last, can bring the commit into the table.
#[test]
#[ignore = "needs a broker: run through make test"]
fn requests_that_arrive_late_meet_other_commits_and_other_runs() {
    let scene = Scene::new("zombies", 4);
    let stream = scene.stream(20.0, 22).in_background(3_000);
    let mut outcomes_unknown = 0;
    for round in 0..scaled(3, 40) {
        let before = 3 + round % 3;
        let failpoints = format!(
            "lake::catalog_swap={before}*off->1*return(zombie:1500)->12*off->1*return(zombie:300)->\
             12*off->1*return(twice:400)->12*off->1*return(late:2500)->off;\
             lake::before_metadata_write={}*off->9*return->off;\
             aggregator::batch=16*off->1*panic(on purpose)->16*off->1*panic(on purpose)->off",
            before + 1
        );
        let mut engine =
            scene.start_with(&scene.run_arguments(&["kafka.group_instance_id=only"]), &failpoints);
        engine.wait_until("runs have ended, answers were lost, and it commits", |log| {
            log.count("generation_killed") >= 2
                && log.has("commit_outcome_unknown")
                && log.count("commit_done") >= 20
        });
        outcomes_unknown += engine.log().count("commit_outcome_unknown");
        // Whatever is still on its way dies with the process.
        engine.kill();
    }
    println!("{outcomes_unknown} outcomes were unknown");
    scene.verify_to_the_end_of(stream);
}
