//! What may be claimed of two arms whose rounds ran in turn: differences and ratios with their intervals, what could
//! not have been seen, and a decision against a limit.
//!
//! Arithmetic alone. The unit is the round, the smallest thing that was randomised: nothing here looks at a request.
//! Which numbers are compared, and in which words that is said, is not decided here.

mod change;
mod contrast;
mod floor;
mod gate;
mod mean;

pub use change::{In, NoChange, Statistic, change, change_of_runs};
pub use contrast::{Contrast, Difference, P99_ANSWERS, Ratio, Round, contrasts};
pub use floor::noise_floor;
pub use gate::{Decision, decide};
pub use mean::{Level, Mean};
