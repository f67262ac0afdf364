//! The SVG itself: inferno's, with the boxes told in people's words.

use std::collections::HashSet;
use std::io;

use inferno::flamegraph::color::{BackgroundColor, Color, PaletteMap};
use inferno::flamegraph::{self, from_lines};

use crate::flame::Flame;
use crate::label::{escaped, printable};
use crate::select::{Lines, Selection, is_small_label, lines, select};
use crate::words::Words;
use crate::{Direction, Options, Summary, color};

/// What inferno's program, style sheet and frame take, in bytes, with room for titles.
const PROGRAM_BYTES: usize = 26_000;

/// The most that the folded lines may take in memory.
const MAX_LINE_BYTES: usize = 64 << 20;

/// Sizes are estimated before drawing; each attempt corrects the estimate by what came out. After this many,
/// a file that is small enough is good enough, and from the next on the estimate is cut to a half each time.
const MAX_ATTEMPTS: u32 = 3;

const BACKGROUND: Color = Color {
    r: 252,
    g: 252,
    b: 251,
};
/// Darker, so that white boxes stand out.
const DIFF_BACKGROUND: Color = Color {
    r: 224,
    g: 226,
    b: 229,
};
const TEXT: Color = Color {
    r: 34,
    g: 34,
    b: 34,
};
const ALL: Color = Color {
    r: 226,
    g: 228,
    b: 231,
};

/// Draws what fits.
pub(crate) fn render(
    flame: &Flame,
    words: &Words,
    options: &Options,
) -> io::Result<(Vec<u8>, Summary)> {
    let mut budget = options.max_bytes.saturating_sub(PROGRAM_BYTES);
    let mut attempt = 0;
    loop {
        attempt += 1;
        let selection = select(flame, options.min_share, budget);
        let Some(lines) = lines(flame, &selection, MAX_LINE_BYTES) else {
            budget /= 2;
            continue;
        };
        let mut summary = summary(flame, &selection, &lines);
        let svg = draw(flame, words, options, &lines.lines, &summary)?;
        let fits = svg.len() <= options.max_bytes;
        let is_full = !selection.cut || svg.len() > options.max_bytes / 10 * 9;
        if (fits && (is_full || attempt >= MAX_ATTEMPTS)) || selection.count == 0 {
            summary.bytes = svg.len();
            return Ok((svg, summary));
        }
        let room = options.max_bytes.saturating_sub(PROGRAM_BYTES) as f64;
        let took = svg.len().saturating_sub(PROGRAM_BYTES).max(1) as f64;
        let most = if attempt >= MAX_ATTEMPTS { 0.5 } else { 2.0 };
        budget = (budget as f64 * (room / took * 0.97).min(most)) as usize;
    }
}

fn summary(flame: &Flame, selection: &Selection, lines: &Lines) -> Summary {
    let root = flame.frames[0].total;
    let share = |part: u64, whole: u64| {
        if whole == 0 {
            0.0
        } else {
            part as f64 / whole as f64
        }
    };
    Summary {
        frames: selection.count,
        pruned_frames: lines.dropped.frames as usize,
        pruned_share: share(lines.dropped.total[1], root[1]),
        gone_share: share(lines.dropped.gone, root[0]),
        bytes: 0,
    }
}

fn draw(
    flame: &Flame,
    words: &Words,
    options: &Options,
    lines: &[String],
    summary: &Summary,
) -> io::Result<Vec<u8>> {
    let mut palette = flame
        .colors
        .as_ref()
        .map(|colors| palette(flame, colors, lines));
    let mut style = flamegraph::Options::default();
    style.title = printable(&words.title);
    // An empty one keeps its line, for the legend stands in it.
    style.subtitle = Some(printable(&words.subtitle(summary, flame)));
    style.count_name = words.count_name().to_owned();
    style.name_type = String::new();
    let is_diff = flame.colors.is_none();
    let background = if is_diff { DIFF_BACKGROUND } else { BACKGROUND };
    style.bgcolors = Some(BackgroundColor::Flat(background));
    style.uicolor = TEXT;
    style.palette_map = palette.as_mut();
    style.frame_height = 17;
    style.min_width = 0.0;
    style.direction = match options.direction {
        Direction::Up => flamegraph::Direction::Straight,
        Direction::Down => flamegraph::Direction::Inverted,
    };
    // Inferno's name for lines that stay in the order given, which it takes from the last to the first.
    style.flame_chart = true;
    let mut svg = Vec::new();
    from_lines(
        &mut style,
        lines.iter().rev().map(|line| line.as_str()),
        &mut svg,
    )?;
    Ok(retold(svg, words, flame))
}

