//! Writing files whole or not at all: beside their place first, then renamed.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use super::input::is_stdio;
use crate::terminal::Terminal;
use crate::units;

/// Writes a file by `fill`, or standard output for `-`; says where it went.
pub(crate) fn write(
    out: &Path,
    terminal: &mut Terminal,
    fill: impl FnOnce(&mut dyn Write) -> Result<()>,
) -> Result<()> {
    if is_stdio(out) {
        let mut bytes = Vec::new();
        fill(&mut bytes)?;
        if terminal.out_is_terminal() && bytes.contains(&0) {
            bail!("print a binary file on the terminal: give a file with -o, or a pipe");
        }
        terminal.bytes(&bytes);
        return Ok(());
    }
    let size = write_file(out, fill).with_context(|| format!("write {}", out.display()))?;
    let size = size.map_or_else(String::new, |size| format!(" ({})", units::bytes(size)));
    terminal.status("Wrote", format_args!("{}{size}", out.display()));
    Ok(())
}

/// Returns the size, where the place is an ordinary file.
fn write_file(out: &Path, fill: impl FnOnce(&mut dyn Write) -> Result<()>) -> Result<Option<u64>> {
    // Pipes and devices cannot be renamed over: they are written to directly.
    if fs::metadata(out).is_ok_and(|data| !data.is_file() && !data.is_dir()) {
        fill_file(File::options().write(true).open(out)?, fill)?;
        return Ok(None);
    }
    if out.is_dir() {
        bail!("it is a folder; give the name of a file in it");
    }
    let beside = Beside::new(out)?;
    fill_file(File::create(&beside.path)?, fill)?;
    let size = fs::metadata(&beside.path)?.len();
    fs::rename(&beside.path, out)?;
    Ok(Some(size))
}

fn fill_file(file: File, fill: impl FnOnce(&mut dyn Write) -> Result<()>) -> Result<()> {
    let mut file = BufWriter::new(file);
    fill(&mut file)?;
    file.flush()?;
    Ok(())
}

/// A file that is being written; removed when it does not come to the end.
struct Beside {
    path: PathBuf,
}

impl Beside {
    fn new(out: &Path) -> Result<Beside> {
        let name = out
            .file_name()
            .ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        let name = format!(".{}.{}", name.to_string_lossy(), std::process::id());
        Ok(Beside {
            path: out.with_file_name(name),
        })
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        // After the rename there is nothing left to remove.
        let _ = fs::remove_file(&self.path);
    }
}
