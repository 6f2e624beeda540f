//! Server-sent events: however the bytes are split, they are the same events, and nothing panics.

#![no_main]

use backstop_chat::sse::{Event, Events, Item};
use bytes::{Bytes, BytesMut};
use libfuzzer_sys::fuzz_target;

/// What the items say. Whether one was passed on as it came may depend on the split.
fn said(bytes: &[u8], piece: usize) -> Vec<Option<(Option<Bytes>, Bytes)>> {
    let mut events = Events::new();
    let mut input = BytesMut::new();
    let mut items = Vec::new();
    for piece in bytes.chunks(piece) {
        input.extend_from_slice(piece);
        while let Some(item) = events.next(&mut input).expect("far below the limit") {
            items.push(item);
        }
    }
    items.extend(events.finish(&mut input));
    assert_eq!(events.finish(&mut input), None, "nothing follows the end");
    let said = |item| match item {
        Item::Event(Event { name, data, frame }) => {
            if let Some(frame) = frame {
                let rebuilt = [b"data: ", &data[..], b"\n\n"].concat();
                assert_eq!(frame, rebuilt, "a frame is its data, and nothing else");
            }
            Some((name, data))
        }
        Item::Idle => None,
    };
    items.into_iter().map(said).collect()
}

fuzz_target!(|bytes: &[u8]| {
    let whole = said(bytes, bytes.len().max(1));
    for piece in [1, 2, 3, 7] {
        assert_eq!(said(bytes, piece), whole, "in pieces of {piece}");
    }
});
