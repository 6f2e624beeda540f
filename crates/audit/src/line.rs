//! A record as a line of JSON, without what `serde_json` does for values that it knows nothing of: it looks at each
//! byte of each name for something to escape, which was most of what a record costs.

use std::cell::Cell;
use std::fmt::Display;
use std::io::Write;

use serde::ser::{Error as _, Impossible, Serialize, SerializeSeq, SerializeStruct, Serializer};
use serde_json::Error;

/// More than most records need. A line that needed more does not keep its memory.
const USUAL: usize = 4096;

thread_local! {
    /// The memory of this thread's last line: it is in the cache, and what comes from the allocator is not.
    static LAST: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Hands a value to `write` as a line of its own. Structs are written, not maps: their names are ours, and plain.
pub(crate) fn with_line<T>(value: &impl Serialize, write: impl FnOnce(&[u8]) -> T) -> T {
    // A thread that ends has none any more.
    let mut line = LAST.try_with(Cell::take).unwrap_or_default();
    line.clear();
    line.reserve(USUAL);
    value
        .serialize(Json(&mut line))
        .expect("memory takes every byte, and records have no keys but their names");
    line.push(b'\n');
    let written = write(&line);
    if line.capacity() <= USUAL {
        let _ = LAST.try_with(|last| last.set(line));
    }
    written
}

/// Writes one value behind what is there.
struct Json<'a>(&'a mut Vec<u8>);

impl Json<'_> {
    /// As `serde_json` writes it.
    fn plain(self, value: &(impl Serialize + ?Sized)) -> Result<(), Error> {
        serde_json::to_writer(self.0, value)
    }

    fn literal(self, text: &str) -> Result<(), Error> {
        self.0.extend_from_slice(text.as_bytes());
        Ok(())
    }
}

/// Whether a string is written as it is. Looked at as a whole, so that it is looked at many bytes at a time.
fn is_plain(text: &[u8]) -> bool {
    let special = |byte: u8| (byte < b' ') | (byte == b'"') | (byte == b'\\');
    !text
        .iter()
        .fold(false, |found, byte| found | special(*byte))
}

/// Nothing in a record has that form.
fn foreign<T>() -> Result<T, Error> {
    Err(Error::custom("a record has no such value"))
}

macro_rules! plain {
    ($($name:ident: $type:ty),*) => {
        $(fn $name(self, value: $type) -> Result<(), Error> {
            self.plain(&value)
        })*
    };
}

impl<'a> Serializer for Json<'a> {
    type Ok = ();
    type Error = Error;
    type SerializeSeq = Items<'a>;
    type SerializeStruct = Members<'a>;
    type SerializeTuple = Impossible<(), Error>;
    type SerializeTupleStruct = Impossible<(), Error>;
    type SerializeTupleVariant = Impossible<(), Error>;
    type SerializeMap = Impossible<(), Error>;
    type SerializeStructVariant = Impossible<(), Error>;

    plain! {
        serialize_i8: i8, serialize_i16: i16, serialize_i32: i32, serialize_i64: i64,
        serialize_u8: u8, serialize_u16: u16, serialize_u32: u32, serialize_u64: u64,
        serialize_f32: f32, serialize_f64: f64, serialize_char: char, serialize_bytes: &[u8]
    }

    fn serialize_bool(self, value: bool) -> Result<(), Error> {
        self.literal(if value { "true" } else { "false" })
    }

    fn serialize_str(self, text: &str) -> Result<(), Error> {
        if !is_plain(text.as_bytes()) {
            return self.plain(text);
        }
        self.0.push(b'"');
        self.0.extend_from_slice(text.as_bytes());
        self.0.push(b'"');
        Ok(())
    }

    fn collect_str<T: Display + ?Sized>(self, value: &T) -> Result<(), Error> {
        let start = self.0.len();
        write!(self.0, "\"{value}\"").map_err(Error::io)?;
        if is_plain(&self.0[start + 1..self.0.len() - 1]) {
            return Ok(());
        }
        self.0.truncate(start);
        self.serialize_str(&value.to_string())
    }

