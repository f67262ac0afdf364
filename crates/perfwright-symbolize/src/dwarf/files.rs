//! Source paths of a unit.

use std::collections::HashMap;
use std::rc::Rc;

use gimli::{FileEntry, LineProgramHeader};

use super::{Slice, UnitRef, text};

/// A longer path is no path. Bounds what a file's tables can multiply to.
const MAX_PATH: usize = 4096;

/// The paths of one unit's files, each put together once.
pub(super) struct Files {
    paths: HashMap<u64, Option<Rc<str>>>,
}

impl Files {
    pub(super) fn new() -> Self {
        Self {
            paths: HashMap::new(),
        }
    }

    /// The whole path of the file with this index.
    pub(super) fn path(&mut self, unit: UnitRef<'_, '_>, index: u64) -> Option<Rc<str>> {
        let render = || {
            let header = unit.line_program.as_ref()?.header();
            render(unit, header, header.file(index)?)
        };
        self.paths.entry(index).or_insert_with(render).clone()
    }
}

/// Compilation directory, directory and name, each of which may be absolute.
fn render<'d>(
    unit: UnitRef<'_, 'd>,
    header: &LineProgramHeader<Slice<'d>>,
    file: &FileEntry<Slice<'d>>,
) -> Option<Rc<str>> {
    let mut path = match unit.comp_dir {
        Some(directory) => text(directory).into_owned(),
        None => String::new(),
    };
    // Directory 0 is the compilation directory.
    if file.directory_index() != 0
        && let Some(directory) = file.directory(header)
    {
        push(&mut path, &text(unit.attr_string(directory).ok()?));
    }
    let name = unit.attr_string(file.path_name()).ok()?;
    push(&mut path, &text(name));
    (path.len() <= MAX_PATH).then(|| path.into())
}

fn push(path: &mut String, part: &str) {
    let drive = part.get(1..3).is_some_and(|at| at == ":\\" || at == ":/");
    if drive || part.starts_with(['/', '\\']) {
        path.clear();
    } else if !path.is_empty() && !path.ends_with(['/', '\\']) {
        path.push(if path.contains('\\') { '\\' } else { '/' });
    }
    path.push_str(part);
}

#[cfg(test)]
mod tests {
    use super::push;

    #[test]
    fn a_path_is_joined_until_a_part_is_absolute() {
        let join = |parts: &[&str]| {
            let mut path = String::new();
            parts.iter().for_each(|part| push(&mut path, part));
            path
        };
        assert_eq!(
            join(&["/home/me", "src", "main.rs"]),
            "/home/me/src/main.rs"
        );
        assert_eq!(
            join(&["/home/me", "/rustc/1/library", "a.rs"]),
            "/rustc/1/library/a.rs"
        );
        assert_eq!(join(&["C:\\me", "src", "main.rs"]), "C:\\me\\src\\main.rs");
        assert_eq!(join(&["/x", "C:/me", "main.rs"]), "C:/me/main.rs");
        assert_eq!(join(&["", "main.rs"]), "main.rs");
    }
}
