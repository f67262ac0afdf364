//! What is in an SVG.

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

/// A box of a flamegraph.
#[derive(Clone, PartialEq, Debug, Default)]
pub(crate) struct Box {
    /// What it is called, with its values.
    pub(crate) title: String,
    /// Distance from the lowest box, in boxes.
    pub(crate) depth: usize,
    /// Where it begins, in inferno's units.
    pub(crate) start: u64,
    /// How wide it is.
    pub(crate) width: u64,
    /// Its colour.
    pub(crate) fill: [u8; 3],
}

/// All that a test looks at.
#[derive(Default)]
pub(crate) struct Drawing {
    /// Texts besides those in boxes: title, subtitle, legend.
    pub(crate) texts: Vec<String>,
    /// The boxes, sorted by depth and start.
    pub(crate) boxes: Vec<Box>,
}

impl Drawing {
    /// One line a box: indentation and title.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.boxes
            .iter()
            .map(|b| format!("{:depth$}{}", "", b.title, depth = b.depth))
            .collect()
    }

    /// The first box of this name.
    #[track_caller]
    pub(crate) fn find(&self, name: &str) -> &Box {
        let start = format!("{name} (");
        let found = self.boxes.iter().find(|b| b.title.starts_with(&start));
        found.unwrap_or_else(|| panic!("no box {name} in {:#?}", self.lines()))
    }

    /// The text that contains this.
    pub(crate) fn says(&self, part: &str) -> bool {
        self.texts.iter().any(|text| text.contains(part))
    }
}

/// Reads an SVG. It must be well-formed XML without characters that XML forbids.
pub(crate) fn read(svg: &[u8]) -> Drawing {
    let text = std::str::from_utf8(svg).expect("UTF-8");
    let forbidden = |c: char| matches!(c, '\0'..='\u{8}' | '\u{b}' | '\u{c}' | '\u{e}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}');
    assert_eq!(
        text.chars().find(|&c| forbidden(c)),
        None,
        "a character that XML forbids"
    );
    let mut reader = Reader::from_str(text);
    reader.config_mut().check_end_names = true;
    let (mut drawing, mut open, mut in_frames) = (Drawing::default(), Vec::new(), false);
    let mut y_of = Vec::new();
    loop {
        match reader.read_event().expect("well-formed XML") {
            Event::Start(tag) => {
                in_frames |= attribute(&tag, "id").as_deref() == Some("frames");
                let name = tag.name();
                if in_frames && name.as_ref() == "g" {
                    drawing.boxes.push(Box::default());
                }
                if !in_frames && name.as_ref() == "text" {
                    drawing.texts.push(String::new());
                }
                open.push(name.as_ref().to_owned());
            }
            Event::Empty(tag) if in_frames => {
                let last = drawing.boxes.last_mut().expect("a rectangle is in a box");
                last.start = number(&tag, "fg:x");
                last.width = number(&tag, "fg:w");
                last.fill = fill(&tag);
                y_of.push(number(&tag, "y"));
            }
            Event::Text(text) => {
                append(&mut drawing, &open, in_frames, &text);
            }
            Event::GeneralRef(entity) => {
                let known = quick_xml::escape::resolve_predefined_entity(&entity);
                append(
                    &mut drawing,
                    &open,
                    in_frames,
                    known.expect("a known entity"),
                );
            }
            Event::End(_) => drop(open.pop().expect("a tag to close")),
            Event::Eof => break,
            _ => {}
        }
    }
    assert_eq!(open, [""; 0], "all tags are closed");
    sort_by_depth(&mut drawing.boxes, &y_of);
    drawing
}

fn append(drawing: &mut Drawing, open: &[String], in_frames: bool, text: &str) {
    match open.last().map(String::as_str) {
        Some("title") if in_frames => {
            drawing
                .boxes
                .last_mut()
                .expect("a title is in a box")
                .title
                .push_str(text);
        }
        Some("text") if !in_frames => {
            drawing
                .texts
                .last_mut()
                .expect("a text was begun")
                .push_str(text);
        }
        _ => {}
    }
}

fn sort_by_depth(boxes: &mut [Box], y_of: &[u64]) {
    let lowest = y_of.iter().max().copied().unwrap_or(0);
    let mut rows: Vec<u64> = y_of.iter().map(|y| lowest - y).collect();
    rows.sort_unstable();
    rows.dedup();
    for (drawn, y) in boxes.iter_mut().zip(y_of) {
        drawn.depth = rows
            .binary_search(&(lowest - y))
            .expect("every row is there");
    }
    boxes.sort_by_key(|b| (b.depth, b.start));
}

fn attribute(tag: &BytesStart, name: &str) -> Option<String> {
    let attribute = tag
        .try_get_attribute(name)
        .expect("well-formed attributes")?;
    Some(attribute.value.into_owned())
}

fn number(tag: &BytesStart, name: &str) -> u64 {
    let value = attribute(tag, name).expect("the attribute is there");
    value.parse().expect("a whole number")
}

fn fill(tag: &BytesStart) -> [u8; 3] {
    let fill = attribute(tag, "fill").expect("a fill");
    let numbers = fill
        .trim_start_matches("rgb(")
        .trim_end_matches(')')
        .split(',');
    let numbers: Vec<u8> = numbers
        .map(|number| number.parse().expect("a channel"))
        .collect();
    numbers.try_into().expect("three channels")
}
