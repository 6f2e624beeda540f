use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// How much text all streams together may keep so that they can go on. Clones share it.
///
/// A stream that finds no room lets go of what it has kept, and is not continued if it breaks. So however many streams
/// there are, and however long they are, the memory that they take for this is bounded.
///
/// ```
/// use backstop_resume::{ResumeLayer, Room};
///
/// // Two chains, one bound.
/// let room = Room::new(8 * 1024 * 1024);
/// let one = ResumeLayer::new().room(room.clone());
/// let other = ResumeLayer::new().room(room);
/// # let _ = (one, other);
/// ```
#[derive(Clone, Debug)]
pub struct Room(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    bytes: usize,
    taken: AtomicUsize,
}

impl Room {
    /// Room for so many bytes.
    #[must_use]
    pub fn new(bytes: usize) -> Self {
        Self(Arc::new(Shared {
            bytes,
            taken: AtomicUsize::new(0),
        }))
    }

    fn take(&self, bytes: usize) -> bool {
        let Shared { bytes: all, taken } = &*self.0;
        // It guards nothing but itself.
        let result = taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |taken| {
            taken.checked_add(bytes).filter(|taken| taken <= all)
        });
        result.is_ok()
    }

    fn give_back(&self, bytes: usize) {
        self.0.taken.fetch_sub(bytes, Ordering::Relaxed);
    }
}

impl Default for Room {
    /// 16 MiB: some 4 000 tokens for each of a thousand streams.
    fn default() -> Self {
        Self::new(16 * 1024 * 1024)
    }
}

/// How large the pieces are that a text grows by.
///
/// Texts that grow in place are moved from one size to the next, and what lies between them stays empty: a thousand of
/// them take twice their length. Pieces of one size take each other's places.
const PIECE: usize = 2 * 1024;

/// A text that takes its memory from a [`Room`], and gives it back when it is dropped.
#[derive(Debug)]
pub(crate) struct Kept {
    /// All of it up to the pieces.
    joined: String,
    pieces: Vec<String>,
    len: usize,
    /// Of the room.
    taken: usize,
    room: Room,
}

impl Kept {
    pub(crate) const fn new(room: Room) -> Self {
        Self {
            joined: String::new(),
            pieces: Vec::new(),
            len: 0,
            taken: 0,
            room,
        }
    }

    pub(crate) fn room(&self) -> Room {
        self.room.clone()
    }

    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    /// The whole of it, put together if it has grown since.
    pub(crate) fn as_str(&mut self) -> &str {
        if !self.pieces.is_empty() {
            self.joined.reserve_exact(self.len - self.joined.len());
            for piece in std::mem::take(&mut self.pieces) {
                self.joined.push_str(&piece);
            }
            self.room.give_back(self.taken - self.len);
            self.taken = self.len;
        }
        &self.joined
    }

    /// False if there is no room for all of it: what is kept then is of no use any more.
    pub(crate) fn push(&mut self, mut more: &str) -> bool {
        loop {
            if let Some(piece) = self.pieces.last_mut() {
                let (fits, rest) = more.split_at(more.floor_char_boundary(PIECE - piece.len()));
                piece.push_str(fits);
                self.len += fits.len();
                more = rest;
            }
            if more.is_empty() {
                return true;
            }
            if !self.room.take(PIECE) {
                return false;
            }
            self.taken += PIECE;
            self.pieces.push(String::with_capacity(PIECE));
        }
    }

    /// Lets go of all of it.
    pub(crate) fn clear(&mut self) {
        self.joined = String::new();
        self.pieces = Vec::new();
        self.len = 0;
        self.room.give_back(std::mem::take(&mut self.taken));
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_let_go_is_there_for_others() {
        let room = Room::new(2 * PIECE);
        let mut one = Kept::new(room.clone());
        assert!(one.push(&"a".repeat(PIECE)));
        let mut other = Kept::new(room.clone());
        assert!(other.push("b"));
        assert!(!other.push(&"b".repeat(PIECE)), "there is no room");
        one.clear();
        assert_eq!(one.len(), 0);
        assert_eq!(one.as_str(), "");
        assert!(other.push(&"b".repeat(PIECE)));
        drop((one, other));
        assert_eq!(room.0.taken.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn a_text_takes_little_more_than_it_has() {
        let mut kept = Kept::new(Room::new(100_000));
        while kept.push("token ") {}
        assert!(kept.len() > 98_000, "{}", kept.len());
        assert!(kept.pieces.iter().all(|piece| piece.capacity() == PIECE));
    }

    #[test]
    fn a_text_is_the_same_whenever_it_is_put_together() {
        let room = Room::new(10 * PIECE);
        // Not all of its characters end where a piece does.
        let said = ["a", "\u{e9}\u{1f642}", "", "\u{fc}ber"].map(|part| part.repeat(333));
        for pauses in 0..16 {
            let (mut kept, mut whole) = (Kept::new(room.clone()), String::new());
            for (n, part) in said.iter().enumerate() {
                assert!(kept.push(part));
                whole += part;
                if pauses & (1 << n) != 0 {
                    assert_eq!(kept.as_str(), whole);
                    assert_eq!(room.0.taken.load(Ordering::Relaxed), whole.len());
                }
            }
            assert_eq!(kept.len(), whole.len());
            assert_eq!(kept.as_str(), whole);
        }
        assert_eq!(room.0.taken.load(Ordering::Relaxed), 0);
    }
}
