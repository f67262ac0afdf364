//! Draws profile files of any format that perfwright-format reads: `draw OUT.svg PROFILE [CANDIDATE]`.

use std::error::Error;
use std::fs;

use perfwright_flamegraph::{Options, write_diff_svg, write_svg};
use perfwright_format::{Limits, read};
use perfwright_model::Profile;

fn main() -> Result<(), Box<dyn Error>> {
    let paths: Vec<String> = std::env::args().skip(1).collect();
    let (out, files) = paths
        .split_first()
        .ok_or("usage: draw OUT.svg PROFILE [CANDIDATE]")?;
    let profiles = files
        .iter()
        .map(|path| load(path))
        .collect::<Result<Vec<_>, _>>()?;
    let options = Options::default();
    let mut svg = Vec::new();
    let summary = match profiles.as_slice() {
        [profile] => write_svg(profile, &options, &mut svg)?,
        [baseline, candidate] => write_diff_svg(baseline, candidate, &options, &mut svg)?,
        _ => return Err("give one profile, or a baseline and a candidate".into()),
    };
    fs::write(out, svg)?;
    println!("{summary:#?}");
    Ok(())
}

fn load(path: &str) -> Result<Profile, Box<dyn Error>> {
    let bytes = fs::read(path).map_err(|error| format!("read {path}: {error}"))?;
    Ok(read(&bytes, &Limits::default())?.profile)
}
