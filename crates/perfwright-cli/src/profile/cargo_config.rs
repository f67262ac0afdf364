//! What has to be added to cargo's configuration so that a program can be profiled or compared well: frame
//! pointers, and a `profiling` profile where the workspace has none; aligned functions.
//!
//! cargo takes compiler flags from one of four places and ignores the others: the variables
//! `CARGO_ENCODED_RUSTFLAGS` and `RUSTFLAGS`, the `target.*.rustflags` that apply, `build.rustflags`.
//! Flags are appended to the place in use; anywhere else they would be ignored or replace the user's.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::{Context as _, Result};
use cargo_platform::{Cfg, Platform};
use toml::{Table, Value};

/// A flag of the compiler.
#[derive(Debug, Clone, Copy)]
struct Flag {
    /// What tells that the user has set it.
    mark: &'static str,
    args: [&'static str; 2],
}

const FRAME_POINTERS: Flag = Flag {
    mark: "force-frame-pointers",
    args: ["-C", "force-frame-pointers=yes"],
};
/// Functions begin at multiples of 64 bytes, as cache lines do.
const ALIGNED_FUNCTIONS: Flag = Flag {
    mark: "align-all-functions",
    args: ["-C", "llvm-args=-align-all-functions=6"],
};

/// Arguments and environment to run cargo with.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Additions {
    pub(crate) args: Vec<String>,
    pub(crate) env: Vec<(&'static str, String)>,
}

/// What cargo knows about the machine and the user's settings.
pub(crate) struct Settings {
    /// Configuration files, the nearest first.
    files: Vec<Table>,
    manifest: Table,
    triple: String,
    cfgs: Vec<Cfg>,
    /// Environment variables, so that tests need not set the process's.
    env: fn(&str) -> Option<String>,
}

impl Settings {
    /// Reads the configuration files that cargo would read in `folder`.
    pub(crate) fn read(folder: &Path, workspace_root: &Path, rustc: &OsString) -> Result<Settings> {
        let manifest = read_table(&workspace_root.join("Cargo.toml"))?.unwrap_or_default();
        let mut files = Vec::new();
        for path in config_paths(folder) {
            files.extend(read_table(&path)?);
        }
        let mut settings = Settings {
            files,
            manifest,
            triple: String::new(),
            cfgs: Vec::new(),
            env: |name| std::env::var(name).ok(),
        };
        settings.triple = settings.target_triple(rustc)?;
        let cfgs = query(rustc, &["--print", "cfg", "--target", &settings.triple])?;
        settings.cfgs = cfgs
            .lines()
            .filter_map(|line| Cfg::from_str(line).ok())
            .collect();
        Ok(settings)
    }

    /// Everything to add for a program that is to be profiled.
    pub(crate) fn additions(&self) -> Additions {
        let mut additions = self.with(FRAME_POINTERS);
        if !self.has_profile() {
            for setting in [
                "profile.profiling.inherits=\"release\"",
                "profile.profiling.debug=\"line-tables-only\"",
                "profile.profiling.strip=\"none\"",
            ] {
                additions
                    .args
                    .extend(["--config".to_owned(), setting.to_owned()]);
            }
        }
        additions
    }

    /// What to add for programs that are to be compared: a change of one function then moves no other within its
    /// cache lines, which alone was seen to make a sort 12 % slower.
    pub(crate) fn aligned(&self) -> Additions {
        self.with(ALIGNED_FUNCTIONS)
    }

    fn with(&self, flag: Flag) -> Additions {
        for (name, separator) in [("CARGO_ENCODED_RUSTFLAGS", "\x1f"), ("RUSTFLAGS", " ")] {
            if let Some(flags) = (self.env)(name) {
                return flag.in_variable(name, &flags, separator);
            }
        }
        let target = self.target_flags();
        let (key, flags) = match target.is_empty() {
            false => (format!("target.{}.rustflags", self.triple), target),
            true => ("build.rustflags".to_owned(), self.build_flags()),
        };
        if flags.iter().any(|flags| flag.is_in(flags)) {
            return Additions::default();
        }
        // An array is joined with those of the files; a string replaces the file's, so it repeats it.
        let path = key_path(&key);
        let own_string = self.lookup(&path).find_map(Value::as_str);
        let value = match own_string {
            Some(text) => Value::from(format!("{text} {}", flag.args.join(" "))),
            None => Value::from(flag.args.to_vec()),
        };
        Additions {
            args: vec!["--config".to_owned(), format!("{key}={value}")],
            env: Vec::new(),
        }
    }

    /// The flags of all `target` tables that apply.
    fn target_flags(&self) -> Vec<Value> {
        let variable = format!(
            "CARGO_TARGET_{}_RUSTFLAGS",
            self.triple.to_uppercase().replace(['-', '.'], "_")
        );
        let tables = self
            .files
            .iter()
            .filter_map(|file| file.get("target")?.as_table())
            .flatten();
        tables
            .filter(|(name, _)| self.applies(name))
            .filter_map(|(_, table)| table.get("rustflags").cloned())
            .chain((self.env)(&variable).map(Value::from))
            .collect()
    }

