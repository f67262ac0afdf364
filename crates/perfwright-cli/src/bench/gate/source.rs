//! Where the base and the candidate come from, as lists of files.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

/// Files by their paths within the checkout.
pub(crate) type Files = BTreeMap<PathBuf, PathBuf>;

/// Tags that look like a version's, such as `v1.2.3`, `1.2.3` and `parser-v1.2.3`.
const RELEASES: [&str; 3] = ["v[0-9]*", "[0-9]*.[0-9]*", "*-v[0-9]*"];

/// A repository, by its top folder.
#[derive(Debug, Clone)]
pub(crate) struct Repository {
    top: PathBuf,
}

/// What to compare with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Base {
    /// A commit, and how the user named it.
    Commit { hash: String, name: String },
    /// A folder with a checkout.
    Folder(PathBuf),
}

impl Base {
    /// Finds what the user named: a revision, a folder, or `release`.
    pub(crate) fn find(name: &str, repository: Option<&Repository>) -> Result<Base> {
        let folder = Path::new(name);
        let is_path = name.contains(std::path::MAIN_SEPARATOR) || name.starts_with('.');
        if is_path && folder.is_dir() {
            return Base::folder(folder);
        }
        let commit = repository.and_then(|repository| repository.commit(name));
        match commit {
            Some(commit) => Ok(commit),
            None if folder.is_dir() => Base::folder(folder),
            None if repository.is_none() => bail!(
                "find the base {name}: there is no git repository here, and no folder of that name; give a folder with a checkout"
            ),
            None if name == "release" => bail!(
                "find the last release: no tag before this commit looks like a version (such as v1.2.3); name one"
            ),
            None => bail!(
                "find the base {name}: it is neither a revision of this repository nor a folder; \
                 a shallow clone may lack it (git fetch --unshallow)"
            ),
        }
    }

    fn folder(folder: &Path) -> Result<Base> {
        let folder = folder.canonicalize();
        Ok(Base::Folder(folder.context("find the base's folder")?))
    }

    /// How it is called in results.
    pub(crate) fn name(&self) -> String {
        match self {
            Base::Commit { hash, name } if hash.starts_with(name.as_str()) => {
                hash[..12.min(hash.len())].to_owned()
            }
            Base::Commit { hash, name } => format!("{name} ({})", &hash[..9.min(hash.len())]),
            Base::Folder(folder) => folder.display().to_string(),
        }
    }
}

impl Repository {
    /// The one that holds `folder`, if git and a repository are there.
    pub(crate) fn of(folder: &Path) -> Option<Repository> {
        let top = git(folder, &["rev-parse", "--show-toplevel"]).ok()?;
        Some(Repository {
            top: PathBuf::from(top),
        })
    }

    pub(crate) fn top(&self) -> &Path {
        &self.top
    }

    /// The commit that a name means; `release` is the last tag before this commit that looks like a version, unless
    /// something has that name.
    fn commit(&self, name: &str) -> Option<Base> {
        let named = |name: &str| {
            let verified = ["rev-parse", "--verify", "--quiet", "--end-of-options"];
            let commit = format!("{name}^{{commit}}");
            git(&self.top, &[verified.as_slice(), &[&commit]].concat()).ok()
        };
        let (hash, name) = match named(name) {
            Some(hash) => (hash, name.to_owned()),
            None if name == "release" => {
                let tag = self.last_release()?;
                (named(&tag)?, tag)
            }
            None => return None,
        };
        Some(Base::Commit { hash, name })
    }

    fn last_release(&self) -> Option<String> {
        let patterns = RELEASES.iter().flat_map(|pattern| ["--match", pattern]);
        let mut args = vec!["describe", "--tags", "--abbrev=0"];
        args.extend(patterns);
        git(&self.top, &args).ok()
    }

    /// The commit that is checked out, and whether something here differs from it.
    pub(crate) fn head(&self) -> Option<(String, bool)> {
        let hash = git(&self.top, &["rev-parse", "HEAD"]).ok()?;
        let changes = git(&self.top, &["status", "--porcelain"]).ok()?;
        Some((hash, !changes.is_empty()))
    }

