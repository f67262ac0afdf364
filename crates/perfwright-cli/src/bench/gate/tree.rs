//! The one tree in which base and candidate are built, one after the other: at the same place, so that the same
//! sources give the same bytes, and only what differs is built twice.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use toml::{Table, Value};

use super::source::Files;

/// A function that nobody calls. It moves what comes after it, as any change elsewhere does.
const UNRELATED: &str = r#"
#[used]
static PERFWRIGHT_UNRELATED: extern "C" fn(u64) -> u64 = {
    extern "C" fn perfwright_unrelated(value: u64) -> u64 {
        (0..value).fold(1, |sum, x| ::std::hint::black_box(sum ^ x).wrapping_mul(31) / (x | 1))
    }
    perfwright_unrelated
};
"#;

/// A bench target: where its sources are within the checkout.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Target {
    pub(crate) package: String,
    pub(crate) name: String,
    /// The package's folder.
    pub(crate) folder: PathBuf,
    pub(crate) source: PathBuf,
}

impl Target {
    /// The folder of bench sources, where it holds nothing else: `benches`, but not `src`.
    fn sources(&self) -> Option<&Path> {
        let folder = self.source.parent()?;
        let own = folder.strip_prefix(&self.folder).ok()?;
        let first = own.components().next()?;
        (first.as_os_str() != "src").then_some(folder)
    }
}

/// Makes `tree` hold exactly `files`. What is the same already keeps its time, so that cargo does not build it anew.
pub(crate) fn mirror(files: &Files, tree: &Path) -> Result<()> {
    fs::create_dir_all(tree).with_context(|| format!("create {}", tree.display()))?;
    remove_others(files, tree, Path::new(""))?;
    for (path, from) in files {
        let to = tree.join(path);
        copy(from, &to).with_context(|| format!("copy {}", path.display()))?;
    }
    Ok(())
}

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    let is_link = from.symlink_metadata()?.is_symlink();
    if is_link {
        let target = fs::read_link(from)?;
        if fs::read_link(to).is_ok_and(|now| now == target) {
            return Ok(());
        }
        make_way(to)?;
        return std::os::unix::fs::symlink(target, to);
    }
    let wanted = fs::read(from)?;
    if to.symlink_metadata().is_ok_and(|data| data.is_file()) && fs::read(to)? == wanted {
        return Ok(());
    }
    make_way(to)?;
    fs::write(to, wanted)?;
    fs::set_permissions(to, fs::metadata(from)?.permissions())
}

fn make_way(to: &Path) -> io::Result<()> {
    match to.symlink_metadata() {
        Ok(data) if data.is_dir() => fs::remove_dir_all(to)?,
        Ok(_) => fs::remove_file(to)?,
        Err(_) => {}
    }
    to.parent().map_or(Ok(()), fs::create_dir_all)
}

fn remove_others(files: &Files, tree: &Path, within: &Path) -> Result<()> {
    let folder = tree.join(within);
    for entry in fs::read_dir(&folder).with_context(|| format!("read {}", folder.display()))? {
        let entry = entry?;
        let path = within.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            remove_others(files, tree, &path)?;
            // One with something in it stays.
            let _ = fs::remove_dir(tree.join(&path));
        } else if !files.contains_key(&path) {
            fs::remove_file(tree.join(&path))?;
        }
    }
    Ok(())
}

/// The base's files with the candidate's bench sources.
pub(crate) fn with_benches_of(base: &Files, candidate: &Files, targets: &[Target]) -> Files {
    let mut files = base.clone();
    for target in targets {
        let is_new = !base.contains_key(&target.folder.join("Cargo.toml"));
        let folder = match is_new {
            true => Some(target.folder.as_path()),
            false => target.sources(),
        };
        let Some(folder) = folder else {
            if let Some(source) = candidate.get(&target.source) {
                files.insert(target.source.clone(), source.clone());
            }
            continue;
        };
        files.retain(|path, _| !path.starts_with(folder));
        let theirs = candidate
            .iter()
            .filter(|(path, _)| path.starts_with(folder));
        files.extend(theirs.map(|(path, from)| (path.clone(), from.clone())));
    }
    files
}

/// Gives the manifests in `tree` what the candidate's benches need: its bench targets and dev-dependencies, and
/// what these inherit from the workspace, where the base has none of it.
pub(crate) fn adopt_manifests(
    tree: &Path,
    candidate: &Files,
    targets: &[Target],
    workspace: &Path,
) -> Result<()> {
    let folders: BTreeSet<&PathBuf> = targets.iter().map(|target| &target.folder).collect();
    for folder in folders {
        edit(
            tree,
            candidate,
            &folder.join("Cargo.toml"),
            |base, theirs| {
                for key in ["bench", "dev-dependencies"] {
                    match theirs.get(key) {
                        Some(value) => base.insert(key.to_owned(), value.clone()),
                        None => base.remove(key),
                    };
                }
            },
        )?;
    }
    edit(
        tree,
        candidate,
        &workspace.join("Cargo.toml"),
        |base, theirs| {
            let inherited = |table: &Table| {
                table
                    .get("workspace")?
                    .get("dependencies")?
                    .as_table()
                    .cloned()
            };
            let (Some(wanted), Some(own)) = (inherited(theirs), base.get_mut("workspace")) else {
                return;
            };
            let own = own.as_table_mut().map(|own| {
                own.entry("dependencies")
                    .or_insert_with(|| Value::Table(Table::new()))
            });
            if let Some(own) = own.and_then(Value::as_table_mut) {
                for (name, value) in wanted {
                    own.entry(name).or_insert(value);
                }
            }
        },
    )
}

/// Changes a manifest in the tree by the candidate's; leaves it alone where that changes nothing.
fn edit(
    tree: &Path,
    candidate: &Files,
    manifest: &Path,
    change: impl FnOnce(&mut Table, &Table),
) -> Result<()> {
    let Some(theirs) = candidate.get(manifest) else {
        return Ok(());
    };
    let place = tree.join(manifest);
    let read = |path: &Path| -> Result<Table> {
        let text = fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
        text.parse()
            .with_context(|| format!("read {}", path.display()))
    };
    let mut base = read(&place)?;
    let before = base.clone();
    change(&mut base, &read(theirs)?);
    if base != before {
        fs::write(&place, base.to_string())
            .with_context(|| format!("write {}", place.display()))?;
    }
    Ok(())
}

/// Adds the unrelated function to the sources of the bench targets in `tree`.
pub(crate) fn add_unrelated(tree: &Path, targets: &[Target]) -> Result<()> {
    for target in targets {
        let source = tree.join(&target.source);
        let text =
            fs::read_to_string(&source).with_context(|| format!("read {}", source.display()))?;
        fs::write(&source, text + UNRELATED)
            .with_context(|| format!("write {}", source.display()))?;
    }
    Ok(())
}
