//! From the spans' raw files to files of the run and what the report says of routes and spans.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use perfwright::control::span_files;
use perfwright::spans::Account;
use perfwright_format::pprof;
use perfwright_model::{Profile, keys};

use super::outputs::{About, Drawing, read_raw, write_file, write_flamegraph};
use crate::report::FileInfo;

/// What the program wrote of its spans.
pub(crate) struct Raw {
    pub(crate) profile: Profile,
    pub(crate) account: Account,
}

/// Writes `spans.pb.gz`, `spans.svg` and `trace.json` into `folder`. `None` if the program has no span layer.
pub(crate) fn write(
    folder: &Path,
    raw: &Path,
    about: &About,
) -> Result<Option<(Raw, Vec<FileInfo>)>> {
    let path = raw.join(span_files::PROFILE);
    if !path.exists() {
        return Ok(None);
    }
    let profile = read_raw(&path)?;
    let text = fs::read(raw.join(span_files::ACCOUNT)).context("read the account of spans")?;
    let account = serde_json::from_slice(&text).context("read the account of spans")?;
    write_file(folder, "spans.pb.gz", |file| {
        pprof::write_gzip(&profile, file)
    })?;
    let drawing = Drawing {
        name: "spans.svg",
        sample_type: Some("wall"),
        group_by: Some(keys::ROUTE),
    };
    write_flamegraph(folder, &profile, drawing, about)?;
    fs::rename(raw.join(span_files::TRACE), folder.join("trace.json"))
        .context("keep the slowest requests")?;
    let files = [
        (
            "spans.svg",
            "flamegraph of requests' time, waiting included, by route and span",
        ),
        (
            "spans.pb.gz",
            "pprof: how often each path of spans was taken, busy and idle",
        ),
        (
            "trace.json",
            "the slowest requests of each route: https://ui.perfetto.dev opens it",
        ),
    ]
    .map(|(name, about)| FileInfo::new(name, about));
    Ok(Some((Raw { profile, account }, files.into())))
}
