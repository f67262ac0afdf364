//! Installing what tests need beyond the toolchain: only where it is asked for, and only after saying so.

use std::{env, fs, os::unix::fs::symlink, path::Path, process::Command};

use anyhow::{Context as _, Result, bail, ensure};

use crate::{
    chores::run,
    need::{Tool, sysroot, tools},
};

/// Makes the missing tools present where that is allowed: with `--install`, or as root on Debian. Elsewhere
/// it says what is missing, how to install it, and that its tests are skipped.
pub(crate) fn provide_tools(install: bool) -> Result<()> {
    let missing: Vec<_> = Tool::ALL
        .into_iter()
        .filter(|tool| !tool.is_present())
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let debian = Path::new("/etc/debian_version").exists();
    if !(install || (debian && is_root())) {
        for tool in missing {
            eprintln!(
                "missing: {}; its tests are skipped. Install it with: {}",
                tool.name(),
                tool.install_command()
            );
        }
        return Ok(());
    }
    let mut refreshed = false;
    for tool in missing {
        eprintln!(
            "installing {}, which tests need: {}",
            tool.name(),
            tool.install_command()
        );
        if let Err(error) = provide(tool, &mut refreshed) {
            // The tests that need it say the rest: skipped, or under CI failed.
            eprintln!("could not install {}: {error:#}", tool.name());
        }
    }
    Ok(())
}

/// Installs one tool; `refreshed` says whether the package lists are fresh.
pub(crate) fn provide(tool: Tool, refreshed: &mut bool) -> Result<()> {
    match tool {
        Tool::Go => apt(&["golang-go"], refreshed),
        Tool::Binutils => apt(&["binutils"], refreshed),
        Tool::RustSrc => rust_src(refreshed),
        Tool::Chromium => apt(&["chromium"], refreshed),
        Tool::Promtool => promtool(refreshed),
        Tool::Valgrind => apt(&["valgrind"], refreshed),
    }
}

fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|this| std::os::unix::fs::MetadataExt::uid(&this) == 0)
}

fn apt(packages: &[&str], refreshed: &mut bool) -> Result<()> {
    if !*refreshed {
        run(apt_get().args(["update", "-q"]))?;
        *refreshed = true;
    }
    run(apt_get()
        .args(["install", "-q", "-y", "--no-install-recommends"])
        .args(packages))
}

fn apt_get() -> Command {
    let mut command = if is_root() {
        Command::new("apt-get")
    } else {
        let mut sudo = Command::new("sudo");
        sudo.arg("apt-get");
        sudo
    };
    command.env("DEBIAN_FRONTEND", "noninteractive");
    command
}

/// Out of Debian's package into `target/tools`: installed, the package would start a server.
fn promtool(refreshed: &mut bool) -> Result<()> {
    ensure!(
        Path::new("/etc/debian_version").exists(),
        "it is in Debian's package prometheus"
    );
    if !*refreshed {
        run(apt_get().args(["update", "-q"]))?;
        *refreshed = true;
    }
    let folder = tempfile::tempdir()?;
    run(Command::new("apt-get")
        .args([
            "-q",
            "-o",
            "APT::Sandbox::User=root",
            "download",
            "prometheus",
        ])
        .current_dir(folder.path()))?;
    let tools = tools().context("this program was not built in a target folder")?;
    unpack(&downloaded(folder.path())?, &tools, 3, "./usr/bin/promtool")
}

/// The sources of the standard library: by rustup, or where rustup cannot download, out of Debian's package
/// of the same version.
fn rust_src(refreshed: &mut bool) -> Result<()> {
    let by_rustup = run(Command::new("rustup").args(["component", "add", "rust-src"]));
    if by_rustup.is_ok() && Tool::RustSrc.is_present() {
        return Ok(());
    }
    ensure!(
        Path::new("/etc/debian_version").exists(),
        "rustup could not download it"
    );
    eprintln!("rustup could not download it: taking Debian's package of the same version");
    apt(&["ca-certificates"], refreshed)?;
    let version = rustc_version()?;
    let folder = tempfile::tempdir()?;
    let package = download_rust_src(&version, folder.path())?;
    let target = Path::new("/usr/local/lib").join(format!("rust-src-{version}"));
    unpack_library(&package, &version, &target)?;
    let link =
        Path::new(&sysroot().context("rustc names no sysroot")?).join("lib/rustlib/src/rust");
    fs::create_dir_all(link.parent().context("the sysroot has folders")?)?;
    // A link to nowhere would be in the way.
    let _ = fs::remove_file(&link);
    symlink(&target, &link)
        .with_context(|| format!("link {} to {}", link.display(), target.display()))
}

pub(crate) fn rustc_version() -> Result<String> {
    let output = Command::new("rustc").arg("--version").output()?;
    let text = String::from_utf8(output.stdout)?;
    let version = text
        .split_whitespace()
        .nth(1)
        .context("rustc names its version")?;
    Ok(version.to_owned())
}

