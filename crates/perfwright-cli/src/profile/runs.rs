//! The folders of runs: `target/perfwright/<time>-<program>/`, a `latest` link, and their pruning.
//!
//! A run is written in a hidden work folder beside its final place and renamed when it is complete,
//! so a folder under its final name is always whole. Folders that this program made carry a marker
//! file; nothing without it is ever replaced or removed.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, bail};
use perfwright_budget::Date;

/// Says that a folder is a run of this program.
const MARKER: &str = ".perfwright-run";
const LATEST: &str = "latest";

/// A run that is being written; dropped before [`Run::complete`], it leaves nothing behind.
#[derive(Debug)]
pub(crate) struct Run {
    work: PathBuf,
    place: Place,
    completed: bool,
}

#[derive(Debug)]
enum Place {
    /// A new folder among the others, with the link and pruning.
    Among {
        root: PathBuf,
        name: String,
        keep: usize,
    },
    /// Where the user asked for it.
    At(PathBuf),
}

impl Run {
    /// Begins a run in `root` (which is made), named after the time and the program.
    pub(crate) fn among(root: &Path, program: &str, now: SystemTime, keep: usize) -> Result<Run> {
        fs::create_dir_all(root).with_context(|| cannot_write(root))?;
        // The folder's real path: the service may run elsewhere, and the link must not dangle.
        let root = root.canonicalize().with_context(|| cannot_write(root))?;
        remove_abandoned(&root);
        let name = format!("{}-{}", timestamp(now), file_name_part(program));
        let work = make_work_folder(&root, &name)?;
        Ok(Run {
            work,
            place: Place::Among { root, name, keep },
            completed: false,
        })
    }

    /// Begins a run that becomes the folder `place`, which must be absent, empty, or a former run.
    pub(crate) fn at(place: &Path) -> Result<Run> {
        if !replaceable(place)? {
            bail!(
                "write the run to {}: it exists and is no run of perfwright; give --out a new folder",
                place.display()
            );
        }
        let place = std::path::absolute(place).with_context(|| cannot_write(place))?;
        let Some((parent, name)) = place.parent().zip(place.file_name()) else {
            bail!(
                "write the run to {}: give --out a folder of its own",
                place.display()
            );
        };
        fs::create_dir_all(parent).with_context(|| cannot_write(parent))?;
        let work = make_work_folder(parent, &name.to_string_lossy())?;
        Ok(Run {
            work,
            place: Place::At(place),
            completed: false,
        })
    }

    /// Where the run's files are written for now.
    pub(crate) fn folder(&self) -> &Path {
        &self.work
    }

    /// Where the run will be when it is complete, unless another run of this second is there first.
    pub(crate) fn final_folder(&self) -> PathBuf {
        match &self.place {
            Place::Among { root, name, .. } => root.join(name),
            Place::At(place) => place.clone(),
        }
    }

    /// Gives the run its final name, points `latest` at it and prunes older runs. Returns its folder.
    pub(crate) fn complete(mut self) -> Result<PathBuf> {
        let folder = match &self.place {
            Place::Among { root, name, .. } => move_among(&self.work, root, name)?,
            Place::At(place) => move_to(&self.work, place)?,
        };
        self.completed = true;
        if let Place::Among { root, keep, .. } = &self.place {
            point_latest(root, &folder)?;
            prune(root, *keep)?;
        }
        Ok(folder)
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        if !self.completed {
            // Nothing useful can be done about a folder that does not go away.
            let _ = fs::remove_dir_all(&self.work);
        }
    }
}

fn cannot_write(folder: &Path) -> String {
    format!(
        "write to {} (give a folder that you can write to with --out)",
        folder.display()
    )
}

fn make_work_folder(parent: &Path, name: &str) -> Result<PathBuf> {
    let work = parent.join(format!(".{name}.incomplete-{}", std::process::id()));
    fs::create_dir(&work).with_context(|| cannot_write(parent))?;
    fs::write(work.join(MARKER), format!("{}\n", std::process::id()))
        .with_context(|| cannot_write(&work))?;
    Ok(work)
}

