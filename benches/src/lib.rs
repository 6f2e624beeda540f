//! What the benches measure: each layer, and stacks of them, over services that answer at once.
//!
//! Nothing here waits, so a request is driven to its end by polling it, without a runtime: what is measured is the
//! layers and nothing else. The same [`Case`]s are timed (`benches/layers.rs`), counted in allocations
//! (`benches/allocations.rs`, and as gates in `tests/`) and in instructions (`src/bin/instructions.rs`).

mod cases;
mod drive;
pub mod ready;
pub mod report;
pub mod stack;

pub use self::cases::{Case, all, find};
pub use self::drive::answer;