    /// What a user would call the files of the working tree: those that git knows or would take, as they are now.
    pub(crate) fn files(&self) -> Result<Files> {
        files_of_git(&self.top)
    }

    /// Checks a commit out into a folder of its own.
    pub(crate) fn worktree(&self, hash: &str, path: &Path) -> Result<Worktree> {
        // One that an earlier run could not remove.
        remove_worktree(&self.top, path);
        // Before it is there, so that half of one is removed as well.
        let worktree = Worktree {
            top: self.top.clone(),
            path: path.to_owned(),
        };
        let place = path.to_string_lossy();
        let add = ["worktree", "add", "--detach", "--force", &*place, hash];
        git(&self.top, &add).context("check the base out")?;
        Ok(worktree)
    }
}

/// A checkout beside the user's; removed when it is dropped.
#[derive(Debug)]
pub(crate) struct Worktree {
    top: PathBuf,
    path: PathBuf,
}

impl Worktree {
    pub(crate) fn files(&self) -> Result<Files> {
        files_of_git(&self.path)
    }
}

impl Drop for Worktree {
    fn drop(&mut self) {
        remove_worktree(&self.top, &self.path);
    }
}

fn remove_worktree(top: &Path, path: &Path) {
    let place = path.to_string_lossy();
    // What is not there cannot be removed, which is fine.
    let _ = git(top, &["worktree", "remove", "--force", &*place]);
    let _ = fs::remove_dir_all(path);
    let _ = git(top, &["worktree", "prune"]);
}

/// The files of a folder with a checkout: as git sees them if it is one of git's, else all but build output.
pub(crate) fn files_of_folder(folder: &Path) -> Result<Files> {
    let is_git = Repository::of(folder).is_some_and(|repository| repository.top == folder);
    if is_git {
        return files_of_git(folder);
    }
    let mut files = Files::new();
    walk(folder, Path::new(""), &mut files)?;
    Ok(files)
}

fn files_of_git(top: &Path) -> Result<Files> {
    let list = [
        "ls-files",
        "-z",
        "--cached",
        "--others",
        "--exclude-standard",
    ];
    let text = git(top, &list).context("list the files")?;
    let paths = text.split('\0').filter(|path| !path.is_empty());
    let files = paths.map(|path| (PathBuf::from(path), top.join(path)));
    // What is deleted and not committed is gone; a submodule is a folder.
    let exists = |path: &Path| path.symlink_metadata().is_ok_and(|data| !data.is_dir());
    Ok(files.filter(|(_, path)| exists(path)).collect())
}

fn walk(top: &Path, within: &Path, files: &mut Files) -> Result<()> {
    let folder = top.join(within);
    let reading = || format!("read {}", folder.display());
    for entry in fs::read_dir(&folder).with_context(reading)? {
        let entry = entry.with_context(reading)?;
        let (name, path) = (entry.file_name(), within.join(entry.file_name()));
        let kind = entry.file_type().with_context(reading)?;
        match kind.is_dir() {
            true if name == "target" || name == ".git" => {}
            true => walk(top, &path, files)?,
            false => {
                files.insert(path, entry.path());
            }
        }
    }
    Ok(())
}

/// What a git command prints, without the last newline.
fn git(folder: &Path, args: &[&str]) -> Result<String> {
    let output = Command::new("git")
        .arg("-C")
        .arg(folder)
        .args(args)
        // Ctrl-C in the terminal is for this command.
        .process_group(0)
        .stdin(Stdio::null())
        .output()
        .context("run git (is it installed?)")?;
    if !output.status.success() {
        let words = String::from_utf8_lossy(&output.stderr);
        bail!("run git {}: {}", args[0], words.trim());
    }
    let text = String::from_utf8(output.stdout).context("read what git says")?;
    Ok(text.trim_end_matches('\n').to_owned())
}
