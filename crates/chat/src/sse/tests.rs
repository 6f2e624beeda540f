use super::*;
use proptest::prelude::*;

fn all(pieces: &[&[u8]]) -> Vec<Item> {
    let mut events = Events::new();
    let mut input = BytesMut::new();
    let mut items = Vec::new();
    for piece in pieces {
        input.extend_from_slice(piece);
        while let Some(item) = events.next(&mut input).expect("small") {
            items.push(item);
        }
    }
    items.extend(events.finish(&mut input));
    items
}

fn data(items: &[Item]) -> Vec<String> {
    items
        .iter()
        .filter_map(|item| match item {
            Item::Event(event) => Some(String::from_utf8_lossy(&event.data).into_owned()),
            Item::Idle => None,
        })
        .collect()
}

#[test]
fn the_usual_form_is_passed_on_as_it_came() {
    let items = all(&[b"data: {\"a\":1}\n\ndata: [DONE]\n\n"]);
    let Item::Event(first) = &items[0] else {
        panic!("an event")
    };
    assert_eq!(first.frame.as_deref(), Some(&b"data: {\"a\":1}\n\n"[..]));
    assert_eq!(data(&items), ["{\"a\":1}", "[DONE]"]);
}

#[test]
fn every_form_that_the_standard_allows() {
    for (text, expected) in [
        ("data:x\n\n", vec!["x"]),
        ("data: x\r\n\r\ndata: y\r\n\r\n", vec!["x", "y"]),
        ("data: x\r\rdata: y\r\r", vec!["x", "y"]),
        ("\u{feff}data: x\n\n", vec!["x"]),
        ("data: a\ndata: b\ndata:\n\n", vec!["a\nb\n"]),
        ("event: ping\ndata: {}\n\n", vec!["{}"]),
        (": comment\n\ndata: x\n\n", vec!["x"]),
        ("id: 5\nretry: 10\ndata: x\n\n", vec!["x"]),
        (
            "data: last without a blank line",
            vec!["last without a blank line"],
        ),
        ("data\n\n", vec![""]),
        ("\n\n\ndata: x\n\n", vec!["x"]),
        ("data: dög 🐕\n\n", vec!["dög 🐕"]),
        ("", vec![]),
    ] {
        assert_eq!(data(&all(&[text.as_bytes()])), expected, "{text:?}");
    }
    assert_eq!(
        all(&[b": ping\n\n"]),
        [Item::Idle],
        "a comment is a sign of life"
    );
    let Item::Event(named) = &all(&[b"event: error\ndata: {}\n\n"])[0] else {
        panic!("an event")
    };
    assert_eq!(named.name.as_deref(), Some(&b"error"[..]));
}

#[test]
fn an_endless_event_is_refused() {
    let mut events = Events::new();
    let mut input = BytesMut::from(&b"data: "[..]);
    input.resize(MAX_EVENT + 10, b'x');
    assert_eq!(events.next(&mut input), Err(TooLarge));
}

proptest! {
    #[test]
    fn any_split_gives_the_same_items(
        lines in prop::collection::vec(
            prop_oneof![
                Just("data: {\"x\":\"ü🐕\"}".to_owned()), Just("data:y".to_owned()), Just(": c".to_owned()),
                Just("event: e".to_owned()), Just(String::new()), Just(String::new()), "[a-z:ü ]{0,12}",
            ],
            0..24,
        ),
        ends in prop::collection::vec(prop_oneof![Just("\n"), Just("\r\n"), Just("\r")], 24),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
    ) {
        let text: String = lines.iter().zip(&ends).flat_map(|(line, end)| [line.as_str(), end]).collect();
        let bytes = text.as_bytes();
        let mut at: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
        at.sort_unstable();
        let mut pieces = Vec::new();
        let mut from = 0;
        for cut in at {
            pieces.push(&bytes[from..cut]);
            from = cut;
        }
        pieces.push(&bytes[from..]);
        // Whether an event was passed on as it came may depend on the split; what it says may not.
        let said = |items: Vec<Item>| items.into_iter().map(|item| match item {
            Item::Event(Event { name, data, .. }) => Some((name, data)),
            Item::Idle => None,
        }).collect::<Vec<_>>();
        prop_assert_eq!(said(all(&pieces)), said(all(&[bytes])));
    }

    #[test]
    fn any_bytes_at_all(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        all(&[&bytes]);
    }
}

#[test]
fn nothing_follows_the_end() {
    let mut events = Events::new();
    let mut input = BytesMut::from(&b"data: cut"[..]);
    assert_eq!(events.next(&mut input), Ok(None));
    assert!(events.finish(&mut input).is_some());
    assert_eq!(events.next(&mut input), Ok(None));
    assert_eq!(events.finish(&mut input), None);
}
