//! What statements have in common: the statement without its values.

/// Longer templates are cut, since they are labels and path elements.
const MAX_BYTES: usize = 240;

/// Normalises an SQL statement: literals and placeholders become `?`, lists of them one `?`, rows of them one row;
/// comments go, white space is one blank. `"x"` is taken for an identifier, as the standard says.
///
/// Statements that differ in nothing else get one template, and none of their data is in it.
pub(crate) fn template(sql: &str) -> String {
    let mut out = Template::default();
    let mut rest = sql;
    while let Some(first) = rest.chars().next() {
        if out.text.len() > MAX_BYTES {
            break;
        }
        let after = &rest[first.len_utf8()..];
        rest = match first {
            c if c.is_whitespace() => out.blank(after),
            '-' if after.starts_with('-') => out.blank(after_any(after, "\n")),
            '/' if after.starts_with('*') => out.blank(after_any(&after[1..], "*/")),
            '\'' => out.value(after_string(after, out.is_escaped())),
            '$' => match dollar_string(rest) {
                Some(after) => out.value(after),
                None => out.value(after_word(after)),
            },
            '?' => out.value(after_word(after)),
            ':' if after.starts_with(':') => out.push(rest, 2),
            // A part of an array, not a placeholder.
            ':' if out.is_tight() => out.push(rest, 1),
            ':' | '@' if after.starts_with(is_word) => out.value(after_word(after)),
            '"' | '`' => out.push(rest, 1 + quoted_len(after, first)),
            c if c.is_ascii_digit() => out.number(after_number(rest)),
            '.' if after.starts_with(|c: char| c.is_ascii_digit()) => {
                out.number(after_number(after))
            }
            c if is_word(c) => out.push(rest, rest.len() - after_word(rest).len()),
            ')' => out.close(after),
            c => out.push(rest, c.len_utf8()),
        };
    }
    out.finish()
}

#[derive(Default)]
struct Template {
    text: String,
    is_blank: bool,
}

impl Template {
    fn blank<'a>(&mut self, rest: &'a str) -> &'a str {
        self.is_blank = true;
        rest
    }

    fn put(&mut self, text: &str) {
        let is_blank = std::mem::take(&mut self.is_blank);
        let is_tight =
            self.text.is_empty() || self.text.ends_with('(') || matches!(text, ")" | "," | ";");
        if is_blank && !is_tight {
            self.text.push(' ');
        }
        self.text.push_str(text);
    }

    fn push<'a>(&mut self, rest: &'a str, bytes: usize) -> &'a str {
        let (token, rest) = rest.split_at(bytes);
        self.put(token);
        rest
    }

    fn value<'a>(&mut self, rest: &'a str) -> &'a str {
        // A string of several parts, and a prefix as in E'..' or X'..', are one value.
        if !self.is_blank
            && self
                .text
                .ends_with(['E', 'e', 'X', 'x', 'N', 'n', 'B', 'b'])
        {
            let before = &self.text[..self.text.len() - 1];
            if !before.ends_with(is_word) {
                self.text.pop();
            }
        }
        let list = self.text.trim_end_matches(' ');
        match list.strip_suffix(',') {
            Some(list) if list.ends_with('?') => {
                self.text.truncate(list.len());
                self.is_blank = false;
            }
            _ => self.put("?"),
        }
        rest
    }

    fn number<'a>(&mut self, rest: &'a str) -> &'a str {
        // A sign after an operator is the number's.
        if let Some(before) = self.text.strip_suffix(['-', '+']) {
            let before = before.trim_end();
            if before.ends_with(['(', ',', '=', '<', '>', '*', '/', '%', '+', '-']) {
                let is_blank = self.text[before.len()..].starts_with(' ');
                self.text.truncate(before.len());
                self.is_blank = is_blank;
            }
        }
        self.value(rest)
    }

    fn close<'a>(&mut self, rest: &'a str) -> &'a str {
        self.put(")");
        for rows in ["(?),(?)", "(?), (?)"] {
            if self.text.ends_with(rows) {
                self.text
                    .truncate(self.text.len() - rows.len() + "(?)".len());
            }
        }
        rest
    }

    fn is_tight(&self) -> bool {
        !self.is_blank && self.text.ends_with(|c| is_word(c) || c == '?')
    }

    /// The string that begins is of the kind in which a backslash escapes.
    fn is_escaped(&self) -> bool {
        let prefix = self.text.strip_suffix(['E', 'e']);
        !self.is_blank && prefix.is_some_and(|before| !before.ends_with(is_word))
    }

    fn finish(mut self) -> String {
        let end = self.text.trim_end_matches([';', ' ']).len();
        self.text.truncate(end);
        if self.text.len() > MAX_BYTES {
            self.text.truncate(self.text.floor_char_boundary(MAX_BYTES));
            self.text.push('…');
        }
        self.text
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn after_word(text: &str) -> &str {
    text.trim_start_matches(is_word)
}

fn after_any<'a>(text: &'a str, end: &str) -> &'a str {
    text.split_once(end).map_or("", |(_, after)| after)
}

/// After `1`, `1.5`, `1e-3`, `0xff`.
fn after_number(text: &str) -> &str {
    let mut rest = text;
    loop {
        let after = rest.trim_start_matches(|c: char| is_word(c) || c == '.');
        let number = &text[..text.len() - after.len()];
        let is_hex = number.starts_with("0x") || number.starts_with("0X");
        match after.strip_prefix(['-', '+']) {
            Some(exponent)
                if !is_hex
                    && number.ends_with(['e', 'E'])
                    && exponent.starts_with(|c: char| c.is_ascii_digit()) =>
            {
                rest = exponent;
            }
            _ => return after,
        }
    }
}

