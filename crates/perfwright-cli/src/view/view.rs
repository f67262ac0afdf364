//! `view`: profiles in the browser, in one file that can be sent around.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use perfwright_format::pprof;
use perfwright_viewer_html::{Embedded, HTML, page};

use super::args::ViewArgs;
use super::{input, output};
use crate::browser;
use crate::terminal::Terminal;

pub(super) fn run(args: &ViewArgs, terminal: &mut Terminal) -> Result<()> {
    let profiles = args
        .files
        .iter()
        .map(|file| packed(file, terminal))
        .collect::<Result<Vec<_>>>()?;
    let out = args.out.clone().unwrap_or_else(|| default_place(&profiles));
    output::write(&out, terminal, |out: &mut dyn Write| {
        if profiles.is_empty() {
            out.write_all(HTML.as_bytes())?;
        } else {
            let embedded: Vec<_> = profiles
                .iter()
                .map(|(name, bytes)| Embedded { name, bytes })
                .collect();
            out.write_all(&page(&embedded))?;
        }
        Ok(())
    })?;
    if !args.no_open && !input::is_stdio(&out) {
        browser::open(&out, terminal);
    }
    Ok(())
}

/// A profile's name and its bytes as gzipped pprof: of all formats that hold everything the smallest.
fn packed(file: &Path, terminal: &mut Terminal) -> Result<(String, Vec<u8>)> {
    let profile = input::read_file(file, terminal)?;
    let mut bytes = Vec::new();
    pprof::write_gzip(&profile, &mut bytes).context("pack a profile")?;
    let name = file.file_name().unwrap_or(file.as_os_str());
    Ok((name.to_string_lossy().into_owned(), bytes))
}

/// In the folder for temporary files, under the first profile's name.
fn default_place(profiles: &[(String, Vec<u8>)]) -> PathBuf {
    let name = profiles.first().map_or("perfwright", |(name, _)| name);
    let stem = name.split('.').next().filter(|stem| !stem.is_empty());
    let stem = stem.unwrap_or("profile");
    std::env::temp_dir().join(format!("{stem}-{}.html", std::process::id()))
}
