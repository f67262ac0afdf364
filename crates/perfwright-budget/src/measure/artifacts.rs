//! Sizes of files, as they are and compressed.

use std::{
    io,
    path::{Path, PathBuf},
};

use super::{Data, Reading, all_missing};
use crate::{budgets::Select, pattern::Pattern};

/// Files of one pattern, at most.
const MAX_FILES: usize = 10_000;
/// Entries that are looked at for one pattern, at most.
const MAX_ENTRIES: usize = 1_000_000;

pub(super) fn measure(root: Option<&Path>, select: &Select, stats: &[String]) -> Vec<Reading> {
    let Some(root) = root else {
        return all_missing(stats, "no folder was given to look for files in");
    };
    let mut readings = Vec::new();
    for (name, file) in files(root, select) {
        let path = file.map(|file| root.join(file));
        let reading = |stat: &String| {
            let data = path.clone().and_then(|path| size(&path, stat));
            Reading::new(&*name, stat, data)
        };
        readings.extend(stats.iter().map(reading));
    }
    readings
}

/// The files that are selected, by their names; of a pattern that finds none, why.
pub(super) fn files(root: &Path, select: &Select) -> Vec<(String, Result<PathBuf, String>)> {
    let mut named = Vec::new();
    for pattern in &select.artifact {
        let missing = |why: String| (pattern.as_str().to_owned(), Err(why));
        match find(root, pattern) {
            Ok(files) if files.is_empty() => {
                named.push(missing("there is no such file".to_owned()))
            }
            Ok(files) => named.extend(files.into_iter().map(|file| {
                let name = file.to_string_lossy().replace('\\', "/");
                (name, Ok(file))
            })),
            Err(why) => named.push(missing(why)),
        }
    }
    named
}

/// The files that match, as paths below the root. A `*` within a part of the path stands for any characters
/// of that part, a part `**` for any number of folders.
fn find(root: &Path, pattern: &Pattern) -> Result<Vec<PathBuf>, String> {
    if pattern.is_exact() {
        let file = PathBuf::from(pattern.as_str());
        let is_file = root.join(&file).is_file();
        return Ok(is_file.then_some(file).into_iter().collect());
    }
    let parts: Vec<Pattern> = pattern.as_str().split('/').map(Pattern::new).collect();
    let mut search = Search {
        root,
        files: Vec::new(),
        entries: 0,
    };
    search.descend(&PathBuf::new(), &parts)?;
    search.files.sort();
    search.files.dedup();
    Ok(search.files)
}

struct Search<'a> {
    root: &'a Path,
    files: Vec<PathBuf>,
    entries: usize,
}

impl Search<'_> {
    fn descend(&mut self, below: &Path, parts: &[Pattern]) -> Result<(), String> {
        let Some((part, rest)) = parts.split_first() else {
            return Ok(());
        };
        if part.is_exact() && !rest.is_empty() {
            return self.descend(&below.join(part.as_str()), rest);
        }
        let any_depth = part.as_str() == "**";
        if any_depth {
            self.descend(below, rest)?;
        }
        let Ok(entries) = std::fs::read_dir(self.root.join(below)) else {
            return Ok(());
        };
        for entry in entries.flatten() {
            self.entries += 1;
            if self.entries > MAX_ENTRIES || self.files.len() > MAX_FILES {
                return Err("the pattern leads to too many files".to_owned());
            }
            let Ok(kind) = entry.file_type() else {
                continue;
            };
            let name = entry.file_name();
            let path = below.join(&name);
            if !any_depth && !part.matches(&name.to_string_lossy()) {
                continue;
            }
            // Links to folders are not followed: they may lead in a circle, or out.
            match (kind.is_dir(), rest) {
                (true, _) if any_depth => self.descend(&path, parts)?,
                (true, [_, ..]) => self.descend(&path, rest)?,
                (false, []) if !any_depth => self.files.push(path),
                (false, []) => self.files.push(path),
                _ => {}
            }
        }
        Ok(())
    }
}

fn size(path: &Path, stat: &str) -> Result<Data, String> {
    let bytes = match stat {
        "raw" => path.metadata().map(|file| file.len()),
        _ => compressed(path, stat),
    };
    bytes
        .map(|bytes| Data::exact(bytes as f64))
        .map_err(|error| error.to_string())
}

/// Counts what is written to it.
#[cfg(feature = "compression")]
#[derive(Default)]
struct Counter(u64);

#[cfg(feature = "compression")]
impl io::Write for Counter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The size after compression at the highest level (gzip 9, brotli 11): what is served is made once.
#[cfg(feature = "compression")]
fn compressed(path: &Path, stat: &str) -> io::Result<u64> {
    let mut file = std::fs::File::open(path)?;
    if stat == "gzip" {
        let mut encoder =
            flate2::write::GzEncoder::new(Counter::default(), flate2::Compression::best());
        io::copy(&mut file, &mut encoder)?;
        return Ok(encoder.finish()?.0);
    }
    let mut counter = Counter::default();
    let params = brotli::enc::BrotliEncoderParams::default();
    brotli::BrotliCompress(&mut file, &mut counter, &params)?;
    Ok(counter.0)
}

#[cfg(not(feature = "compression"))]
fn compressed(_path: &Path, stat: &str) -> io::Result<u64> {
    Err(io::Error::other(format!(
        "this program was built without {stat}"
    )))
}
