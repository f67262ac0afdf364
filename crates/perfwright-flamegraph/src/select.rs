//! Which boxes are drawn, and what is said of the others.

use crate::flame::Flame;

/// A stack deeper than this goes on unseen: at 17 pixels a box, it is 8,500 pixels high.
const MAX_DEPTH: u32 = 500;

/// A box for what was dropped has to be this share of everything; below, it is half a pixel.
const MIN_SMALL_SHARE: f64 = 0.0005;

/// About what a box takes in the SVG besides its name, in bytes; a box of any profile is within 30 of it.
const FRAME_BYTES: usize = 235;

/// The boxes that are drawn.
pub(crate) struct Selection {
    /// By frame, whether it is drawn.
    drawn: Vec<bool>,
    /// By frame, how many frames it and those above it are.
    sizes: Vec<u32>,
    /// How many frames are drawn, the root left out.
    pub(crate) count: usize,
    /// With more bytes there would have been more.
    pub(crate) cut: bool,
}

/// The widest frames that together take about `bytes`, none below `min_share`. With every frame its callers
/// are drawn: they are no narrower, and come first among equals.
pub(crate) fn select(flame: &Flame, min_share: f64, bytes: usize) -> Selection {
    let min_width = (flame.width() as f64 * min_share.clamp(0.0, 1.0))
        .ceil()
        .max(1.0) as u64;
    let depths = depths(flame);
    let wide =
        |&index: &usize| depths[index] <= MAX_DEPTH && flame.frames[index].total[1] >= min_width;
    let mut widest: Vec<usize> = (1..flame.frames.len()).filter(wide).collect();
    widest.sort_by_key(|&index| std::cmp::Reverse(flame.frames[index].total[1]));
    let mut left = bytes;
    let fits = |&index: &usize| {
        let cost = frame_bytes(flame, index);
        let fits = cost <= left;
        left = left.saturating_sub(cost);
        fits
    };
    let wanted = widest.len();
    let kept: Vec<usize> = widest.into_iter().take_while(fits).collect();
    let mut drawn = vec![false; flame.frames.len()];
    drawn[0] = true;
    for &index in &kept {
        drawn[index] = true;
    }
    Selection {
        drawn,
        sizes: sizes(flame),
        count: kept.len(),
        cut: kept.len() < wanted,
    }
}

fn frame_bytes(flame: &Flame, index: usize) -> usize {
    let frame = &flame.frames[index];
    let label = &flame.labels[frame.label as usize];
    let escapes = label
        .bytes()
        .filter(|byte| b"<>&'\"".contains(byte))
        .count();
    let shown = frame.total[1] as f64 / flame.width() as f64 * 170.0;
    FRAME_BYTES + label.len() + 4 * escapes + label.len().min(shown as usize)
}

fn depths(flame: &Flame) -> Vec<u32> {
    let mut depths = vec![0; flame.frames.len()];
    for index in 1..depths.len() {
        depths[index] = depths[flame.frames[index].parent as usize] + 1;
    }
    depths
}

fn sizes(flame: &Flame) -> Vec<u32> {
    let mut sizes = vec![1; flame.frames.len()];
    for index in (1..sizes.len()).rev() {
        sizes[flame.frames[index].parent as usize] += sizes[index];
    }
    sizes
}

/// What was dropped from one box, or from all.
#[derive(Clone, Copy, Default)]
pub(crate) struct Dropped {
    pub(crate) frames: u64,
    pub(crate) total: [u64; 2],
    /// The baseline's part in frames that have no width.
    pub(crate) gone: u64,
}

impl Dropped {
    fn add(&mut self, other: Dropped) {
        self.frames += other.frames;
        self.total = [0, 1].map(|side| self.total[side] + other.total[side]);
        self.gone += other.gone;
    }
}

/// The label of a box that stands for dropped ones.
pub(crate) fn small_label(frames: u64) -> String {
    match frames {
        1 => "(1 small frame)".to_owned(),
        _ => format!("({frames} small frames)"),
    }
}

/// Whether a label is one of [`small_label`].
pub(crate) fn is_small_label(label: &str) -> bool {
    let number = label
        .strip_prefix('(')
        .and_then(|rest| rest.split_once(" small frame"));
    number.is_some_and(|(number, _)| number.bytes().all(|byte| byte.is_ascii_digit()))
}

/// The drawn boxes as folded lines.
pub(crate) struct Lines {
    /// In the order of drawing.
    pub(crate) lines: Vec<String>,
    /// All that was dropped.
    pub(crate) dropped: Dropped,
}

