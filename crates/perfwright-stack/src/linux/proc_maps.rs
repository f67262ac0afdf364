//! `/proc/self/maps`: what is mapped where.

use std::ops::Range;

/// One mapping (a line of the file).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Vma {
    pub(crate) range: Range<u64>,
    pub(crate) is_writable: bool,
    pub(crate) is_executable: bool,
    pub(crate) is_private: bool,
    pub(crate) file_offset: u64,
    /// Device and inode: what tells a replaced file from its successor.
    pub(crate) file: (String, u64),
    /// A path, a name in brackets, or empty.
    pub(crate) name: String,
}

impl Vma {
    /// Can a thread's stack be in here?
    pub(crate) fn can_hold_stack(&self) -> bool {
        self.is_writable && self.is_private && !self.name.starts_with('/')
    }

    pub(crate) fn is_main_stack(&self) -> bool {
        self.name == "[stack]"
    }
}

/// Parses the whole file; a line that isn't of the documented form (proc(5)) is skipped.
pub(crate) fn parse(text: &[u8]) -> Vec<Vma> {
    text.split(|byte| *byte == b'\n').filter_map(line).collect()
}

fn line(line: &[u8]) -> Option<Vma> {
    let line = String::from_utf8_lossy(line);
    let mut rest: &str = &line;
    let mut field = || {
        let (field, tail) = rest.split_once(' ').unwrap_or((rest, ""));
        rest = tail;
        field
    };
    let (range, flags, offset, device, inode) = (field(), field(), field(), field(), field());
    let (start, end) = range.split_once('-')?;
    let hex = |text| u64::from_str_radix(text, 16).ok();
    let flag = |index: usize, letter: u8| flags.as_bytes().get(index) == Some(&letter);
    Some(Vma {
        range: hex(start)?..hex(end)?,
        is_writable: flag(1, b'w'),
        is_executable: flag(2, b'x'),
        is_private: flag(3, b'p'),
        file_offset: hex(offset)?,
        file: (device.to_owned(), inode.parse().ok()?),
        name: rest.trim_start().replace("\\012", "\n"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_documented_forms() {
        let text = b"55e0-55f0 r-xp 00001000 fe:01 42   /usr/bin/a b (deleted)\n\
                     7f00-7f10 rw-p 00000000 00:00 0 \n\
                     7ffc-7ffd rw-p 00000000 00:00 0                          [stack]\n\
                     nonsense\n";
        let maps = parse(text);
        assert_eq!(maps.len(), 3);
        assert_eq!(maps[0].range, 0x55e0..0x55f0);
        assert!(maps[0].is_executable && !maps[0].is_writable && !maps[0].can_hold_stack());
        assert_eq!((maps[0].file_offset, maps[0].file.1), (0x1000, 42));
        assert_eq!(maps[0].name, "/usr/bin/a b (deleted)");
        assert_eq!(maps[1].name, "");
        assert!(maps[1].can_hold_stack() && !maps[1].is_main_stack());
        assert!(maps[2].is_main_stack());
    }
}
