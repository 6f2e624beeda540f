//! Tower layers that record every request and every attempt, and sinks that do not lose the record.
//!
//! - [`AuditLayer`], outermost: one [`Record`] for each request, written when its response has truly ended.
//! - [`AttemptLayer`], around each deployment: one row in that record for each call.
//! - [`JsonLines`]: a sink that writes durable files from a thread of its own.
//! - [`ChannelSink`]: a sink that hands records to the program.
//!
//! A request takes its slot in the [`Sink`] before anything is done for it, so whatever becomes of it can be
//! recorded, even from a `Drop`, which can neither wait nor fail.
//!
//! Each works alone, over any service of HTTP responses; between the two stand the layers that retry, rest and
//! fall back, and write into the same [`Trail`](backstop_core::Trail).

mod attempt;
mod body;
mod describe;
pub mod future;
mod json;
mod jsonl;
mod layer;
mod line;
mod open;
mod record;
mod refuse;
mod service;
mod sink;

pub use self::attempt::{Attempt, AttemptLayer, Row};
pub use self::body::AuditBody;
pub use self::describe::{Asks, Describe};
pub use self::jsonl::{
    JsonLines, JsonLinesBuilder, JsonLinesSlot, Mode, OnFailure, Unfinished, Unwritable, Written,
};
pub use self::layer::AuditLayer;
pub use self::record::{End, Record, Seen};
pub use self::refuse::{AsError, AuditUnavailable, Refuse, Respond};
pub use self::service::Audit;
pub use self::sink::{ChannelSink, ChannelSlot, Reserve, Sink, Slot};
