//! Folded stacks, also called collapsed: a line a stack, the root first, then a count.
//!
//! ```text
//! main;handle request;parse 12
//! main;render 3.5
//! ```
//!
//! # Reading
//! The count is what follows the last blank; everything before it is the stack, whose frames are parted by
//! `;` and kept as they are, blanks and annotations such as `_[k]` or `--` included; an empty name is read as
//! `[unknown]`. Blank lines and lines that begin with `# ` are skipped, CRLF and a byte order mark are fine.
//! A line without a count is an error with its number. Equal stacks are added up.
//!
//! The sample type is `samples` in `count`. Fractional counts are kept exactly to six decimals: the profile
//! holds whole numbers of the largest of 1/10, 1/100, … 1/1000000 that fits all of them, and the unit says
//! so: `count/100`.
//!
//! Where **every** line ends in two numbers, they are the counts of a differential profile: sample types
//! `baseline` and `candidate`, and a warning, for a name may end in a number as well.
//!
//! # Writing
//! Equal stacks are one line; lines are sorted frame by frame, so that the stacks of one caller stand
//! together; what comes to zero is left out. A location's inlined frames are frames of their own. What has
//! no function is `[file+0x12]` (an offset in the mapped file), `[0x12]` or `[unknown]`. In names, `;`
//! becomes `:`, and line breaks become blanks: the format has no escapes. Labels, lines and addresses are
//! lost.

mod count;
mod names;
mod read;
mod stacks;
mod write;

pub(crate) use read::{Pieces, looks_folded, parse};
pub use write::{Options, write, write_with};

use crate::{Error, Input, Limits, Read, build::UNKNOWN};

/// Reads folded stacks, gzipped or not.
///
/// # Errors
/// With the line that has no count, a count that is too large, or the limit that is exceeded.
pub fn read(bytes: &[u8], limits: &Limits) -> Result<Read, Error> {
    let input = Input::new(bytes, limits)?;
    parse(&input.bytes, limits).map_err(|error| input.place(error))
}
