//! The peak snapshot against dhat's `t-gmax` of the same program.

use std::path::Path;

use anyhow::Result;

/// Compares them.
pub(crate) fn run(_folder: &Path) -> Result<()> {
    Ok(())
}
