//! Names that fit their boxes.

/// The part of `name` that says most in `max` characters: all of it, else without the path's first segments,
/// else the start of what is left. Empty where not even three characters fit.
pub(crate) fn fit(name: &str, max: usize) -> String {
    if max < 3 {
        return String::new();
    }
    if name.len() <= max || name.chars().nth(max).is_none() {
        return name.to_owned();
    }
    let mut rest = name;
    for start in segments(name) {
        rest = &name[start..];
        if rest.chars().nth(max).is_none() {
            return rest.to_owned();
        }
    }
    let mut text: String = rest.chars().take(max - 1).collect();
    text.push('…');
    text
}

/// Where the segments of a path begin that are not within brackets.
fn segments(name: &str) -> impl Iterator<Item = usize> + '_ {
    let mut depth = 0_usize;
    let bytes = name.as_bytes();
    (0..bytes.len()).filter_map(move |at| {
        match bytes[at] {
            b'<' | b'(' | b'[' => depth += 1,
            b'>' if at > 0 && bytes[at - 1] == b'-' => {}
            b'>' | b')' | b']' => depth = depth.saturating_sub(1),
            b':' if depth == 0 && at > 0 && bytes[at - 1] == b':' => {
                // `f::{closure}` says nothing without its `f`.
                let rest = &name[at + 1..];
                return (!rest.starts_with('{')).then_some(at + 1);
            }
            _ => {}
        }
        None
    })
}

#[cfg(test)]
mod tests {
    use super::fit;

    #[test]
    fn paths_lose_their_first_segments_and_then_their_end() {
        for (name, max, expected) in [
            ("shop::db::load", 14, "shop::db::load"),
            ("shop::db::load", 13, "db::load"),
            ("shop::db::load", 5, "load"),
            ("shop::db::load", 3, "lo…"),
            ("shop::db::load", 2, ""),
            ("<shop::A as b::C>::run", 8, "run"),
            ("shop::run::{closure}", 16, "run::{closure}"),
            ("größer", 6, "größer"),
            ("größer", 4, "grö…"),
        ] {
            assert_eq!(fit(name, max), expected, "{name} in {max}");
        }
    }
}
