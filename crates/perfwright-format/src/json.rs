//! Reading JSON as it comes, without a tree of values.
//!
//! A reader here walks along the bytes and takes what it wants: an error then has its byte, whether the text is no
//! JSON or an index points nowhere, no value that is skipped costs memory, and the code stays small for wasm.
//! A test compares it to serde_json.

use std::borrow::Cow;

use crate::{Error, ErrorKind, Place};

/// A position in a JSON text.
#[derive(Clone)]
pub(crate) struct Json<'a> {
    bytes: &'a [u8],
    at: usize,
    /// The format's name in errors.
    subject: &'static str,
    /// Arrays may end with the text or with a comma: Chrome's traces of programs that crashed do.
    pub(crate) lenient: bool,
}

/// What stands at a position.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    Object,
    Array,
    Text,
    Number,
    Bool,
    Null,
}

/// What a reader does with a field or an item. What it does not read is skipped.
type EachField<'f, 'a> = &'f mut dyn FnMut(&mut Json<'a>, &str) -> Result<(), Error>;
type EachItem<'f, 'a> = &'f mut dyn FnMut(&mut Json<'a>, usize) -> Result<(), Error>;

/// No writer nests what is skipped as deep.
const MAX_NESTING: usize = 64 << 10;

impl<'a> Json<'a> {
    pub(crate) fn new(bytes: &'a [u8], subject: &'static str) -> Self {
        let at = if bytes.starts_with(b"\xef\xbb\xbf") {
            3
        } else {
            0
        };
        Self {
            bytes,
            at,
            subject,
            lenient: false,
        }
    }

    pub(crate) fn place(&self) -> Place {
        Place::byte(self.at)
    }

    pub(crate) fn error(&self, kind: ErrorKind, message: impl Into<String>) -> Error {
        Error::new(kind, self.subject, self.place(), message)
    }

    pub(crate) fn malformed(&self, message: impl Into<String>) -> Error {
        self.error(ErrorKind::Malformed, message)
    }

    /// Calls `each` with every field of the object here. `null` has none.
    pub(crate) fn fields(&mut self, each: EachField<'_, 'a>) -> Result<(), Error> {
        if self.null()? {
            return Ok(());
        }
        self.enter(b'{', "an object")?;
        let mut first = true;
        while let Some(key) = self.next_key(&mut first)? {
            self.blank();
            let start = self.at;
            each(self, &key)?;
            if self.at == start {
                self.skip()?;
            }
        }
        Ok(())
    }

    /// Calls `each` with every item of the array here and its index. `null` has none.
    pub(crate) fn items(&mut self, each: EachItem<'_, 'a>) -> Result<(), Error> {
        if self.null()? {
            return Ok(());
        }
        self.enter(b'[', "an array")?;
        let mut index = 0;
        while self.next_item(index == 0)? {
            let start = self.at;
            each(self, index)?;
            if self.at == start {
                self.skip()?;
            }
            index += 1;
        }
        Ok(())
    }

    /// Steps into an object, for readers of nested trees: then [`Json::next_key`] until there is none.
    pub(crate) fn enter_object(&mut self) -> Result<(), Error> {
        self.enter(b'{', "an object")
    }

    /// Steps into an array: then [`Json::next_item`] until there is none.
    pub(crate) fn enter_array(&mut self) -> Result<(), Error> {
        self.enter(b'[', "an array")
    }

