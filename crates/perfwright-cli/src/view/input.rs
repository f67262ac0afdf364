//! Reading profiles: from files or standard input, merged, and the part that was asked for.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use perfwright_analyze::Filter;
use perfwright_format::Limits;
use perfwright_model::Profile;

use super::args::{InputArgs, SelectArgs};
use crate::terminal::Terminal;

/// Warnings of one file that are shown; the rest is counted.
const WARNINGS_SHOWN: usize = 5;

/// Reads the files, merges them, and keeps what is selected.
pub(super) fn read(args: &InputArgs, terminal: &mut Terminal) -> Result<Profile> {
    let profile = read_merged(&args.files, terminal)?;
    Ok(select(profile, &args.select))
}

fn read_merged(files: &[PathBuf], terminal: &mut Terminal) -> Result<Profile> {
    if files.iter().filter(|file| is_stdio(file)).count() > 1 {
        bail!("read standard input twice: give - only once");
    }
    let (first, rest) = files
        .split_first()
        .context("read profiles: give at least one file")?;
    let mut merged = read_file(first, terminal)?;
    for file in rest {
        let profile = read_file(file, terminal)?;
        merged
            .merge(&profile)
            .with_context(|| format!("merge {} with {}", name_of(file), name_of(first)))?;
    }
    Ok(merged)
}

/// Reads one profile; what its format could not keep is told as warnings.
pub(crate) fn read_file(file: &Path, terminal: &mut Terminal) -> Result<Profile> {
    let limits = Limits::default();
    let bytes =
        read_bytes(file, limits.bytes as u64).with_context(|| format!("read {}", name_of(file)))?;
    let read = perfwright_format::read(&bytes, &limits);
    let read = read.with_context(|| format!("read {}", name_of(file)))?;
    for warning in read.warnings.iter().take(WARNINGS_SHOWN) {
        terminal.warn(format_args!("{}: {warning}", name_of(file)));
    }
    if let more @ 1.. = read.warnings.len().saturating_sub(WARNINGS_SHOWN) {
        terminal.warn(format_args!("{}: and {more} more warnings", name_of(file)));
    }
    Ok(read.profile)
}

fn read_bytes(file: &Path, max: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    // One byte more than is allowed: the reader then says that it is too much.
    let more = max.saturating_add(1);
    match is_stdio(file) {
        true => io::stdin().lock().take(more).read_to_end(&mut bytes)?,
        false => File::open(file)?.take(more).read_to_end(&mut bytes)?,
    };
    Ok(bytes)
}

/// The part of a profile that was asked for; the profile itself when all was.
pub(super) fn select(profile: Profile, args: &SelectArgs) -> Profile {
    let expressions = [
        &args.focus,
        &args.ignore,
        &args.hide,
        &args.show_from,
        &args.collapse,
    ];
    let has_flag = args.my_code || args.merge_recursion || !args.label.is_empty();
    if !has_flag && expressions.iter().all(|expression| expression.is_none()) {
        return profile;
    }
    let mut filter = Filter::new();
    if let Some(focus) = &args.focus {
        filter = filter.focus(|name| focus.is_match(name));
    }
    if let Some(ignore) = &args.ignore {
        filter = filter.ignore(|name| ignore.is_match(name));
    }
    if let Some(hide) = &args.hide {
        filter = filter.hide(|name| hide.is_match(name));
    }
    if let Some(show_from) = &args.show_from {
        filter = filter.show_from(|name| show_from.is_match(name));
    }
    if let Some(collapse) = &args.collapse {
        filter = filter.collapse(|name| collapse.is_match(name));
    }
    if args.my_code {
        filter = filter.my_code();
    }
    if args.merge_recursion {
        filter = filter.collapse_recursion();
    }
    for (key, value) in &args.label {
        filter = filter.label(key, move |found| found == value);
    }
    filter.apply(&profile)
}

/// The position of the sample type that was asked for, or of the profile's default.
pub(super) fn sample_type(profile: &Profile, wanted: Option<&str>) -> Result<usize> {
    match wanted {
        None => profile
            .default_sample_type()
            .context("use the profile: it has no values"),
        Some(kind) => profile.find_sample_type(kind).with_context(|| {
            let kinds = profile
                .sample_types()
                .iter()
                .map(|known| known.kind.as_str());
            let kinds = kinds.collect::<Vec<_>>().join(", ");
            format!("find the sample type {kind}: the profile has {kinds}")
        }),
    }
}

/// Whether a path stands for standard input or output.
pub(super) fn is_stdio(file: &Path) -> bool {
    file == Path::new("-")
}

/// A file as it is called in messages.
pub(super) fn name_of(file: &Path) -> String {
    if is_stdio(file) {
        "standard input".to_owned()
    } else {
        file.display().to_string()
    }
}
