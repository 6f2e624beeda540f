//! The texts of a prompt, for whoever counts their tokens.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::Chat;

/// The sum of what `count` says of each text; `None` if the messages cannot be read.
pub(crate) fn count(chat: &Chat, count: &mut dyn FnMut(&str) -> u64) -> Option<u64> {
    let mut sum = 0_u64;
    let mut json = serde_json::Deserializer::from_str(chat.member("messages")?);
    json.deserialize_any(Texts {
        count: &mut *count,
        sum: &mut sum,
    })
    .ok()?;
    for name in ["tools", "response_format"] {
        if let Some(schema) = chat.member(name) {
            sum = sum.saturating_add(count(schema));
        }
    }
    Some(sum)
}

/// Visits every string within a value, but for the data of images, audio and files.
struct Texts<'a> {
    count: &'a mut dyn FnMut(&str) -> u64,
    sum: &'a mut u64,
}

impl Texts<'_> {
    fn within(&mut self) -> Texts<'_> {
        Texts {
            count: &mut *self.count,
            sum: &mut *self.sum,
        }
    }
}

impl<'de> DeserializeSeed<'de> for Texts<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Texts<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_str<E>(self, text: &str) -> Result<(), E> {
        *self.sum = self.sum.saturating_add((self.count)(text));
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        *self.sum += 1;
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        *self.sum += 1;
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        *self.sum += 1;
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        *self.sum += 1;
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut seq: A) -> Result<(), A::Error> {
        while seq.next_element_seed(self.within())?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<Key>()? {
            match key {
                // A role or a type is one word, for which a message's own overhead stands.
                Key::ImageUrl | Key::InputAudio | Key::File | Key::Role | Key::Type => {
                    map.next_value::<IgnoredAny>()?;
                }
                Key::Other => map.next_value_seed(self.within())?,
            }
        }
        Ok(())
    }
}

#[derive(serde::Deserialize)]
#[serde(field_identifier, rename_all = "snake_case")]
enum Key {
    ImageUrl,
    InputAudio,
    File,
    Role,
    Type,
    #[serde(other)]
    Other,
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use backstop_core::Ask;

    use crate::Chat;

    fn chat() -> Chat {
        Chat::parse(
            r#"{"model":"m","messages":[{"role":"system","content":"one"},{"role":"user","content":[
                {"type":"text","text":"tw\u00f6"},
                {"type":"image_url","image_url":{"url":"data:image/png;base64,AAAA"}},
                {"type":"input_audio","input_audio":{"data":"AAAAAAAA","format":"wav"}},
                {"type":"file","file":{"file_id":"f"}}]},
                {"role":"assistant","content":null,"tool_calls":[
                    {"id":"c","type":"function","function":{"name":"f","arguments":"{}"}}]}],
                "tools":[{}],"odd":"1234","n":3,"tool_choice":"required","parallel_tool_calls":true}"#,
        )
        .expect("valid")
    }

    #[test]
    fn a_prompt_is_measured_in_passing() {
        let size = chat().prompt_size().expect("known");
        let calls = "idctypefunctionfunctionnamefarguments{}".len();
        assert_eq!(size.messages, 3);
        assert_eq!(
            size.text as usize,
            "one".len() + "twö".len() + calls + "\"1234\"".len()
        );
        assert_eq!(
            (size.tools, size.schemas, size.images, size.opaque),
            (1, 4, 1, 1)
        );
        // Six bytes of audio, and what stands beside them, as if it were audio too.
        let beside = "dataformatwav".len() as u64;
        assert!((6..=6 + beside).contains(&size.audio), "{}", size.audio);
        let needs = chat().needs();
        assert!(needs.forced_tools && needs.parallel_tools && needs.audio_in && !needs.audio_out);
        assert_eq!(chat().choices(), 3);
    }

    #[test]
    fn texts_are_counted_once_for_all_clones() {
        let (chat, times) = (chat(), Cell::new(0));
        let count = |chat: &Chat| {
            chat.count_tokens(&mut |text| {
                times.set(times.get() + 1);
                text.len() as u64
            })
        };
        let whole = "onetwöcf{}[{}]".len() as u64;
        assert_eq!(count(&chat), Some(whole));
        let mut clamped = chat.clone();
        assert!(clamped.clamp_output(10));
        assert_eq!((count(&chat), count(&clamped)), (Some(whole), Some(whole)));
        assert_eq!(times.get(), 6);
    }

    #[test]
    fn a_clamp_only_lowers() {
        let clamped = |members: &str, to| {
            let text =
                format!(r#"{{"model":"m","messages":[{{"role":"user","content":""}}]{members}}}"#);
            let mut chat = Chat::parse(text).expect("valid");
            assert!(chat.clamp_output(to));
            ["max_tokens", "max_completion_tokens"].map(|name| {
                chat.member(name)
                    .and_then(|bound| bound.parse::<u64>().ok())
            })
        };
        assert_eq!(clamped("", 7), [None, Some(7)]);
        assert_eq!(clamped(r#","max_tokens":5"#, 7), [Some(5), None]);
        assert_eq!(clamped(r#","max_tokens":9"#, 7), [Some(7), None]);
        assert_eq!(clamped(r#","max_completion_tokens":9"#, 7), [None, Some(7)]);
        assert_eq!(
            clamped(r#","max_tokens":9,"max_completion_tokens":9"#, 7),
            [Some(7), Some(7)]
        );
        assert_eq!(
            clamped(r#","max_completion_tokens":5,"max_tokens":9"#, 7),
            [Some(7), Some(5)]
        );
        assert_eq!(
            clamped(r#","max_tokens":null,"max_completion_tokens":null"#, 7),
            [None, Some(7)]
        );
    }
}
