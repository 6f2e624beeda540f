//! What the fuzz targets call.

use backstop_chat::Mode;

use crate::seam::{Join, Seam};

/// How many bytes of `leg` the caller has already, when it comes in pieces of so many characters; `None` if it has no
/// place behind `delivered`.
#[must_use]
pub fn join(mode: Mode, lenient: bool, delivered: &str, leg: &str, piece: usize) -> Option<usize> {
    let mut seam = Seam::new(mode, None, lenient);
    let mut rest = leg;
    loop {
        let end = rest
            .char_indices()
            .nth(piece)
            .map_or(rest.len(), |(at, _)| at);
        let (next, behind) = rest.split_at(end);
        // The end of a part is told behind its last piece.
        let ended = next.is_empty();
        rest = behind;
        match seam.push(delivered, next, ended) {
            Join::At { cut, .. } => return Some(cut),
            Join::Unsure | Join::Nowhere => return None,
            Join::Undecided => assert!(!ended, "a part that has ended is decided"),
        }
    }
}