/// Renames the work folder to `name`, or `name-2`, ... when runs of the same second exist.
fn move_among(work: &Path, root: &Path, name: &str) -> Result<PathBuf> {
    for attempt in 1..1_000 {
        let folder = match attempt {
            1 => root.join(name),
            n => root.join(format!("{name}-{n}")),
        };
        // A folder under a final name is never empty, so a rename cannot replace one silently.
        if !folder.exists() && fs::rename(work, &folder).is_ok() {
            return Ok(folder);
        }
    }
    bail!("name the run {name} in {}", root.display())
}

/// Renames the work folder to `place`, replacing a former run.
fn move_to(work: &Path, place: &Path) -> Result<PathBuf> {
    if place.join(MARKER).exists() {
        fs::remove_dir_all(place).with_context(|| format!("replace {}", place.display()))?;
    }
    fs::rename(work, place).with_context(|| format!("rename the run to {}", place.display()))?;
    Ok(place.to_owned())
}

fn replaceable(place: &Path) -> Result<bool> {
    match fs::read_dir(place) {
        Ok(mut entries) => Ok(entries.next().is_none() || place.join(MARKER).exists()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
        Err(error) => Err(error).with_context(|| cannot_write(place)),
    }
}

fn point_latest(root: &Path, folder: &Path) -> Result<()> {
    let name = folder.file_name().unwrap_or_default();
    let fresh = root.join(format!(".{LATEST}-{}", std::process::id()));
    let _ = fs::remove_file(&fresh);
    link(Path::new(name), &fresh)
        .and_then(|()| fs::rename(&fresh, root.join(LATEST)))
        .with_context(|| format!("point {} at the run", root.join(LATEST).display()))
}

#[cfg(unix)]
fn link(target: &Path, link: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(target, link)
}

#[cfg(windows)]
fn link(target: &Path, link: &Path) -> io::Result<()> {
    std::os::windows::fs::symlink_dir(target, link)
}

/// Removes the oldest runs beyond `keep`. Names begin with the time, so they sort by age.
fn prune(root: &Path, keep: usize) -> Result<()> {
    let mut runs = marked_folders(root)?;
    runs.retain(|run| !is_hidden(run));
    runs.sort();
    let surplus = runs.len().saturating_sub(keep);
    for run in &runs[..surplus] {
        fs::remove_dir_all(run).with_context(|| format!("remove the old run {}", run.display()))?;
    }
    Ok(())
}

/// Removes work folders whose process is gone: it was killed before it could do so itself.
fn remove_abandoned(root: &Path) {
    for work in marked_folders(root).unwrap_or_default() {
        let pid = fs::read_to_string(work.join(MARKER)).unwrap_or_default();
        let alive = Path::new("/proc").join(pid.trim()).exists();
        if is_hidden(&work) && !pid.trim().is_empty() && Path::new("/proc/self").exists() && !alive
        {
            let _ = fs::remove_dir_all(&work);
        }
    }
}

fn marked_folders(root: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(root).with_context(|| format!("read {}", root.display()))?;
    Ok(entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        // Not through a link: `latest` is none of the runs.
        .filter(|path| path.symlink_metadata().is_ok_and(|data| data.is_dir()))
        .filter(|path| path.join(MARKER).exists())
        .collect())
}

fn is_hidden(path: &Path) -> bool {
    path.file_name()
        .is_some_and(|name| name.as_encoded_bytes().starts_with(b"."))
}

/// A program's name as part of a file name.
fn file_name_part(program: &str) -> String {
    program
        .chars()
        .map(|c| {
            if c.is_alphanumeric() || "-_.".contains(c) {
                c
            } else {
                '_'
            }
        })
        .collect()
}

/// `20261121-013940`, in UTC.
fn timestamp(time: SystemTime) -> String {
    let seconds = time
        .duration_since(UNIX_EPOCH)
        .map_or(0, |elapsed| elapsed.as_secs());
    let date = Date::from_unix(seconds).to_string().replace('-', "");
    let (hour, minute, second) = (seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60);
    format!("{date}-{hour:02}{minute:02}{second:02}")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn run(root: &Path, seconds: u64, keep: usize) -> PathBuf {
        let run = Run::among(root, "shop", at(seconds), keep).unwrap();
        fs::write(run.folder().join("cpu.folded"), "a 1\n").unwrap();
        run.complete().unwrap()
    }

    fn names(root: &Path) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(root)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn times_are_written_so_that_they_sort() {
        let cases = [
            (0, "19700101-000000"),
            (951_782_400, "20000229-000000"),
            (1_795_225_180, "20261121-013940"),
            (4_107_542_399, "21000228-235959"),
        ];
        for (seconds, text) in cases {
            assert_eq!(timestamp(at(seconds)), text);
        }
    }

    #[test]
    fn a_run_appears_when_it_is_complete_and_latest_follows() {
        let root = tempfile::tempdir().unwrap();
        let run = Run::among(root.path(), "my/app", at(0), 20).unwrap();
        fs::write(run.folder().join("cpu.folded"), "a 1\n").unwrap();
        assert!(names(root.path())[0].starts_with(".19700101-000000-my_app.incomplete-"));
        run.complete().unwrap();
        assert_eq!(names(root.path()), ["19700101-000000-my_app", "latest"]);
        let latest = root.path().join("latest/cpu.folded");
        assert_eq!(fs::read_to_string(latest).unwrap(), "a 1\n");
        assert_eq!(
            self::run(root.path(), 0, 20).file_name().unwrap(),
            "19700101-000000-shop"
        );
        assert_eq!(
            self::run(root.path(), 0, 20).file_name().unwrap(),
            "19700101-000000-shop-2"
        );
    }

    #[test]
    fn an_unfinished_run_leaves_nothing() {
        let root = tempfile::tempdir().unwrap();
        drop(Run::among(root.path(), "shop", at(0), 20).unwrap());
        assert_eq!(names(root.path()), [""; 0]);
        drop(Run::at(&root.path().join("out")).unwrap());
        assert_eq!(names(root.path()), [""; 0]);
    }

    #[test]
    fn only_old_runs_are_pruned() {
        let root = tempfile::tempdir().unwrap();
        for foreign in ["build", "20000101-000000-notes"] {
            fs::create_dir(root.path().join(foreign)).unwrap();
        }
        for second in 1..=4 {
            run(root.path(), second, 2);
        }
        let left = [
            "19700101-000003-shop",
            "19700101-000004-shop",
            "20000101-000000-notes",
            "build",
            "latest",
        ];
        assert_eq!(names(root.path()), left);
    }

    #[test]
    fn what_a_killed_process_left_is_removed_and_what_a_living_one_writes_is_not() {
        let root = tempfile::tempdir().unwrap();
        let living = Run::among(root.path(), "living", at(0), 20).unwrap();
        let dead = root.path().join(".19700101-000000-dead.incomplete-0");
        fs::create_dir(&dead).unwrap();
        fs::write(dead.join(MARKER), "4194999\n").unwrap();
        run(root.path(), 1, 20);
        assert!(living.folder().exists());
        assert!(!dead.exists());
    }

    #[test]
    fn out_replaces_a_former_run_and_nothing_else() {
        let root = tempfile::tempdir().unwrap();
        let place = root.path().join("new/out");
        for round in ["first", "second"] {
            let run = Run::at(&place).unwrap();
            fs::write(run.folder().join(round), "").unwrap();
            assert_eq!(run.complete().unwrap(), place);
        }
        assert_eq!(names(&place), [MARKER, "second"]);

        let error = Run::at(root.path()).unwrap_err().to_string();
        assert!(
            error.contains("is no run of perfwright; give --out a new folder"),
            "{error}"
        );
        fs::write(root.path().join("file"), "").unwrap();
        let error = Run::at(&root.path().join("file/out")).unwrap_err();
        assert!(
            format!("{error:#}").contains("give a folder that you can write to"),
            "{error:#}"
        );
    }
}
