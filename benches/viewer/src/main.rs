//! The viewer beside speedscope.
mod data;

use std::fs;

fn main() -> anyhow::Result<()> {
    let folder = std::path::Path::new("/tmp/look/data");
    fs::create_dir_all(folder)?;
    for (name, stacks) in [("2m", 1_200), ("20m", 11_900), ("200m", 109_000), ("1M", 1_000_000)] {
        let profile = data::profile(stacks);
        let mut gz = Vec::new();
        perfwright_format::pprof::write_gzip(&profile, &mut gz)?;
        println!("{name}: {} nodes, {} bytes gz", profile.stack_count(), gz.len());
        fs::write(folder.join(format!("{name}.pb.gz")), gz)?;
        if stacks <= 109_000 {
            let mut folded = Vec::new();
            perfwright_format::folded::write(&profile, 1, &mut folded)?;
            println!("  folded {} bytes", folded.len());
            fs::write(folder.join(format!("{name}.folded")), folded)?;
        }
    }
    Ok(())
}