fn palette(flame: &Flame, colors: &[Color], lines: &[String]) -> PaletteMap {
    let mut palette = PaletteMap::default();
    let drawn: HashSet<&str> = lines
        .iter()
        .filter_map(|line| line.rsplit_once(' '))
        .flat_map(|(stack, _)| stack.split(';'))
        .collect();
    for (label, &color) in flame.labels.iter().zip(colors) {
        if drawn.contains(label.as_str()) {
            palette.insert(label, color);
        }
    }
    for label in drawn.into_iter().filter(|label| is_small_label(label)) {
        palette.insert(label, color::SMALL);
    }
    palette.insert("(no stack)", color::SMALL);
    palette.insert("", ALL);
    palette
}

/// What the colours mean, and what inferno's style sheet leaves unreadable.
fn legend(is_diff: bool) -> String {
    let entries: &[(Color, &str)] = if is_diff {
        &color::CHANGES
    } else {
        &color::ORIGINS
    };
    let mut legend = "<style type=\"text/css\">#search { opacity:0.6; } #subtitle { text-anchor:end; } #subtitle, .legend { fill:#555555; }</style>\n<g id=\"legend\">".to_owned();
    let mut x = 10;
    for (color, meaning) in entries {
        let Color { r, g, b } = color;
        let text_x = x + 14;
        legend.push_str(&format!(
            r##"<rect x="{x}" y="39" width="10" height="10" fill="rgb({r},{g},{b})"/><text class="legend" x="{text_x}" y="48">{meaning}</text>"##
        ));
        x = text_x + 15 * meaning.len() / 2 + 12;
    }
    legend.push_str("</g>\n");
    legend
}

/// Puts people's words into the boxes' titles, and the legend before them.
fn retold(svg: Vec<u8>, words: &Words, flame: &Flame) -> Vec<u8> {
    let Ok(text) = std::str::from_utf8(&svg) else {
        return svg;
    };
    let mut out = String::with_capacity(text.len() + 2_000);
    let (head, text) = text.split_at(text.find("<svg id=\"frames\"").unwrap_or(0));
    // The legend takes the line's left part.
    out.push_str(&head.replacen(
        r#"id="subtitle" x="50.0000%""#,
        r#"id="subtitle" x="99%""#,
        1,
    ));
    out.push_str(&legend(flame.colors.is_none()));
    let mut parts = text.split("<title>");
    out.push_str(parts.next().unwrap_or_default());
    for part in parts {
        out.push_str("<title>");
        let title = part.split_once("</title>");
        match title.and_then(|(title, rest)| Some((words.told(title, flame)?, rest))) {
            Some((told, rest)) => {
                out.push_str(&told);
                out.push_str("</title>");
                out.push_str(rest);
            }
            None => out.push_str(part),
        }
    }
    out.into_bytes()
}

/// An SVG that says that there is nothing to draw.
pub(crate) fn empty(options: &Options) -> String {
    let title = options.title.as_deref().unwrap_or("No samples");
    format!(
        concat!(
            r##"<?xml version="1.0" encoding="UTF-8" standalone="no"?>"##,
            r##"<svg version="1.1" width="1200" height="120" viewBox="0 0 1200 120" xmlns="http://www.w3.org/2000/svg">"##,
            r##"<rect width="100%" height="100%" fill="#fcfcfb"/>"##,
            r##"<text x="600" y="48" text-anchor="middle" font-family="monospace" font-size="17" fill="#222222">{}</text>"##,
            r##"<text x="600" y="82" text-anchor="middle" font-family="monospace" font-size="12" fill="#666666">"##,
            "This profile holds no samples: nothing ran while it was captured, or a filter left nothing.</text></svg>\n",
        ),
        escaped(&printable(title))
    )
}
