//! The view model: no browser, no clock, no thread.

mod answers;
mod change;
mod color;
mod fit;
mod flame;
mod json;
mod lines;
mod outline;
mod picture;
mod save;
mod search;
mod session;
mod state;
mod steps;
mod sums;
mod table;

pub use flame::{Boxes, Flame, Window};
pub use save::Saved;
pub use search::Progress;
pub use session::{Pane, Session};
pub use state::{Column, Normalize, State, Unit, View};
pub use steps::{Pattern, Step, StepKind};
