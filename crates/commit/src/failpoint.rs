//! Named points where a test can stop, kill or deceive the commit path. Without the feature `failpoints` they are
//! nothing at all.
//!
//! Two kinds of point. A *moment* ([`MOMENTS`]: `lake::before_…`, `lake::after_…`) lies between two steps. A
//! *request* ([`REQUESTS`]) is something asked of the catalog (`lake::catalog_read`, `lake::catalog_swap`) or of the store
//! (`lake::store_write` for a part of a file, `lake::store_metadata`, `lake::store_manifest` and `lake::store_data` for
//! what makes a whole file visible), which can be told to behave as a service far away does.
//!
//! Actions beyond those of the `fail` crate, at every point:
//! - `return(abort)` ends the process at once, as a kill would (no destructor, no flush);
//! - `return(late:MS)` lets others go on for MS milliseconds. At a request: it is carried out, its answer comes late;
//! - any other `return` is an error of known outcome. At a request: it is not carried out.
//!
//! At a request, and at the two points beside the swap:
//! - `return(unknown)` makes the caller believe that the outcome is unknown. At a request it is carried out, and the
//!   answer is lost; before the swap it did not happen, after it, it did.
//!
//! At a request alone:
//! - `return(zombie:MS)` loses the request on its way: the caller is told at once that the outcome is unknown, and it
//!   is carried out MS milliseconds later, whatever has happened meanwhile;
//! - `return(twice)` or `return(twice:MS)` delivers it twice, with that time between, and gives the second answer.
//!
//! A count chooses the moment: `FAILPOINTS="lake::after_catalog_swap=5*off->return(abort)"`.

#[cfg(feature = "failpoints")]
use std::time::Duration;

/// The moments, in the order in which a commit passes them. A run that commits passes each point of both kinds.
pub const MOMENTS: [&str; 6] = [
    "lake::before_parquet_close",
    "lake::after_parquet_close",
    "lake::before_metadata_write",
    "lake::after_metadata_write",
    "lake::before_catalog_swap",
    "lake::after_catalog_swap",
];

/// The requests.
pub const REQUESTS: [&str; 6] = [
    "lake::catalog_read",
    "lake::catalog_swap",
    "lake::store_write",
    "lake::store_data",
    "lake::store_manifest",
    "lake::store_metadata",
];

/// What a failpoint asks its place to report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(not(feature = "failpoints"), allow(dead_code))]
pub enum Injected {
    /// Fail; the outcome is known.
    Error,
    /// Fail; pretend not to know whether it happened.
    Unknown,
}

/// What a failpoint asks its place to do.
#[cfg(feature = "failpoints")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    Fail(Injected),
    Late(Duration),
    Zombie(Duration),
    Twice(Duration),
}

#[cfg(feature = "failpoints")]
fn action(name: &str) -> Option<Action> {
    fail::fail_point!(name, |argument: Option<String>| {
        let words = argument.unwrap_or_default();
        let (what, milliseconds) = words.split_once(':').unwrap_or((&words, ""));
        let time = Duration::from_millis(milliseconds.parse().unwrap_or_default());
        Some(match what {
            "abort" => std::process::abort(),
            "unknown" => Action::Fail(Injected::Unknown),
            "late" => Action::Late(time),
            "zombie" => Action::Zombie(time),
            "twice" => Action::Twice(time),
            _ => Action::Fail(Injected::Error),
        })
    });
    None
}

/// Passes the moment `name`; `Some` only where a test asks for a failure.
#[cfg(feature = "failpoints")]
pub async fn reach(name: &'static str) -> Option<Injected> {
    match action(name)? {
        Action::Fail(injected) => Some(injected),
        Action::Late(time) => {
            tokio::time::sleep(time).await;
            None
        }
        Action::Zombie(_) | Action::Twice(_) => Some(Injected::Error),
    }
}

/// Passes the moment `name`: nothing in this build.
#[cfg(not(feature = "failpoints"))]
#[inline(always)]
pub async fn reach(_name: &'static str) -> Option<Injected> {
    None
}

/// Carries a request out in the way that a test asks for at the point `name`. `made_up` is the answer to a request that
/// the test lets fail.
#[cfg(feature = "failpoints")]
pub async fn request<T, F>(
    name: &'static str,
    mut send: impl FnMut() -> F,
    made_up: impl Fn(Injected) -> T,
) -> T
where
    F: Future<Output = T> + Send + 'static,
    T: Send + 'static,
{
    match action(name) {
        None => send().await,
        Some(Action::Fail(Injected::Error)) => made_up(Injected::Error),
        Some(Action::Fail(Injected::Unknown)) => {
            drop(send().await);
            made_up(Injected::Unknown)
        }
        Some(Action::Late(time)) => {
            let answer = send().await;
            tokio::time::sleep(time).await;
            answer
        }
        Some(Action::Zombie(time)) => {
            let delayed = send();
            tokio::spawn(async move {
                tokio::time::sleep(time).await;
                drop(delayed.await);
            });
            made_up(Injected::Unknown)
        }
        Some(Action::Twice(time)) => {
            drop(send().await);
            tokio::time::sleep(time).await;
            send().await
        }
    }
}

/// Carries a request out.
#[cfg(not(feature = "failpoints"))]
#[inline(always)]
pub async fn request<T, F>(
    _name: &'static str,
    mut send: impl FnMut() -> F,
    _made_up: impl Fn(Injected) -> T,
) -> T
where
    F: Future<Output = T> + Send + 'static,
    T: Send + 'static,
{
    send().await
}

/// Arms the points named by the environment variable `FAILPOINTS` for the rest of the process; a binary calls it once.
///
/// Returns false where the variable asks for points that this build does not have.
pub fn arm_from_environment() -> bool {
    let wanted = std::env::var_os("FAILPOINTS").is_some_and(|points| !points.is_empty());
    #[cfg(feature = "failpoints")]
    if wanted {
        // Dropping the scenario would disarm the points again.
        std::mem::forget(fail::FailScenario::setup());
    }
    !wanted || cfg!(feature = "failpoints")
}