    /// The next key of the object that was entered, or its end.
    pub(crate) fn next_key(&mut self, first: &mut bool) -> Result<Option<Cow<'a, str>>, Error> {
        if !self.next(b'}', std::mem::replace(first, false))? {
            return Ok(None);
        }
        let key = self.text()?;
        self.blank();
        if self.peek() != Some(b':') {
            return Err(self.expected("`:`"));
        }
        self.at += 1;
        self.blank();
        Ok(Some(key))
    }

    /// There is another item in the array that was entered.
    pub(crate) fn next_item(&mut self, first: bool) -> Result<bool, Error> {
        self.next(b']', first)
    }

    /// What stands here.
    pub(crate) fn kind(&mut self) -> Result<Kind, Error> {
        self.blank();
        match self.peek() {
            Some(b'{') => Ok(Kind::Object),
            Some(b'[') => Ok(Kind::Array),
            Some(b'"') => Ok(Kind::Text),
            Some(b'-' | b'0'..=b'9') => Ok(Kind::Number),
            Some(b't' | b'f') => Ok(Kind::Bool),
            Some(b'n') => Ok(Kind::Null),
            _ => Err(self.expected("a value")),
        }
    }

    /// The text here; what is not UTF-8 becomes U+FFFD.
    pub(crate) fn text(&mut self) -> Result<Cow<'a, str>, Error> {
        self.blank();
        if self.peek() != Some(b'"') {
            return Err(self.expected("a text"));
        }
        let start = self.at + 1;
        let (end, escaped) = self.end_of_text(start)?;
        self.at = end + 1;
        let bytes = &self.bytes[start..end];
        if escaped {
            return Ok(Cow::Owned(unescape(&String::from_utf8_lossy(bytes))));
        }
        Ok(String::from_utf8_lossy(bytes))
    }

    /// The text here; empty if something else is here.
    pub(crate) fn text_or_empty(&mut self) -> Result<Cow<'a, str>, Error> {
        if self.kind()? == Kind::Text {
            return self.text();
        }
        self.skip()?;
        Ok(Cow::Borrowed(""))
    }

    /// The number here.
    pub(crate) fn number(&mut self) -> Result<f64, Error> {
        self.blank();
        let start = self.at;
        let end = self.end_of_number();
        let text = std::str::from_utf8(&self.bytes[start..end]).unwrap_or("");
        // Whole numbers of up to 15 digits are exact, and most are such.
        if let Ok(number) = text.parse::<i64>()
            && text.len() <= 15
        {
            self.at = end;
            return Ok(number as f64);
        }
        match text.parse::<f64>() {
            Ok(number) if number.is_finite() && !text.starts_with('+') => {
                self.at = end;
                Ok(number)
            }
            _ => Err(self.expected("a number")),
        }
    }

    /// The number here, rounded to a whole one and kept within 64 bits.
    pub(crate) fn int(&mut self) -> Result<i64, Error> {
        self.blank();
        let end = self.end_of_number();
        if let Ok(Ok(number)) = std::str::from_utf8(&self.bytes[self.at..end]).map(str::parse) {
            self.at = end;
            return Ok(number);
        }
        Ok(self.number()?.round() as i64)
    }

    /// The number here, or `None` if something else is here.
    pub(crate) fn maybe_number(&mut self) -> Result<Option<f64>, Error> {
        if self.kind()? == Kind::Number {
            return self.number().map(Some);
        }
        self.skip()?;
        Ok(None)
    }

    /// An index into a table of `len` entries.
    pub(crate) fn index(&mut self, what: &str, len: usize) -> Result<usize, Error> {
        self.blank();
        let before = self.clone();
        let index = self.int()?;
        match usize::try_from(index) {
            Ok(index) if index < len => Ok(index),
            _ => {
                let message = format!("{what} {index} is used, of {len} in the file");
                Err(before.error(ErrorKind::Dangling, message))
            }
        }
    }

    /// `true` or `false`; anything else is `false`.
    pub(crate) fn bool(&mut self) -> Result<bool, Error> {
        self.blank();
        let is_true = self.bytes[self.at..].starts_with(b"true");
        self.skip()?;
        Ok(is_true)
    }

    /// Steps over `null`, if it is here.
    pub(crate) fn null(&mut self) -> Result<bool, Error> {
        self.blank();
        let is_null = self.bytes[self.at..].starts_with(b"null");
        if is_null {
            self.skip()?;
        }
        Ok(is_null)
    }

    /// The position of the value here, to be read later; steps over it.
    pub(crate) fn later(&mut self) -> Result<Self, Error> {
        self.blank();
        let value = self.clone();
        self.skip()?;
        Ok(value)
    }

    /// Steps over a value of any kind, nested without recursion.
    pub(crate) fn skip(&mut self) -> Result<(), Error> {
        let mut open: Vec<u8> = Vec::new();
        loop {
            match self.kind()? {
                kind @ (Kind::Object | Kind::Array) => {
                    if open.len() >= MAX_NESTING {
                        return Err(self.error(
                            ErrorKind::Limit,
                            format!("nested deeper than {MAX_NESTING}"),
                        ));
                    }
                    self.at += 1;
                    open.push(if kind == Kind::Object { b'}' } else { b']' });
                    if self.step(&mut open, true)? {
                        continue;
                    }
                }
                Kind::Text => {
                    let (end, _) = self.end_of_text(self.at + 1)?;
                    self.at = end + 1;
                }
                Kind::Number => {
                    let end = self.end_of_number();
                    self.at = end;
                }
                Kind::Bool | Kind::Null => self.word()?,
            }
            if !self.step(&mut open, false)? {
                return Ok(());
            }
        }
    }

    /// Goes on to the next value of what is open, closing what ends. `false`: nothing is open any more.
    fn step(&mut self, open: &mut Vec<u8>, mut first: bool) -> Result<bool, Error> {
        while let Some(&close) = open.last() {
            if close == b'}' {
                if self.next_key(&mut first)?.is_some() {
                    return Ok(true);
                }
            } else if self.next_item(first)? {
                return Ok(true);
            }
            open.pop();
            first = false;
        }
        Ok(false)
    }

    /// Nothing but blank space follows.
    pub(crate) fn finish(&mut self) -> Result<(), Error> {
        self.blank();
        match self.peek() {
            None => Ok(()),
            Some(_) => {
                Err(self
                    .malformed("more text follows the end of the JSON: is it two files in one?"))
            }
        }
    }

    fn enter(&mut self, open: u8, what: &str) -> Result<(), Error> {
        self.blank();
        if self.peek() != Some(open) {
            return Err(self.expected(what));
        }
        self.at += 1;
        Ok(())
    }

    /// Steps to the next field or item, or over the end.
    fn next(&mut self, close: u8, first: bool) -> Result<bool, Error> {
        self.blank();
        if self.lenient && close == b']' && self.peek().is_none() {
            return Ok(false);
        }
        if self.peek() == Some(close) {
            self.at += 1;
            return Ok(false);
        }
        if !first {
            if self.peek() != Some(b',') {
                return Err(self.expected(if close == b']' {
                    "`,` or `]`"
                } else {
                    "`,` or `}`"
                }));
            }
            self.at += 1;
            self.blank();
            if self.lenient && close == b']' && matches!(self.peek(), None | Some(b']')) {
                self.at += usize::from(self.peek().is_some());
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn blank(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    fn word(&mut self) -> Result<(), Error> {
        let rest = &self.bytes[self.at..];
        for word in ["true", "false", "null"] {
            if rest.starts_with(word.as_bytes()) {
                self.at += word.len();
                return Ok(());
            }
        }
        Err(self.expected("a value"))
    }

    fn end_of_number(&self) -> usize {
        let in_number = |byte: &u8| matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E');
        let rest = &self.bytes[self.at..];
        self.at
            + rest
                .iter()
                .position(|byte| !in_number(byte))
                .unwrap_or(rest.len())
    }

    /// Where the text ends that starts here, and whether it holds escapes.
    fn end_of_text(&self, start: usize) -> Result<(usize, bool), Error> {
        let (mut at, mut escaped) = (start, false);
        loop {
            match self.bytes.get(at) {
                Some(b'"') => return Ok((at, escaped)),
                Some(b'\\') => {
                    escaped = true;
                    at += 2;
                }
                Some(_) => at += 1,
                None => {
                    let message = "a text does not end: the file was cut short";
                    return Err(self.error(ErrorKind::Truncated, message));
                }
            }
        }
    }

    fn expected(&self, what: &str) -> Error {
        match self.peek() {
            None => self.error(
                ErrorKind::Truncated,
                format!("the file ends where {what} should be: it was cut short"),
            ),
            Some(byte) => {
                let found = char::from(byte).escape_default();
                self.malformed(format!("`{found}` where {what} should be"))
            }
        }
    }
}

/// Replaces the escapes of JSON; wrong ones are kept as they are, lone surrogates become U+FFFD.
fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let Some(escape) = rest.chars().next() else {
            break;
        };
        rest = &rest[escape.len_utf8()..];
        match escape {
            'n' => out.push('\n'),
            't' => out.push('\t'),
            'r' => out.push('\r'),
            'b' => out.push('\u{8}'),
            'f' => out.push('\u{c}'),
            'u' => rest = unescape_unicode(rest, &mut out),
            other => out.push(other),
        }
    }
    out.push_str(rest);
    out
}

/// After `\u`: four hex digits, or twice that with another `\u` between.
fn unescape_unicode<'t>(rest: &'t str, out: &mut String) -> &'t str {
    let unit = |text: &str| {
        text.get(..4)
            .and_then(|digits| u32::from_str_radix(digits, 16).ok())
    };
    let Some(high) = unit(rest) else {
        out.push(char::REPLACEMENT_CHARACTER);
        return rest;
    };
    let after = &rest[4..];
    let low = after
        .strip_prefix("\\u")
        .and_then(unit)
        .filter(|low| (0xdc00..0xe000).contains(low));
    if let (0xd800..0xdc00, Some(low)) = (high, low) {
        let code = 0x1_0000 + ((high - 0xd800) << 10) + (low - 0xdc00);
        out.push(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
        return &after[6..];
    }
    out.push(char::from_u32(high).unwrap_or(char::REPLACEMENT_CHARACTER));
    after
}

