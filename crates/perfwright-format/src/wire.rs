//! The protobuf wire format: varints, fields, length-prefixed parts.
//!
//! <https://protobuf.dev/programming-guides/encoding/>

use crate::{Error, ErrorKind, Place};

/// A varint of 64 bits takes at most ten bytes.
const MAX_VARINT_LEN: usize = 10;

const CUT_SHORT: &str = "the file is cut short, copy it again";

/// Reads the fields of one message.
#[derive(Clone, Debug)]
pub(crate) struct Fields<'a> {
    rest: &'a [u8],
    /// Where `rest` ends in the whole input.
    end: usize,
}

/// One field of a message.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Field<'a> {
    pub(crate) number: u64,
    pub(crate) value: Value<'a>,
    /// Where its tag is in the whole input.
    pub(crate) offset: usize,
}

/// A field's value, by wire type.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Value<'a> {
    Varint(u64),
    Fixed,
    /// The bytes, and where they start in the whole input.
    Bytes(&'a [u8], usize),
    Group,
}

impl<'a> Fields<'a> {
    pub(crate) fn new(bytes: &'a [u8], offset: usize) -> Self {
        Self {
            rest: bytes,
            end: offset + bytes.len(),
        }
    }

    /// Where the rest begins in the whole input.
    #[inline]
    pub(crate) fn offset(&self) -> usize {
        self.end - self.rest.len()
    }

    /// The next field; `None` at the end of the message.
    #[inline]
    pub(crate) fn next(&mut self) -> Result<Option<Field<'a>>, Error> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let offset = self.offset();
        let tag = self.varint()?;
        let value = self.value(tag, offset)?;
        let number = tag >> 3;
        if number == 0 || tag > u32::MAX.into() {
            let message = format!("field number {number} does not exist in protobuf");
            return Err(malformed(offset, message));
        }
        Ok(Some(Field {
            number,
            value,
            offset,
        }))
    }

    fn value(&mut self, tag: u64, offset: usize) -> Result<Value<'a>, Error> {
        match tag & 7 {
            0 => Ok(Value::Varint(self.varint()?)),
            1 => self.take(8).map(|_| Value::Fixed),
            2 => {
                let len = self.varint()?;
                let start = self.offset();
                // Longer than the address space is longer than the input, too.
                let len = usize::try_from(len).unwrap_or(usize::MAX);
                Ok(Value::Bytes(self.take(len)?, start))
            }
            3 => self.skip_group(tag >> 3).map(|()| Value::Group),
            5 => self.take(4).map(|_| Value::Fixed),
            other => Err(malformed(
                offset,
                format!("wire type {other} does not exist in protobuf"),
            )),
        }
    }

    /// Skips to the end of a group (proto2's old kind of nested message), without recursion.
    fn skip_group(&mut self, number: u64) -> Result<(), Error> {
        let mut open = vec![number];
        while let Some(&innermost) = open.last() {
            let offset = self.offset();
            let tag = self.varint()?;
            match tag & 7 {
                3 => open.push(tag >> 3),
                4 if tag >> 3 == innermost => drop(open.pop()),
                4 => return Err(malformed(offset, "a group ends that never began")),
                _ => drop(self.value(tag, offset)?),
            }
        }
        Ok(())
    }

    #[inline]
    pub(crate) fn varint(&mut self) -> Result<u64, Error> {
        if let [byte @ 0..0x80, rest @ ..] = self.rest {
            self.rest = rest;
            return Ok((*byte).into());
        }
        self.long_varint()
    }

    fn long_varint(&mut self) -> Result<u64, Error> {
        let mut value = 0;
        for (position, &byte) in self.rest.iter().take(MAX_VARINT_LEN).enumerate() {
            value |= u64::from(byte & 0x7f) << (7 * position);
            if byte >= 0x80 {
                continue;
            }
            if position == MAX_VARINT_LEN - 1 && byte > 1 {
                break;
            }
            self.rest = &self.rest[position + 1..];
            return Ok(value);
        }
        if self.rest.len() < MAX_VARINT_LEN {
            return Err(truncated(
                self.offset(),
                "a number ends before its last byte",
            ));
        }
        Err(malformed(self.offset(), "a number of more than 64 bits"))
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8], Error> {
        let Some((taken, rest)) = self.rest.split_at_checked(len) else {
            let have = self.rest.len();
            let message = format!("{len} bytes are announced, but only {have} follow");
            return Err(truncated(self.offset(), &message));
        };
        self.rest = rest;
        Ok(taken)
    }
}

impl<'a> Field<'a> {
    /// The value of an integer or bool field.
    #[inline]
    pub(crate) fn varint(&self) -> Result<u64, Error> {
        match self.value {
            Value::Varint(value) => Ok(value),
            _ => Err(self.wrong_type("an integer")),
        }
    }

    /// The value of an int64 field.
    #[inline]
    pub(crate) fn int(&self) -> Result<i64, Error> {
        self.varint().map(u64::cast_signed)
    }

    /// The bytes of a string field and where they start.
    #[inline]
    pub(crate) fn bytes(&self) -> Result<(&'a [u8], usize), Error> {
        match self.value {
            Value::Bytes(bytes, start) => Ok((bytes, start)),
            _ => Err(self.wrong_type("a string or message")),
        }
    }

