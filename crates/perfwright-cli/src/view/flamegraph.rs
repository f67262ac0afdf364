//! `flamegraph`: a profile as SVG.

use anyhow::Result;
use perfwright_flamegraph::{Direction, Options, write_svg};

use super::args::FlamegraphArgs;
use super::{input, output};
use crate::terminal::Terminal;
use crate::units::percent;

pub(super) fn run(args: &FlamegraphArgs, terminal: &mut Terminal) -> Result<()> {
    let profile = input::read(&args.input, terminal)?;
    let options = options(args);
    let mut summary = None;
    output::write(&args.out, terminal, |out| {
        summary = Some(write_svg(&profile, &options, out)?);
        Ok(())
    })?;
    let Some(summary) = summary else {
        return Ok(());
    };
    if summary.frames == 0 {
        terminal.warn(
            "the profile has no samples, or none is left by the selection: the picture says so",
        );
    }
    if summary.pruned_frames > 0 {
        terminal.note(format_args!(
            "{} boxes ({} of all) were too small to draw; see --min-percent and --max-bytes",
            summary.pruned_frames,
            percent(summary.pruned_share)
        ));
    }
    Ok(())
}

fn options(args: &FlamegraphArgs) -> Options {
    let mut options = Options::default();
    options.title.clone_from(&args.title);
    options
        .sample_type
        .clone_from(&args.input.select.sample_type);
    options.min_share = args.min_percent / 100.0;
    options.max_bytes = args.max_bytes;
    options.direction = if args.upright {
        Direction::Up
    } else {
        Direction::Down
    };
    options.from_leaves = args.from_leaves;
    options.group_by.clone_from(&args.group_by);
    options.full_names = args.full;
    options
}
