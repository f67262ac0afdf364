//! `convert`: a profile in another format.

use std::io::Write;
use std::path::Path;

use anyhow::{Result, bail};
use perfwright_flamegraph::write_svg;
use perfwright_format::{firefox, folded, pprof, speedscope};
use perfwright_model::Profile;
use perfwright_viewer_html::{Embedded, page};

use super::args::{ConvertArgs, Target};
use super::{input, losses::losses, output};
use crate::terminal::Terminal;

pub(super) fn run(args: &ConvertArgs, terminal: &mut Terminal) -> Result<()> {
    // Said before anything is read: a large profile takes its time.
    let target = target(&args.out, args.to)?;
    let profile = input::read(&args.input, terminal)?;
    let wanted = args.input.select.sample_type.as_deref();
    let holds_one = match target {
        Target::Folded => Some("folded stacks hold"),
        Target::Firefox => Some("the Firefox Profiler shows"),
        Target::Svg => Some("a flamegraph shows"),
        _ => None,
    };
    if let Some(holds) = holds_one
        && wanted.is_none()
        && profile.sample_types().len() > 1
    {
        let at = input::sample_type(&profile, None)?;
        let kind = &profile.sample_types()[at].kind;
        terminal.note(format_args!("{holds} one value: {kind}; see --sample-type"));
    }
    let lost = losses(&profile, target);
    if !lost.is_empty() {
        terminal.note(format_args!(
            "the format has no {}: left out",
            lost.join(", ")
        ));
    }
    write(&profile, target, wanted, &args.out, terminal)
}

/// Writes a profile; folded stacks and Firefox's hold one sample type, the others all, the wanted one as their default.
pub(super) fn write(
    profile: &Profile,
    target: Target,
    sample_type: Option<&str>,
    out: &Path,
    terminal: &mut Terminal,
) -> Result<()> {
    let at = input::sample_type(profile, sample_type)?;
    let gzipped = out.extension().is_some_and(|extension| extension == "gz");
    output::write(out, terminal, |mut to: &mut dyn Write| {
        match target {
            Target::Folded => folded::write(profile, at, &mut to)?,
            Target::Pprof => pprof::write_gzip(&with_default(profile, sample_type, at), &mut to)?,
            Target::PprofPlain => pprof::write(&with_default(profile, sample_type, at), &mut to)?,
            Target::Speedscope => {
                speedscope::write(&with_default(profile, sample_type, at), &mut to)?;
            }
            Target::Firefox if gzipped => firefox::write_gzip(profile, at, &mut to)?,
            Target::Firefox => firefox::write(profile, at, &mut to)?,
            Target::Svg => {
                let mut options = perfwright_flamegraph::Options::default();
                options.sample_type = sample_type.map(str::to_owned);
                write_svg(profile, &options, &mut to)?;
            }
            Target::Html => {
                let stem = out_stem(out);
                let name = format!("{stem}.pb.gz");
                let mut bytes = Vec::new();
                pprof::write_gzip(&with_default(profile, sample_type, at), &mut bytes)?;
                let embedded = Embedded {
                    name: &name,
                    bytes: &bytes,
                };
                to.write_all(&page(&[embedded]))?;
            }
        }
        Ok(())
    })
}

/// What the profile in a page is called: as the page.
fn out_stem(out: &Path) -> String {
    let stem = out.file_stem().filter(|_| !input::is_stdio(out));
    stem.map_or_else(
        || "profile".to_owned(),
        |stem| stem.to_string_lossy().into_owned(),
    )
}

fn with_default<'a>(
    profile: &'a Profile,
    wanted: Option<&str>,
    at: usize,
) -> std::borrow::Cow<'a, Profile> {
    use std::borrow::Cow;
    if wanted.is_none() {
        return Cow::Borrowed(profile);
    }
    let mut profile = profile.clone();
    profile.meta.default_sample_type = Some(at);
    Cow::Owned(profile)
}

/// The format that was asked for, or that the file's name tells.
pub(super) fn target(out: &Path, asked: Option<Target>) -> Result<Target> {
    if let Some(target) = asked {
        return Ok(target);
    }
    let name = out
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .to_lowercase();
    let ends = |endings: &[&str]| endings.iter().any(|ending| name.ends_with(ending));
    match () {
        () if ends(&[".pb.gz", ".pprof", ".pprof.gz", ".prof"]) => Ok(Target::Pprof),
        () if ends(&[".pb"]) => Ok(Target::PprofPlain),
        () if ends(&[".folded", ".collapsed", ".txt"]) => Ok(Target::Folded),
        () if ends(&[".speedscope.json"]) => Ok(Target::Speedscope),
        () if ends(&[".firefox.json", ".firefox.json.gz"]) => Ok(Target::Firefox),
        () if ends(&[".json"]) => {
            bail!(
                "choose a format: give --to speedscope or --to firefox, or end the name in .speedscope.json"
            )
        }
        () if ends(&[".svg"]) => Ok(Target::Svg),
        () if ends(&[".html", ".htm"]) => Ok(Target::Html),
        () if name == "-" => {
            bail!(
                "choose a format: give --to pprof, folded, speedscope or firefox, or a file with -o"
            )
        }
        () => bail!(
            "tell the format of {}: give --to pprof, folded, speedscope, firefox, svg or html",
            out.display()
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_the_file_tells_the_format() {
        let cases = [
            ("cpu.pb.gz", Target::Pprof),
            ("CPU.PPROF", Target::Pprof),
            ("cpu.pb", Target::PprofPlain),
            ("a.b/cpu.folded", Target::Folded),
            ("out.txt", Target::Folded),
            ("cpu.speedscope.json", Target::Speedscope),
            ("cpu.firefox.json.gz", Target::Firefox),
            ("cpu.svg", Target::Svg),
            ("cpu.html", Target::Html),
        ];
        for (name, expected) in cases {
            assert_eq!(target(Path::new(name), None).unwrap(), expected, "{name}");
        }
        assert_eq!(
            target(Path::new("x"), Some(Target::Folded)).unwrap(),
            Target::Folded
        );
    }

    #[test]
    fn a_name_that_tells_nothing_gets_advice() {
        for (name, advice) in [
            ("-", "--to"),
            ("cpu", "--to"),
            ("a.json", "--to speedscope"),
        ] {
            let error = target(Path::new(name), None).unwrap_err().to_string();
            assert!(error.contains(advice), "{error}");
        }
    }
}