    /// The fields of a message field.
    #[inline]
    pub(crate) fn message(&self) -> Result<Fields<'a>, Error> {
        let (bytes, start) = self.bytes()?;
        Ok(Fields::new(bytes, start))
    }

    /// The values of a repeated integer field, packed or not.
    #[inline]
    pub(crate) fn varints(&self) -> Result<Varints<'a>, Error> {
        let (single, packed) = match self.value {
            Value::Varint(value) => (Some(value), Fields::new(&[], self.offset)),
            Value::Bytes(bytes, start) => (None, Fields::new(bytes, start)),
            _ => return Err(self.wrong_type("a list of integers")),
        };
        Ok(Varints { single, packed })
    }

    fn wrong_type(&self, expected: &str) -> Error {
        let message = format!("field {} should be {expected} and is not", self.number);
        malformed(self.offset, message)
    }
}

/// The values of a repeated integer field.
#[derive(Debug)]
pub(crate) struct Varints<'a> {
    /// One that is not packed.
    single: Option<u64>,
    packed: Fields<'a>,
}

impl Varints<'_> {
    /// The next value. In the viewer this crate is compiled to be small, but a stack has many of them.
    #[inline(always)]
    pub(crate) fn next(&mut self) -> Result<Option<u64>, Error> {
        match *self.packed.rest {
            [] => Ok(self.single.take()),
            [value @ 0..0x80, ref rest @ ..] => {
                self.packed.rest = rest;
                Ok(Some(value.into()))
            }
            [low, high @ 0..0x80, ref rest @ ..] => {
                self.packed.rest = rest;
                Ok(Some(u64::from(high) << 7 | u64::from(low & 0x7f)))
            }
            _ => self.packed.long_varint().map(Some),
        }
    }
}

fn malformed(offset: usize, message: impl Into<String>) -> Error {
    let message = message.into() + ": the file is damaged, or no pprof profile";
    Error::new(ErrorKind::Malformed, "pprof", Place::byte(offset), message)
}

fn truncated(offset: usize, message: &str) -> Error {
    let message = format!("{message}: {CUT_SHORT}");
    Error::new(ErrorKind::Truncated, "pprof", Place::byte(offset), message)
}

/// Appends a varint.
#[inline]
pub(crate) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Appends an integer field; zero is the default and is left out.
#[inline]
pub(crate) fn put_uint(out: &mut Vec<u8>, field: u8, value: u64) {
    if value != 0 {
        out.push(field << 3);
        put_varint(out, value);
    }
}

/// Appends an int64 field; zero is the default and is left out.
#[inline]
pub(crate) fn put_int(out: &mut Vec<u8>, field: u8, value: i64) {
    put_uint(out, field, value.cast_unsigned());
}

/// Appends a string, a message or a packed list.
#[inline]
pub(crate) fn put_bytes(out: &mut Vec<u8>, field: u8, bytes: &[u8]) {
    out.push(field << 3 | 2);
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(bytes: &[u8]) -> Result<Option<Field<'_>>, Error> {
        Fields::new(bytes, 0).next()
    }

    #[test]
    fn varints_come_back() {
        for value in [0, 1, 127, 128, 300, u64::from(u32::MAX), 1 << 63, u64::MAX] {
            let mut bytes = Vec::new();
            put_varint(&mut bytes, value);
            let mut fields = Fields::new(&bytes, 0);
            assert_eq!(fields.varint(), Ok(value));
            assert_eq!(fields.offset(), bytes.len());
        }
    }

    #[test]
    fn padded_varints_are_read_and_oversized_ones_refused() {
        assert_eq!(Fields::new(&[0x85, 0x80, 0x00], 0).varint(), Ok(5));
        let kind = |bytes: &[u8]| Fields::new(bytes, 0).varint().map_err(|error| error.kind());
        assert_eq!(kind(&[0xff; 9]), Err(ErrorKind::Truncated));
        assert_eq!(kind(&[0xff; 10]), Err(ErrorKind::Malformed));
        let mut two_to_64 = [0x80; 10];
        two_to_64[9] = 2;
        assert_eq!(kind(&two_to_64), Err(ErrorKind::Malformed));
    }

    #[test]
    fn groups_are_skipped_however_deep() {
        let mut bytes = vec![0x9b, 0x06]; // field 99, group
        bytes.extend([0x0b; 100_000]);
        bytes.extend([0x0c; 100_000]);
        bytes.extend([0x9c, 0x06]);
        let field = one(&bytes).unwrap().unwrap();
        assert!(matches!(field.value, Value::Group));
        assert_eq!(one(&[0x0b, 0x14]).unwrap_err().kind(), ErrorKind::Malformed);
        assert_eq!(one(&[0x0b]).unwrap_err().kind(), ErrorKind::Truncated);
    }

    #[test]
    fn errors_name_the_byte() {
        let mut fields = Fields::new(&[0x08, 0x01, 0x12, 0x7f, 0x00], 100);
        fields.next().unwrap();
        let error = fields.next().unwrap_err();
        assert_eq!(error.place(), Place::byte(104));
        assert_eq!(
            error.to_string(),
            "read pprof (byte 104): 127 bytes are announced, but only 1 follow: \
             the file is cut short, copy it again"
        );
    }
}
