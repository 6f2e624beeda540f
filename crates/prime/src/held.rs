use std::collections::VecDeque;

use bytes::Buf;
use http_body::Frame;

/// Frames that were read before anybody asked for them. One frame is held without an allocation.
pub(crate) struct Held<D> {
    first: Option<Frame<D>>,
    rest: VecDeque<Frame<D>>,
    bytes: usize,
}

impl<D: Buf> Held<D> {
    pub(crate) const fn new() -> Self {
        Self {
            first: None,
            rest: VecDeque::new(),
            bytes: 0,
        }
    }

    pub(crate) fn push(&mut self, frame: Frame<D>) {
        self.bytes += size(&frame);
        if self.is_empty() {
            self.first = Some(frame);
        } else {
            self.rest.push_back(frame);
        }
    }

    pub(crate) fn pop(&mut self) -> Option<Frame<D>> {
        let frame = self.first.take().or_else(|| self.rest.pop_front())?;
        self.bytes -= size(&frame);
        Some(frame)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(crate) fn len(&self) -> usize {
        usize::from(self.first.is_some()) + self.rest.len()
    }

    /// The bytes of data in all of them.
    pub(crate) const fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn data(&self) -> impl Iterator<Item = &D> {
        self.first
            .iter()
            .chain(&self.rest)
            .filter_map(Frame::data_ref)
    }
}

fn size<D: Buf>(frame: &Frame<D>) -> usize {
    frame.data_ref().map_or(0, Buf::remaining)
}
