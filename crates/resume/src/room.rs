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
    /// 24 MiB: some 6 000 tokens for each of a thousand streams.
    fn default() -> Self {
        Self::new(24 * 1024 * 1024)
    }
}

/// A text that takes its memory from a [`Room`], and gives it back when it is dropped.
#[derive(Debug)]
pub(crate) struct Kept {
    text: String,
    /// Of the room: as much as the text has been given.
    taken: usize,
    room: Room,
}

impl Kept {
    pub(crate) const fn new(room: Room) -> Self {
        Self {
            text: String::new(),
            taken: 0,
            room,
        }
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }

    /// False if there is no room for it: then nothing is changed.
    pub(crate) fn push(&mut self, more: &str) -> bool {
        let (taken, needed) = (self.taken, self.text.len() + more.len());
        if taken < needed {
            // Not doubled: most of that would never be used.
            let next = needed + (needed / 4).max(512);
            if !self.room.take(next - taken) {
                return false;
            }
            self.text.reserve_exact(next - self.text.len());
            self.taken += next - taken;
        }
        self.text.push_str(more);
        true
    }

    /// Lets go of all of it.
    pub(crate) fn clear(&mut self) {
        self.text = String::new();
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
        let room = Room::new(4096);
        let mut one = Kept::new(room.clone());
        assert!(one.push(&"a".repeat(2000)));
        let mut other = Kept::new(room.clone());
        assert!(other.push("b"));
        assert!(!other.push(&"b".repeat(2000)), "there is no room");
        assert_eq!(other.as_str(), "b", "what it has it keeps");
        one.clear();
        assert_eq!(one.as_str(), "");
        assert!(other.push(&"b".repeat(2000)));
        drop((one, other));
        assert_eq!(room.0.taken.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn a_text_takes_little_more_than_it_has() {
        let room = Room::new(100_000);
        let mut kept = Kept::new(room);
        while kept.push("token ") {}
        assert!(kept.as_str().len() > 75_000, "{}", kept.as_str().len());
        assert!(kept.text.capacity() <= 100_000);
    }
}