    fn serialize_none(self) -> Result<(), Error> {
        self.literal("null")
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Error> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<(), Error> {
        self.literal("null")
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<(), Error> {
        self.literal("null")
    }

    fn serialize_unit_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
    ) -> Result<(), Error> {
        self.serialize_str(variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<(), Error> {
        value.serialize(self)
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Items<'a>, Error> {
        self.0.push(b'[');
        Ok(Items {
            out: self.0,
            first: true,
        })
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Members<'a>, Error> {
        self.0.push(b'{');
        Ok(Members {
            out: self.0,
            first: true,
        })
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: &T,
    ) -> Result<(), Error> {
        foreign()
    }

    fn serialize_tuple(self, _: usize) -> Result<Self::SerializeTuple, Error> {
        foreign()
    }

    fn serialize_tuple_struct(
        self,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeTupleStruct, Error> {
        foreign()
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeTupleVariant, Error> {
        foreign()
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Self::SerializeMap, Error> {
        foreign()
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeStructVariant, Error> {
        foreign()
    }
}

struct Items<'a> {
    out: &'a mut Vec<u8>,
    first: bool,
}

impl SerializeSeq for Items<'_> {
    type Ok = ();
    type Error = Error;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, item: &T) -> Result<(), Error> {
        if !std::mem::replace(&mut self.first, false) {
            self.out.push(b',');
        }
        item.serialize(Json(self.out))
    }

    fn end(self) -> Result<(), Error> {
        self.out.push(b']');
        Ok(())
    }
}

struct Members<'a> {
    out: &'a mut Vec<u8>,
    first: bool,
}

impl SerializeStruct for Members<'_> {
    type Ok = ();
    type Error = Error;

    // Inlined, the name is a constant, and written as one.
    #[inline(always)]
    fn serialize_field<T: Serialize + ?Sized>(
        &mut self,
        name: &'static str,
        value: &T,
    ) -> Result<(), Error> {
        debug_assert!(is_plain(name.as_bytes()), "{name}");
        if !std::mem::replace(&mut self.first, false) {
            self.out.push(b',');
        }
        self.out.push(b'"');
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(b"\":");
        value.serialize(Json(self.out))
    }

    fn end(self) -> Result<(), Error> {
        self.out.push(b'}');
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(serde::Serialize)]
    struct Sample {
        text: &'static str,
        none: Option<u16>,
        some: Option<u16>,
        nothing: (),
        flags: Vec<bool>,
        #[serde(serialize_with = "displayed")]
        shown: &'static str,
        number: f64,
        below: Vec<Below>,
    }

    #[derive(serde::Serialize)]
    struct Below {
        name: char,
    }

    fn displayed<S: Serializer>(text: &&'static str, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(text)
    }

    #[test]
    fn it_is_what_serde_json_writes() {
        for text in [
            "",
            "plain",
            "ünïcode",
            "a \"word\"",
            "back\\slash",
            "line\nend",
            "\u{1}",
            "\u{7f}",
        ] {
            let sample = Sample {
                text,
                none: None,
                some: Some(7),
                nothing: (),
                flags: vec![true, false],
                shown: text,
                number: 0.25,
                below: vec![Below { name: '"' }, Below { name: 'x' }],
            };
            let mut expected = serde_json::to_vec(&sample).expect("serialisable");
            expected.push(b'\n');
            with_line(&sample, |line| assert_eq!(line, expected, "{text:?}"));
        }
    }

    #[test]
    fn a_line_within_a_line_and_a_long_one_are_whole() {
        let long = "x".repeat(2 * USUAL);
        let (outer, inner) = with_line(&"outer", |outer| {
            let inner = with_line(&long, <[u8]>::to_vec);
            (outer.to_vec(), inner)
        });
        assert_eq!(outer, b"\"outer\"\n");
        assert_eq!(inner, format!("\"{long}\"\n").into_bytes());
        with_line(&"next", |next| assert_eq!(next, b"\"next\"\n"));
    }
}