    fn applies(&self, name: &str) -> bool {
        Platform::from_str(name).is_ok_and(|platform| platform.matches(&self.triple, &self.cfgs))
    }

    fn build_flags(&self) -> Vec<Value> {
        self.lookup(&["build", "rustflags"])
            .cloned()
            .chain((self.env)("CARGO_BUILD_RUSTFLAGS").map(Value::from))
            .collect()
    }

    fn has_profile(&self) -> bool {
        let path = ["profile", "profiling"];
        in_table(&self.manifest, &path).is_some() || self.lookup(&path).next().is_some()
    }

    fn target_triple(&self, rustc: &OsString) -> Result<String> {
        let configured = (self.env)("CARGO_BUILD_TARGET").or_else(|| {
            self.lookup(&["build", "target"])
                .find_map(Value::as_str)
                .map(str::to_owned)
        });
        if let Some(triple) = configured {
            return Ok(triple);
        }
        let version = query(rustc, &["-vV"])?;
        let host = version.lines().find_map(|line| line.strip_prefix("host: "));
        host.map(str::to_owned)
            .context("read the host from `rustc -vV`")
    }

    fn lookup<'a>(&'a self, path: &'a [&str]) -> impl Iterator<Item = &'a Value> {
        self.files.iter().filter_map(|file| in_table(file, path))
    }
}

fn in_table<'a>(table: &'a Table, path: &[&str]) -> Option<&'a Value> {
    let (first, rest) = path.split_first()?;
    rest.iter()
        .try_fold(table.get(*first)?, |value, key| value.get(key))
}

fn key_path(key: &str) -> Vec<&str> {
    // A triple has no dots but for rare ones such as thumbv8m.main-none-eabi, where nothing is profiled.
    key.split('.').collect()
}

impl Flag {
    fn is_in(self, flags: &Value) -> bool {
        match flags {
            Value::String(text) => text.contains(self.mark),
            Value::Array(list) => list.iter().any(|flags| self.is_in(flags)),
            _ => false,
        }
    }

    fn in_variable(self, name: &'static str, flags: &str, separator: &str) -> Additions {
        if flags.contains(self.mark) {
            return Additions::default();
        }
        let mut all: Vec<&str> = flags
            .split(separator)
            .filter(|flag| !flag.is_empty())
            .collect();
        all.extend(self.args);
        Additions {
            args: Vec::new(),
            env: vec![(name, all.join(separator))],
        }
    }
}

/// The configuration files of `folder` and those around it, then the user's own.
fn config_paths(folder: &Path) -> Vec<PathBuf> {
    let around = folder.ancestors().map(|ancestor| ancestor.join(".cargo"));
    let home = std::env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cargo")));
    let mut paths: Vec<PathBuf> = Vec::new();
    for folder in around.chain(home) {
        // The name without an ending is cargo's older one, and wins where both are.
        let path = ["config", "config.toml"].map(|name| folder.join(name));
        if let Some(path) = path.into_iter().find(|path| path.is_file())
            && !paths.contains(&path)
        {
            paths.push(path);
        }
    }
    paths
}

fn read_table(path: &Path) -> Result<Option<Table>> {
    match std::fs::read_to_string(path) {
        Ok(text) => {
            let table = text.parse::<Table>();
            Ok(Some(
                table.with_context(|| format!("read {}", path.display()))?,
            ))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("read {}", path.display())),
    }
}

