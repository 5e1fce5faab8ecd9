//! Schema drift that mends itself: what payload fields there are, and which column of silver each has.
//!
//! The step of job `payload_fields` reads the bodies of a day ([`profile_day`]), decides by rules ([`with_day`]), writes the
//! registry `silver.payload_fields` in one commit and adds the columns that silver lacks. What it promises:
//!
//! - No value is lost silently: it is in its field's column, in the string column beside that, or counted in the registry.
//! - A value of another type never fails a run, and never changes the type of a column.
//! - The same day again changes nothing. A run that was killed between the two commits is made good by the next one.
//! - Memory is bounded, whatever the bodies hold.

mod bronze;
pub mod command;
mod error;
mod known;
pub mod metrics;
mod names;
mod profile;
mod profiler;
mod registry;
mod registry_rows;
mod report;
mod rules;
mod sketch;
mod step;
pub mod value;

pub use bronze::profile_day;
pub use error::DriftError;
pub use known::KnownField;
pub use profile::{DayProfile, FieldProfile};
pub use profiler::{MAX_KEY_BYTES, MAX_NEW_KEYS};
pub use registry::{FieldStatus, RegisteredField, Registry, Remainder};
pub use report::DriftReport;
pub use rules::{Limits, SilverColumns, with_day};
pub use step::{DriftCounts, Updated, add_columns, run, update};
