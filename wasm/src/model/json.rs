//! Writing JSON, the few shapes that the page reads.

/// JSON under construction. Commas come by themselves.
#[derive(Default)]
pub(crate) struct Json(String);

impl Json {
    /// An object that `fill` fills.
    pub(crate) fn object(fill: impl FnOnce(&mut Json)) -> String {
        let mut json = Self::default();
        json.nested('{', '}', fill);
        json.0
    }

    pub(crate) fn array<T>(
        &mut self,
        key: &str,
        items: impl IntoIterator<Item = T>,
        mut each: impl FnMut(&mut Json, T),
    ) {
        self.key(key);
        self.nested('[', ']', |json| {
            for item in items {
                json.comma();
                each(json, item);
            }
        });
    }

    /// A field that is an object.
    pub(crate) fn within(&mut self, key: &str, fill: impl FnOnce(&mut Json)) {
        self.key(key);
        self.nested('{', '}', fill);
    }

    /// An object in an array.
    pub(crate) fn element(&mut self, fill: impl FnOnce(&mut Json)) {
        self.nested('{', '}', fill);
    }

    /// A field that is a text.
    pub(crate) fn text(&mut self, key: &str, value: &str) {
        self.key(key);
        self.quoted(value);
    }

    /// A field that is a number.
    pub(crate) fn number(&mut self, key: &str, value: f64) {
        self.key(key);
        if value.is_finite() {
            self.0.push_str(&value.to_string());
        } else {
            self.0.push_str("null");
        }
    }

    /// A field that is true or false.
    pub(crate) fn flag(&mut self, key: &str, value: bool) {
        self.key(key);
        self.0.push_str(if value { "true" } else { "false" });
    }

    /// A text in an array.
    pub(crate) fn quoted(&mut self, text: &str) {
        self.0.push('"');
        for c in text.chars() {
            match c {
                '"' | '\\' => self.0.extend(['\\', c]),
                '\n' => self.0.push_str("\\n"),
                c if c < ' ' => self.0.push_str(&format!("\\u{:04x}", c as u32)),
                c => self.0.push(c),
            }
        }
        self.0.push('"');
    }

    fn key(&mut self, key: &str) {
        self.comma();
        self.quoted(key);
        self.0.push(':');
    }

    fn comma(&mut self) {
        if !self.0.ends_with(['{', '[', ':']) && !self.0.is_empty() {
            self.0.push(',');
        }
    }

    fn nested(&mut self, open: char, close: char, fill: impl FnOnce(&mut Json)) {
        self.0.push(open);
        fill(self);
        self.0.push(close);
    }
}

#[cfg(test)]
mod tests {
    use super::Json;

    #[test]
    fn commas_and_escapes() {
        let json = Json::object(|json| {
            json.text("a", "\"\\\n\u{1}é[");
            json.array("b", [1, 2], |json, at| {
                json.element(|json| json.number("n", f64::from(at)));
            });
            json.within("c", |_| {});
            json.number("d", f64::NAN);
        });
        assert_eq!(
            json,
            r#"{"a":"\"\\\n\u0001é[","b":[{"n":1},{"n":2}],"c":{},"d":null}"#
        );
    }
}
