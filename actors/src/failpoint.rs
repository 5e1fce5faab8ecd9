//! Named points in the actors and in the supervisor where a test can panic, hang, end the process, or let an answer
//! stay away. Without the feature `failpoints` they are nothing at all.
//!
//! The list of all points is the source itself: `tests/matrix` collects the names from the calls, so that none can be
//! forgotten. Actions: those of the `fail` crate (`panic`, `sleep(ms)`, …), `return(abort)`, which ends the process at
//! once, as a kill would, and, where a store is asked, `return(stall)`: no answer ever comes.

/// Passes the point `name`.
#[cfg(feature = "failpoints")]
pub(crate) fn reach(name: &'static str) {
    evaluate(name);
}

/// Passes the point `name`, before something is asked of a store.
#[cfg(feature = "failpoints")]
pub(crate) async fn reach_store(name: &'static str) {
    if evaluate(name).as_deref() == Some("stall") {
        eprintln!("{name}: no answer ever comes");
        std::future::pending::<()>().await;
    }
}

/// What `return(…)` asks for at this point now, if anything.
#[cfg(feature = "failpoints")]
fn evaluate(name: &'static str) -> Option<String> {
    let asked = fail::eval(name, |argument| argument).flatten();
    if asked.as_deref() == Some("abort") {
        std::process::abort();
    }
    asked
}

/// Passes the point `name`.
#[cfg(not(feature = "failpoints"))]
#[inline(always)]
pub(crate) fn reach(_name: &'static str) {}

/// Passes the point `name`, before something is asked of a store.
#[cfg(not(feature = "failpoints"))]
#[inline(always)]
pub(crate) async fn reach_store(_name: &'static str) {}
