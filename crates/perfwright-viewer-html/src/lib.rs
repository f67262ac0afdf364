//! The profile viewer as one HTML file.
//!
//! [`HTML`] opens from disk or from any server and takes profiles by drop, file dialog, paste or `#url=`.
//! [`page`] puts profiles into it, so that the file can be sent around. It has no dependencies and does no
//! I/O. The file is built from the crate `perfwright-viewer` by `cargo xtask viewer`.
//!
//! ```
//! use perfwright_viewer_html::{Embedded, page};
//!
//! let html = page(&[Embedded { name: "cpu.folded", bytes: b"main;parse 12\n" }]);
//! assert!(html.len() > perfwright_viewer_html::HTML.len());
//! ```
#![forbid(unsafe_code)]

/// The viewer without a profile.
pub const HTML: &str = include_str!("viewer.html");

/// Where profiles go: before the first of the viewer's scripts.
const MARK: &str = "<!-- PROFILES -->";

/// A file to be put into the page.
#[derive(Clone, Copy, Debug)]
pub struct Embedded<'a> {
    /// What the viewer calls it: of a profile a file name, of a source file its path as the profile has it.
    pub name: &'a str,
    /// A profile in any format that the viewer reads (gzipped pprof is the smallest by far), or a source
    /// file, gzipped.
    pub bytes: &'a [u8],
}

/// The viewer with profiles in it, shown as soon as it is opened: the first one, compared with nothing.
pub fn page(profiles: &[Embedded<'_>]) -> Vec<u8> {
    page_with_sources(profiles, &[])
}

/// The same with source files, whose text is shown beside the costs of its lines.
pub fn page_with_sources(profiles: &[Embedded<'_>], sources: &[Embedded<'_>]) -> Vec<u8> {
    let (head, tail) = HTML.split_once(MARK).unwrap_or((HTML, ""));
    let files = || profiles.iter().chain(sources);
    let encoded: usize = files().map(|file| file.bytes.len() / 3 * 4 + 256).sum();
    let mut html = String::with_capacity(HTML.len() + encoded);
    html.push_str(head);
    for (kind, files) in [("profile", profiles), ("source", sources)] {
        for file in files {
            html.push_str("<script type=\"application/octet-stream;base64\" data-");
            html.push_str(kind);
            html.push_str("=\"");
            push_escaped(file.name, &mut html);
            html.push_str("\">");
            push_base64(file.bytes, &mut html);
            html.push_str("</script>\n");
        }
    }
    html.push_str(tail);
    html.into_bytes()
}

fn push_escaped(text: &str, out: &mut String) {
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            '<' => out.push_str("&lt;"),
            c => out.push(c),
        }
    }
}

/// RFC 4648, with padding.
fn push_base64(bytes: &[u8], out: &mut String) {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for chunk in bytes.chunks(3) {
        let [a, b, c] = [0, 1, 2].map(|at| chunk.get(at).copied().unwrap_or(0));
        let word = u32::from_be_bytes([0, a, b, c]);
        for digit in 0..4 {
            if digit <= chunk.len() {
                out.push(ALPHABET[(word >> (18 - 6 * digit)) as usize & 63].into());
            } else {
                out.push('=');
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn base64(bytes: &[u8]) -> String {
        let mut out = String::new();
        push_base64(bytes, &mut out);
        out
    }

    #[test]
    fn base64_after_the_examples_of_rfc_4648() {
        for (bytes, expected) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(base64(bytes.as_bytes()), expected);
        }
        assert_eq!(base64(&[0xfb, 0xff, 0xfe]), "+//+");
    }

    #[test]
    fn sources_come_after_the_profiles() {
        let file = |name, bytes| Embedded { name, bytes };
        let page = page_with_sources(&[file("cpu", b"foo")], &[file("/src/a.rs", b"f")]);
        let page = String::from_utf8(page).unwrap();
        let [profile, source] = [
            "data-profile=\"cpu\">Zm9v<",
            "data-source=\"/src/a.rs\">Zg==<",
        ]
        .map(|element| page.find(element));
        assert!(profile.is_some() && profile < source);
    }

    #[test]
    fn profiles_stand_in_the_page_under_their_names() {
        let name = "a\"<b>&.pb.gz";
        let page = page(&[Embedded {
            name,
            bytes: b"foo",
        }]);
        let page = String::from_utf8(page).unwrap();
        let element = "data-profile=\"a&quot;&lt;b>&amp;.pb.gz\">Zm9v</script>";
        assert!(page.contains(element));
        assert!(!page.contains(MARK));
        assert_eq!(HTML.matches(MARK).count(), 1);
    }
}
