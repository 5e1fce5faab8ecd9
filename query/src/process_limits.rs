//! A ceiling for the whole process, which the kernel holds.
//!
//! DataFusion's account of memory covers what grows with the rows of tables. It does not cover one value of a gigabyte,
//! which `repeat` makes of nothing. Where such a query goes beyond the ceiling, its process ends, and the engine starts
//! another; where the machine itself runs out of memory, the kernel takes this process before any other.

use rlimit::Resource;

/// Beside the queries' memory: code, threads' stacks, open tables, and answers on their way.
const BESIDE_QUERIES_BYTES: u64 = 4 << 30;
/// Out of 1000: the kernel's most wanted.
const FIRST_TO_GO: &str = "1000";

/// Sets the ceiling for a process whose queries may have `memory_bytes`. Where that can't be done, it is logged: the
/// queries' own bounds hold all the same.
pub(crate) fn set(memory_bytes: usize) {
    let ceiling = (memory_bytes as u64).saturating_mul(2).saturating_add(BESIDE_QUERIES_BYTES);
    let end = rlimit::getrlimit(Resource::AS).and_then(|(soft, hard)| {
        let wanted = ceiling.min(hard);
        if soft <= wanted { Ok(()) } else { rlimit::setrlimit(Resource::AS, wanted, hard) }
    });
    if let Err(error) = end {
        tracing::warn!(event = "no_memory_ceiling", %error, "the process has no ceiling for its memory");
    }
    if let Err(error) = std::fs::write("/proc/self/oom_score_adj", FIRST_TO_GO) {
        tracing::debug!(%error, "the kernel does not know that this process may go first");
    }
}