fn after_string(text: &str, is_escaped: bool) -> &str {
    let mut rest = text;
    while let Some(at) = rest.find(['\'', '\\']) {
        let after = &rest[at + 1..];
        rest = if rest[at..].starts_with('\\') {
            let skipped = after.chars().next().filter(|_| is_escaped);
            &after[skipped.map_or(0, char::len_utf8)..]
        } else if let Some(after) = after.strip_prefix('\'') {
            after
        } else {
            return after;
        };
    }
    ""
}

/// After `$$ … $$` or `$tag$ … $tag$`.
fn dollar_string(text: &str) -> Option<&str> {
    let tag = &text[1..text.len() - after_word(&text[1..]).len()];
    if tag.starts_with(|c: char| c.is_ascii_digit()) || !text[1 + tag.len()..].starts_with('$') {
        return None;
    }
    let mark = &text[..tag.len() + 2];
    Some(after_any(&text[mark.len()..], mark))
}

fn quoted_len(after: &str, quote: char) -> usize {
    after.find(quote).map_or(after.len(), |at| at + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn templates() {
        let cases = [
            ("", ""),
            ("SELECT 1", "SELECT ?"),
            (
                "\n\nSELECT  *\n  FROM t\tWHERE id = 42;\n",
                "SELECT * FROM t WHERE id = ?",
            ),
            (
                "SELECT * FROM t WHERE id = $1 AND x = $12",
                "SELECT * FROM t WHERE id = ? AND x = ?",
            ),
            (
                "SELECT a FROM t2 WHERE c3 = ?1 OR d = :name OR e = @p1",
                "SELECT a FROM t2 WHERE c3 = ? OR d = ? OR e = ?",
            ),
            ("SELECT id::text, '1'::int", "SELECT id::text, ?::int"),
            (
                "SELECT * FROM t WHERE id IN (1, 2,3 , 4)",
                "SELECT * FROM t WHERE id IN (?)",
            ),
            (
                "SELECT * FROM t WHERE id IN ( $1,$2 )",
                "SELECT * FROM t WHERE id IN (?)",
            ),
            (
                "SELECT * FROM t WHERE id IN (-1, +2, - 3)",
                "SELECT * FROM t WHERE id IN (?)",
            ),
            (
                "SELECT a - 1, a-1, (-1), b = -1",
                "SELECT a - ?, a-?, (?), b = ?",
            ),
            (
                "INSERT INTO t (a, b) VALUES (1, 'x'), (2, 'y'),(3,'z')",
                "INSERT INTO t (a, b) VALUES (?)",
            ),
            ("SELECT 'it''s', 'a\\', 'b'", "SELECT ?"),
            ("SELECT E'it\\'s', x", "SELECT ?, x"),
            (
                "WHERE name = E'a' AND code = 'b' AND v = X'ff' AND n = N'x'",
                "WHERE name = ? AND code = ? AND v = ? AND n = ?",
            ),
            ("WHERE t.e='x'", "WHERE t.e=?"),
            ("SELECT 'ünï — ☃', \"Größe\"", "SELECT ?, \"Größe\""),
            (
                "SELECT $$a 'b' $1$$, $tag$ $$ $tag$ FROM t",
                "SELECT ? FROM t",
            ),
            (
                "SELECT \"weird 1 name\", `other 2` FROM \"t\" WHERE a=1",
                "SELECT \"weird 1 name\", `other 2` FROM \"t\" WHERE a=?",
            ),
            ("SELECT 1.5, .5, 1e10, 1.5e-3, 0xFF, 10-3", "SELECT ?-?"),
            (
                "SELECT /* hint 1 */ a -- trailing 2\n FROM t /* trace=ab12",
                "SELECT a FROM t",
            ),
            (
                "SELECT a FROM t LIMIT 10 OFFSET 20",
                "SELECT a FROM t LIMIT ? OFFSET ?",
            ),
            ("SELECT a FROM t LIMIT 10, 20", "SELECT a FROM t LIMIT ?"),
            ("SELECT 'unfinished", "SELECT ?"),
            ("SELECT a[1:2] FROM t", "SELECT a[?:?] FROM t"),
            ("BEGIN", "BEGIN"),
            (
                "select now() where x is null and y = true",
                "select now() where x is null and y = true",
            ),
        ];
        for (sql, expect) in cases {
            assert_eq!(template(sql), expect, "{sql}");
        }
    }

    #[test]
    fn long_statements_are_cut() {
        let sql = format!("SELECT {}", vec!["größe"; 10_000].join(", "));
        let cut = template(&sql);
        assert!(cut.len() <= MAX_BYTES + '…'.len_utf8() && cut.ends_with('…'));
    }

    proptest! {
        #[test]
        fn no_value_shows(
            values in prop::collection::vec(prop_oneof![Just("'secret'"), Just("4711"), Just("$1")], 1..9),
            blanks in "[ \n\t]{0,3}",
        ) {
            let list = values.join(&format!("{blanks},{blanks}"));
            let sql = format!("SELECT{blanks} x FROM t WHERE id IN ({blanks}{list}{blanks})");
            prop_assert_eq!(template(&sql), "SELECT x FROM t WHERE id IN (?)");
        }

        #[test]
        fn any_text_gives_a_bounded_template(sql in "\\PC{0,400}|[-'\"$?:E1.x,()\\\\/* e+]{0,60}") {
            let out = template(&sql);
            prop_assert!(out.len() <= MAX_BYTES + 3);
            // Nothing of the layout is left, quoted names aside.
            if !sql.contains(['"', '`']) {
                prop_assert!(!out.contains("  ") && !out.starts_with(' ') && !out.ends_with(' '), "{out:?}");
            }
        }
    }
}
