//! `view`: profiles in the browser, in one file that can be sent around.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use perfwright_format::pprof;
use perfwright_model::Profile;
use perfwright_viewer_html::{Embedded, HTML, page_with_sources};

use super::args::ViewArgs;
use super::{input, output, sources};
use crate::browser;
use crate::terminal::Terminal;

pub(super) fn run(args: &ViewArgs, terminal: &mut Terminal) -> Result<()> {
    let files = args.files.iter();
    let profiles = files
        .map(|file| input::read_file(file, terminal))
        .collect::<Result<Vec<Profile>>>()?;
    let names = args.files.iter().map(|file| file_name(file));
    let packed = names
        .zip(&profiles)
        .map(|(name, profile)| Ok((name, pack(profile)?)))
        .collect::<Result<Vec<_>>>()?;
    let sources = match args.source {
        true => sources::hottest(&profiles.iter().collect::<Vec<_>>()),
        false => Vec::new(),
    };
    if args.source && sources.is_empty() {
        terminal
            .warn("none of the source files is on this disk under the path that the profile has");
    }
    let out = args.out.clone().unwrap_or_else(|| default_place(&packed));
    output::write(&out, terminal, |out: &mut dyn Write| {
        if packed.is_empty() {
            out.write_all(HTML.as_bytes())?;
        } else {
            out.write_all(&page_with_sources(&embedded(&packed), &embedded(&sources)))?;
        }
        Ok(())
    })?;
    if !args.no_open && !input::is_stdio(&out) {
        browser::open(&out, terminal);
    }
    Ok(())
}

/// A profile as gzipped pprof: of all formats that hold everything the smallest.
fn pack(profile: &Profile) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    pprof::write_gzip(profile, &mut bytes).context("pack a profile")?;
    Ok(bytes)
}

fn file_name(file: &Path) -> String {
    let name = file.file_name().unwrap_or(file.as_os_str());
    name.to_string_lossy().into_owned()
}

/// Files as the page takes them.
pub(crate) fn embedded<'a>(files: &'a [(String, Vec<u8>)]) -> Vec<Embedded<'a>> {
    let embedded = |(name, bytes): &'a (String, Vec<u8>)| Embedded { name, bytes };
    files.iter().map(embedded).collect()
}

/// In the folder for temporary files, under the first profile's name.
fn default_place(profiles: &[(String, Vec<u8>)]) -> PathBuf {
    let name = profiles.first().map_or("perfwright", |(name, _)| name);
    let stem = name.split('.').next().filter(|stem| !stem.is_empty());
    let stem = stem.unwrap_or("profile");
    std::env::temp_dir().join(format!("{stem}-{}.html", std::process::id()))
}