/// Writes a text as JSON.
pub(crate) fn write_text(out: &mut impl std::io::Write, text: &str) -> std::io::Result<()> {
    out.write_all(b"\"")?;
    let mut start = 0;
    for (at, byte) in text.bytes().enumerate() {
        if byte >= 0x20 && byte != b'"' && byte != b'\\' {
            continue;
        }
        out.write_all(&text.as_bytes()[start..at])?;
        match byte {
            b'"' | b'\\' => out.write_all(&[b'\\', byte])?,
            _ => write!(out, "\\u{byte:04x}")?,
        }
        start = at + 1;
    }
    out.write_all(&text.as_bytes()[start..])?;
    out.write_all(b"\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(text: &str) -> Json<'_> {
        Json::new(text.as_bytes(), "test")
    }

    #[test]
    fn texts_are_unescaped() {
        let text = |text| json(text).text().unwrap().into_owned();
        assert_eq!(
            text(r#" "a\"\\\/\n\tA\u00e4\ud83d\ude00" "#),
            "a\"\\/\n\tA\u{e4}\u{1f600}"
        );
        assert_eq!(text(r#""\ud83dx\ude00""#), "\u{fffd}x\u{fffd}");
        assert_eq!(text(r#""\u12""#), "\u{fffd}12");
        let mut written = Vec::new();
        write_text(&mut written, "a\"\\\n\u{e4}\u{1}").unwrap();
        assert_eq!(
            String::from_utf8(written).unwrap(),
            "\"a\\\"\\\\\\u000a\u{e4}\\u0001\""
        );
    }

    #[test]
    fn errors_say_what_is_missing_and_where() {
        let cases = [
            ("", "byte 0", "ends where a value"),
            ("[1 2]", "byte 3", "`2` where `,` or `]`"),
            ("{\"a\" 1}", "byte 5", "`1` where `:`"),
            ("{a}", "byte 1", "`a` where a text"),
            ("[1,]", "byte 3", "`]` where a value"),
            ("[\"abc", "byte 1", "does not end"),
            ("[tru]", "byte 1", "`t` where a value"),
            ("[1}", "byte 2", "`}` where `,` or `]`"),
        ];
        for (text, place, message) in cases {
            let error = json(text).skip().unwrap_err().to_string();
            assert!(
                error.contains(place) && error.contains(message),
                "{text}: {error}"
            );
        }
    }

    #[test]
    fn deep_nesting_is_skipped_or_refused_without_recursion() {
        let deep = |depth| "[".repeat(depth) + &"]".repeat(depth);
        json(&deep(60_000)).skip().unwrap();
        assert_eq!(
            json(&deep(70_000)).skip().unwrap_err().kind(),
            ErrorKind::Limit
        );
    }

    #[test]
    fn arrays_that_were_cut_short_are_read_where_that_is_usual() {
        for text in ["[1,2", "[1,2,", "[1,2,]", "[1,2]", "[1,2 ,\n"] {
            let mut lenient = json(text);
            lenient.lenient = true;
            let mut sum = 0.0;
            lenient
                .items(&mut |item, _| item.number().map(|number| sum += number))
                .unwrap();
            assert_eq!(sum, 3.0, "{text}");
        }
    }

    /// A value in one notation, read here; keys in order, the last of equal ones; -0 is 0.
    fn ours(json: &mut Json<'_>) -> Result<String, Error> {
        use std::collections::BTreeMap;
        Ok(match json.kind()? {
            Kind::Object => {
                let mut fields = BTreeMap::new();
                json.fields(&mut |json, key| {
                    let value = ours(json)?;
                    fields.insert(key.to_owned(), value);
                    Ok(())
                })?;
                format!("{fields:?}")
            }
            Kind::Array => {
                let mut items = Vec::new();
                json.items(&mut |json, _| ours(json).map(|item| items.push(item)))?;
                format!("{items:?}")
            }
            Kind::Text => format!("{:?}", json.text()?),
            Kind::Number => format!("{:.10e}", json.number()? + 0.0),
            Kind::Bool => json.bool()?.to_string(),
            Kind::Null => json.null().map(|_| "null".to_owned())?,
        })
    }

    /// The same, read by serde_json.
    fn theirs(value: &serde_json::Value) -> String {
        use serde_json::Value;
        match value {
            Value::Object(fields) => {
                let fields: std::collections::BTreeMap<_, _> = fields
                    .iter()
                    .map(|(key, value)| (key, theirs(value)))
                    .collect();
                format!("{fields:?}")
            }
            Value::Array(items) => format!("{:?}", items.iter().map(theirs).collect::<Vec<_>>()),
            Value::String(text) => format!("{text:?}"),
            Value::Number(number) => format!("{:.10e}", number.as_f64().unwrap() + 0.0),
            Value::Bool(value) => value.to_string(),
            Value::Null => "null".to_owned(),
        }
    }

    #[test]
    fn what_serde_json_reads_is_read_the_same() {
        let seed = r#" {"a":[1,-2.5e3,0.125,1e-7,12345678901234567890,true,false,null,[],{}],"\u00e4\n":"x\"\\y",
            "nested":{"deep":[[[{"b":"\ud83d\ude00"}]],"last"]},"":-0} "#;
        let pieces = [
            "1", "-", ".5", "e9", "\"", "\\", ",", ":", "[", "]", "{", "}", "null", "\\u0041", " ",
            "\n",
        ];
        let mut state = 0x5eed_u64;
        let mut random = |bound: usize| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as usize % bound
        };
        let mut accepted = 0;
        for round in 0..30_000 {
            let mut text = seed.to_owned();
            for _ in 0..round.min(1 + random(3)) {
                let starts: Vec<_> = text.char_indices().map(|(at, _)| at).collect();
                let at = starts[random(starts.len())];
                match random(3) {
                    0 => drop(text.remove(at)),
                    1 => text.insert_str(at, pieces[random(pieces.len())]),
                    _ => {
                        text.remove(at);
                        text.insert_str(at, pieces[random(pieces.len())]);
                    }
                }
            }
            let Ok(value) = serde_json::from_str::<serde_json::Value>(&text) else {
                // What is lenient here must still end.
                let _ = json(&text).skip();
                continue;
            };
            accepted += 1;
            let mut json = json(&text);
            let read = ours(&mut json).unwrap_or_else(|error| panic!("{text}: {error}"));
            json.finish().unwrap();
            assert_eq!(read, theirs(&value), "{text}");
            let mut json = Json::new(text.as_bytes(), "test");
            json.skip().unwrap();
            json.finish().unwrap();
        }
        assert!(accepted > 3_000, "only {accepted} of 30000 were JSON");
    }
}