/// Writes the drawn boxes as folded lines: each box's own value, then what it calls, then what was dropped
/// from it. `None` if that takes more than `max_bytes`: deep stacks of long names grow as the square of
/// their depth.
pub(crate) fn lines(flame: &Flame, selection: &Selection, max_bytes: usize) -> Option<Lines> {
    let (starts, children) = children(flame);
    let small_width = (flame.width() as f64 * MIN_SMALL_SHARE).ceil() as u64;
    let mut writer = Writer::new(flame.colors.is_none(), max_bytes);
    let mut open = vec![(0, Step::Frame(0))];
    while let Some((path_length, step)) = open.pop() {
        writer.path.truncate(path_length);
        let index = match step {
            Step::Frame(index) => index as usize,
            Step::Small(dropped) => {
                writer.enter(&small_label(dropped.frames));
                writer.value(dropped.total)?;
                continue;
            }
        };
        if index > 0 {
            writer.enter(&flame.labels[flame.frames[index].label as usize]);
        }
        let path_length = writer.path.len();
        let below = &children[starts[index] as usize..starts[index + 1] as usize];
        let dropped = dropped_from(flame, selection, below);
        writer.out.dropped.add(dropped);
        let mut own = flame.frames[index].own;
        if dropped.total[1] >= small_width || index == 0 {
            open.push((path_length, Step::Small(dropped)));
        } else {
            own = [0, 1].map(|side| own[side] + dropped.total[side]);
        }
        if index == 0 {
            writer.enter("(no stack)");
        }
        writer.value(own)?;
        let drawn = below
            .iter()
            .rev()
            .filter(|&&child| selection.drawn[child as usize]);
        open.extend(drawn.map(|&child| (path_length, Step::Frame(child))));
    }
    Some(writer.out)
}

/// What is written next, below the path that led to it.
#[derive(Clone, Copy)]
enum Step {
    Frame(u32),
    Small(Dropped),
}

fn dropped_from(flame: &Flame, selection: &Selection, below: &[u32]) -> Dropped {
    let mut dropped = Dropped::default();
    let left_out = below
        .iter()
        .filter(|&&child| !selection.drawn[child as usize]);
    for &child in left_out {
        let total = flame.frames[child as usize].total;
        dropped.add(if total[1] == 0 {
            Dropped {
                gone: total[0],
                ..Dropped::default()
            }
        } else {
            Dropped {
                frames: selection.sizes[child as usize].into(),
                total,
                gone: 0,
            }
        });
    }
    dropped
}

/// The lines as they grow, and the path of the one that is next.
struct Writer {
    is_diff: bool,
    path: String,
    bytes_left: usize,
    out: Lines,
}

impl Writer {
    fn new(is_diff: bool, max_bytes: usize) -> Self {
        Self {
            is_diff,
            path: String::new(),
            bytes_left: max_bytes,
            out: Lines {
                lines: Vec::new(),
                dropped: Dropped::default(),
            },
        }
    }

    fn enter(&mut self, label: &str) {
        if !self.path.is_empty() {
            self.path.push(';');
        }
        self.path.push_str(label);
    }

    /// A line of the path with these values, unless both are zero; `None` if there is no room for it.
    fn value(&mut self, [old, new]: [u64; 2]) -> Option<()> {
        if old == 0 && new == 0 {
            return Some(());
        }
        self.bytes_left = self.bytes_left.checked_sub(self.path.len() + 42)?;
        self.out.lines.push(if self.is_diff {
            format!("{} {old} {new}", self.path)
        } else {
            format!("{} {new}", self.path)
        });
        Some(())
    }
}

/// The children of frame `n` are `children[starts[n]..starts[n + 1]]`.
fn children(flame: &Flame) -> (Vec<u32>, Vec<u32>) {
    let mut starts = vec![0_u32; flame.frames.len() + 1];
    for frame in flame.frames.iter().skip(1) {
        starts[frame.parent as usize + 1] += 1;
    }
    for index in 1..starts.len() {
        starts[index] += starts[index - 1];
    }
    let mut next = starts.clone();
    let mut children = vec![0; flame.frames.len().saturating_sub(1)];
    for (index, frame) in flame.frames.iter().enumerate().skip(1) {
        let slot = &mut next[frame.parent as usize];
        children[*slot as usize] = index as u32;
        *slot += 1;
    }
    (starts, children)
}