fn query(rustc: &OsString, args: &[&str]) -> Result<String> {
    let output = std::process::Command::new(rustc)
        .args(args)
        .output()
        .with_context(|| format!("run {} (is the Rust toolchain installed?)", rustc.display()))?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ARRAY: &str = r#"["-C", "force-frame-pointers=yes"]"#;

    fn settings(files: &[&str], manifest: &str, env: fn(&str) -> Option<String>) -> Settings {
        Settings {
            files: files.iter().map(|file| file.parse().unwrap()).collect(),
            manifest: manifest.parse().unwrap(),
            triple: "x86_64-unknown-linux-gnu".to_owned(),
            cfgs: ["unix", "target_os=\"linux\""]
                .map(|cfg| cfg.parse().unwrap())
                .into(),
            env,
        }
    }

    fn added(files: &[&str]) -> String {
        let settings = settings(files, "[profile.profiling]", |_| None);
        settings.additions().args.join(" ")
    }

    #[test]
    fn flags_go_where_cargo_takes_them_from() {
        let triple = "target.x86_64-unknown-linux-gnu.rustflags";
        let cases = [
            ("", format!("--config build.rustflags={ARRAY}")),
            (
                "[build]\njobs = 2",
                format!("--config build.rustflags={ARRAY}"),
            ),
            (
                "[build]\nrustflags = ['-Ctarget-cpu=native']",
                format!("--config build.rustflags={ARRAY}"),
            ),
            (
                "[build]\nrustflags = '-Ctarget-cpu=native'",
                "--config build.rustflags=\"-Ctarget-cpu=native -C force-frame-pointers=yes\""
                    .into(),
            ),
            (
                "[target.x86_64-unknown-linux-gnu]\nrustflags = ['-g']",
                format!("--config {triple}={ARRAY}"),
            ),
            (
                "[target.'cfg(unix)']\nrustflags = ['-g']",
                format!("--config {triple}={ARRAY}"),
            ),
            (
                "[target.'cfg(windows)']\nrustflags = ['-g']",
                format!("--config build.rustflags={ARRAY}"),
            ),
            (
                "[target.'cfg(unix)']\nrunner = 'x'",
                format!("--config build.rustflags={ARRAY}"),
            ),
        ];
        for (file, expected) in cases {
            assert_eq!(added(&[file]), expected, "{file}");
        }
    }

    #[test]
    fn frame_pointers_that_are_there_need_nothing() {
        let files = [
            "[build]\nrustflags = ['-C', 'force-frame-pointers=yes']",
            "[build]\nrustflags = '-Cforce-frame-pointers'",
            "[target.'cfg(unix)']\nrustflags = ['-Cforce-frame-pointers=yes']",
        ];
        for file in files {
            assert_eq!(added(&[file]), "", "{file}");
            assert_eq!(added(&["", file]), "", "in the folder above: {file}");
        }
        let hidden = "[build]\nrustflags = ['-Cforce-frame-pointers=yes']\n\
                      [target.'cfg(unix)']\nrustflags = ['-g']";
        assert!(
            added(&[hidden]).contains("target."),
            "cargo ignores build.rustflags here"
        );
    }

    #[test]
    fn variables_in_use_are_appended_to() {
        let with = |env| settings(&[""], "[profile.profiling]", env).additions();
        let plain = with(|name| (name == "RUSTFLAGS").then(|| "-g  -O".to_owned()));
        assert_eq!(
            plain.env,
            [("RUSTFLAGS", "-g -O -C force-frame-pointers=yes".to_owned())]
        );
        assert_eq!(plain.args, [""; 0]);
        let encoded = with(|name| (name == "CARGO_ENCODED_RUSTFLAGS").then(|| "-g".to_owned()));
        let expected = "-g\x1f-C\x1fforce-frame-pointers=yes".to_owned();
        assert_eq!(encoded.env, [("CARGO_ENCODED_RUSTFLAGS", expected)]);
        let there = with(|name| (name == "RUSTFLAGS").then(|| "-Cforce-frame-pointers".to_owned()));
        assert_eq!(there, Additions::default());
        let of_target = with(|name| {
            (name == "CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUSTFLAGS").then(|| "-g".to_owned())
        });
        assert!(of_target.args[1].starts_with("target.x86_64-unknown-linux-gnu.rustflags=["));
    }

    #[test]
    fn a_missing_profile_is_given() {
        let profile = "--config profile.profiling.inherits=\"release\" \
                       --config profile.profiling.debug=\"line-tables-only\" \
                       --config profile.profiling.strip=\"none\"";
        let args = |files: &[&str], manifest| {
            let settings = settings(files, manifest, |name| {
                (name == "RUSTFLAGS").then(|| "-Cforce-frame-pointers".to_owned())
            });
            settings.additions().args.join(" ")
        };
        assert_eq!(args(&[], "[workspace]"), profile);
        assert_eq!(args(&[], "[profile.profiling]\ninherits = 'release'"), "");
        assert_eq!(
            args(
                &["[profile.profiling]\ninherits = 'release'"],
                "[workspace]"
            ),
            ""
        );
    }

    #[test]
    fn this_machine_can_be_read() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join(".cargo")).unwrap();
        let file = folder.path().join(".cargo/config.toml");
        std::fs::write(&file, "[build]\nrustflags = ['-Cforce-frame-pointers=yes']").unwrap();
        let rustc = OsString::from("rustc");
        let settings = Settings::read(folder.path(), folder.path(), &rustc).unwrap();
        assert!(settings.triple.contains('-'), "{}", settings.triple);
        assert!(!settings.cfgs.is_empty());
        assert!(
            settings
                .build_flags()
                .iter()
                .any(|flags| FRAME_POINTERS.is_in(flags))
        );
        assert_eq!(settings.aligned().args[0], "--config");

        std::fs::write(&file, "[build\n").unwrap();
        let error = Settings::read(folder.path(), folder.path(), &rustc)
            .err()
            .unwrap();
        assert!(error.to_string().starts_with("read "), "{error}");
    }
}