/// Downloads the package through package lists of its own, so that the machine's are left alone.
fn download_rust_src(version: &str, folder: &Path) -> Result<std::path::PathBuf> {
    let mirror = debian_mirror().context("no Debian mirror is set up")?;
    let list = folder.join("sources.list");
    let keyring = "/usr/share/keyrings/debian-archive-keyring.gpg";
    fs::write(
        &list,
        format!("deb [signed-by={keyring}] {mirror} trixie-backports main\n"),
    )?;
    fs::create_dir_all(folder.join("lists/partial"))?;
    fs::create_dir_all(folder.join("cache/archives/partial"))?;
    let own = |program: &str| {
        let mut command = Command::new(program);
        command
            .current_dir(folder)
            .args(["-q", "-o", "Dir::Etc::sourceparts=-", "-o"])
            .arg(format!("Dir::Etc::sourcelist={}", list.display()))
            .arg("-o")
            .arg(format!(
                "Dir::State::lists={}",
                folder.join("lists").display()
            ))
            .arg("-o")
            .arg(format!("Dir::Cache={}", folder.join("cache").display()))
            .args(["-o", "APT::Sandbox::User=root"]);
        command
    };
    run(own("apt-get").arg("update"))?;
    let known = own("apt-cache").args(["madison", "rust-src"]).output()?;
    let wanted = package_version(&String::from_utf8_lossy(&known.stdout), version)
        .with_context(|| format!("Debian has no rust-src {version}"))?;
    run(own("apt-get")
        .arg("download")
        .arg(format!("rust-src={wanted}")))?;
    downloaded(folder)
}

/// The package that was downloaded into a folder.
fn downloaded(folder: &Path) -> Result<std::path::PathBuf> {
    let mut files = fs::read_dir(folder)?
        .filter_map(Result::ok)
        .map(|entry| entry.path());
    files
        .find(|path| path.extension().is_some_and(|ending| ending == "deb"))
        .context("no package came")
}

/// In lines such as ` rust-src | 1.95.0+dfsg1-2~bpo13+1 | ...`, the full version whose upstream version is `version`.
fn package_version(madison: &str, version: &str) -> Option<String> {
    madison
        .lines()
        .filter_map(|line| line.split('|').nth(1))
        .map(str::trim)
        .find(|found| {
            let rest = found.strip_prefix(version);
            rest.is_some_and(|rest| rest.starts_with(['+', '-']))
        })
        .map(str::to_owned)
}

/// The mirror that this machine's package sources name first.
fn debian_mirror() -> Option<String> {
    let mut files = vec![Path::new("/etc/apt/sources.list").to_owned()];
    files.extend(
        fs::read_dir("/etc/apt/sources.list.d")
            .ok()?
            .flatten()
            .map(|entry| entry.path()),
    );
    let texts: Vec<_> = files
        .iter()
        .filter_map(|path| fs::read_to_string(path).ok())
        .collect();
    let mut words = texts.iter().flat_map(|text| text.split_whitespace());
    words
        .find(|word| word.starts_with("http") && word.trim_end_matches('/').ends_with("/debian"))
        .map(str::to_owned)
}

/// Only `library/`: 68 of the package's 430 MB.
fn unpack_library(package: &Path, version: &str, target: &Path) -> Result<()> {
    let part = format!("./usr/src/rustc-{version}/library");
    unpack(package, target, 4, &part)
}

/// A part of a package, without the first `strip` names of its paths.
fn unpack(package: &Path, target: &Path, strip: u32, part: &str) -> Result<()> {
    fs::create_dir_all(target)?;
    let mut archive = Command::new("dpkg-deb")
        .arg("--fsys-tarfile")
        .arg(package)
        .stdout(std::process::Stdio::piped())
        .spawn()
        .context("start dpkg-deb")?;
    let bytes = archive.stdout.take().context("dpkg-deb writes to a pipe")?;
    let unpacked = Command::new("tar")
        .arg("-x")
        .arg(format!("--strip-components={strip}"))
        .arg("-C")
        .args([target, Path::new(part)])
        .stdin(bytes)
        .status()?;
    // tar may end before it has read all: dpkg-deb's own status then says nothing.
    archive.wait()?;
    if !unpacked.success() {
        bail!("tar could not unpack {}", package.display());
    }
    Ok(())
}

/// Whether continuous integration runs us: there, what is missing is an error.
pub(crate) fn in_ci() -> bool {
    env::var_os("CI").is_some_and(|ci| !ci.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_package_of_the_same_version_is_found() {
        let madison = " rust-src | 1.96.1+dfsg1-2 | mirror\n rust-src | 1.95.0+dfsg1-2 | mirror\n";
        assert_eq!(
            package_version(madison, "1.95.0").as_deref(),
            Some("1.95.0+dfsg1-2")
        );
        assert_eq!(package_version(madison, "1.9"), None);
    }
}
