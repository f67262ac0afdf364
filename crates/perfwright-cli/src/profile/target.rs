//! What to profile: the package and its binary or example, and how it says it is to be loaded.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use cargo_metadata::{Metadata, MetadataCommand, Package, Target};
use serde::Deserialize;

use super::args::ProfileArgs;
use super::load::{Mix, RequestSpec};

/// A program of the workspace.
#[derive(Debug, Clone)]
pub(crate) struct Program {
    pub(crate) package: String,
    pub(crate) name: String,
    pub(crate) kind: Kind,
    pub(crate) manifest: PathBuf,
    /// How to start and load it.
    pub(crate) plan: Plan,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Bin,
    Example,
}

impl Kind {
    /// As cargo's option has it.
    pub(crate) fn option(self) -> &'static str {
        match self {
            Kind::Bin => "--bin",
            Kind::Example => "--example",
        }
    }

    fn has(self, target: &Target) -> bool {
        match self {
            Kind::Bin => target.is_bin(),
            Kind::Example => target.is_example(),
        }
    }
}

/// How a program is started and loaded; empty for one that is no HTTP service.
#[derive(Debug, Clone, Default)]
pub(crate) struct Plan {
    /// Arguments before the user's; `{addr}` stands for a free loopback address.
    pub(crate) args: Vec<String>,
    /// The path that answers 2xx when the service is ready.
    pub(crate) ready: Option<String>,
    pub(crate) mix: Option<Mix>,
}

/// `[package.metadata.perfwright]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Declared {
    #[serde(default)]
    args: Vec<String>,
    ready: Option<String>,
    #[serde(default)]
    requests: Vec<RequestSpec>,
    /// In place of the above for one binary.
    #[serde(default)]
    bin: BTreeMap<String, DeclaredTarget>,
    /// For one example; the package's own does not apply to examples.
    #[serde(default)]
    example: BTreeMap<String, DeclaredTarget>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct DeclaredTarget {
    #[serde(default)]
    args: Vec<String>,
    ready: Option<String>,
    #[serde(default)]
    requests: Vec<RequestSpec>,
}

/// `[workspace.metadata.perfwright]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct DeclaredWorkspace {
    default: Option<String>,
}

/// The workspace around the current folder.
pub(crate) fn workspace() -> Result<Metadata> {
    MetadataCommand::new()
        .no_deps()
        .exec()
        .map_err(|error| match error {
            cargo_metadata::Error::CargoMetadata { stderr } => {
                anyhow::anyhow!("{}", stderr.trim().trim_start_matches("error: "))
            }
            other => other.into(),
        })
        .context("read the workspace (run this inside a cargo project)")
}

/// Finds the program that the arguments name.
pub(crate) fn choose(metadata: &Metadata, args: &ProfileArgs) -> Result<Program> {
    let (kind, name) = match (&args.bin, &args.example) {
        (_, Some(example)) => (Kind::Example, Some(example)),
        (bin, None) => (Kind::Bin, bin.as_ref()),
    };
    let packages = candidates(metadata, args.package.as_deref(), name.is_some())?;
    let programs: Vec<(&Package, &Target)> = packages
        .iter()
        .flat_map(|package| package.targets.iter().map(move |target| (*package, target)))
        .filter(|(_, target)| kind.has(target))
        .collect();
    let (package, target) = match name {
        Some(name) => named(&programs, kind, name)?,
        None => only(&programs)?,
    };
    Ok(Program {
        package: package.name.to_string(),
        name: target.name.clone(),
        kind,
        manifest: package.manifest_path.clone().into(),
        plan: plan(package, kind, &target.name)?,
    })
}

/// The packages to look in: the one asked for, else the workspace's default, else all.
fn candidates<'a>(
    metadata: &'a Metadata,
    package: Option<&str>,
    searching: bool,
) -> Result<Vec<&'a Package>> {
    let packages = metadata.workspace_packages();
    let declared = workspace_default(metadata)?;
    // A binary or example that is named may be any package's.
    let wanted = package.or(if searching { None } else { declared.as_deref() });
    let Some(wanted) = wanted else {
        return Ok(packages);
    };
    match packages.iter().find(|package| package.name == wanted) {
        Some(package) => Ok(vec![package]),
        None => bail!(
            "find the package `{wanted}`; the workspace has {}",
            list(packages.iter().map(|package| package.name.as_str()))
        ),
    }
}

fn workspace_default(metadata: &Metadata) -> Result<Option<String>> {
    let Some(declared) = metadata.workspace_metadata.get("perfwright") else {
        return Ok(None);
    };
    let declared: DeclaredWorkspace =
        serde_json::from_value(declared.clone()).with_context(|| {
            format!(
                "read [workspace.metadata.perfwright] of {}/Cargo.toml",
                metadata.workspace_root
            )
        })?;
    Ok(declared.default)
}

fn named<'a>(
    programs: &[(&'a Package, &'a Target)],
    kind: Kind,
    name: &str,
) -> Result<(&'a Package, &'a Target)> {
    let word = kind.option().trim_start_matches('-');
    let mut found = programs.iter().filter(|(_, target)| target.name == name);
    match (found.next(), found.next()) {
        (Some(program), None) => Ok(*program),
        (Some(_), Some(_)) => {
            bail!("choose the {word} `{name}`: several packages have it; add --package")
        }
        _ if programs.is_empty() => bail!("find the {word} `{name}`; there are none here"),
        _ => bail!(
            "find the {word} `{name}`; there are {}",
            list(programs.iter().map(|(_, target)| target.name.as_str()))
        ),
    }
}

fn only<'a>(programs: &[(&'a Package, &'a Target)]) -> Result<(&'a Package, &'a Target)> {
    // cargo's own answer to several binaries in a package.
    let default_run = programs
        .iter()
        .find(|(package, target)| package.default_run.as_deref() == Some(target.name.as_str()));
    match (programs, default_run) {
        ([program], _) => Ok(*program),
        ([], _) => {
            bail!("choose a program: there is no binary here; name an example with --example")
        }
        (_, Some(program))
            if programs
                .iter()
                .all(|(package, _)| package.id == program.0.id) =>
        {
            Ok(*program)
        }
        _ => bail!(
            "choose a program: name one of {} with --bin, or set `default` in \
             [workspace.metadata.perfwright] to a package",
            list(programs.iter().map(|(_, target)| target.name.as_str()))
        ),
    }
}

fn plan(package: &Package, kind: Kind, name: &str) -> Result<Plan> {
    let Some(declared) = package.metadata.get("perfwright") else {
        return Ok(Plan::default());
    };
    let place = || {
        format!(
            "read [package.metadata.perfwright] of {}",
            package.manifest_path
        )
    };
    let mut declared: Declared = serde_json::from_value(declared.clone()).with_context(place)?;
    let package_wide = DeclaredTarget {
        args: declared.args,
        ready: declared.ready,
        requests: declared.requests,
    };
    let own = match kind {
        Kind::Bin => Some(declared.bin.remove(name).unwrap_or(package_wide)),
        Kind::Example => declared.example.remove(name),
    };
    own.unwrap_or_default()
        .into_plan()
        .map_err(anyhow::Error::msg)
        .with_context(place)
}

impl DeclaredTarget {
    fn into_plan(self) -> Result<Plan, String> {
        let mix = match &self.requests[..] {
            [] => None,
            requests => Some(Mix::new(requests)?),
        };
        if mix.is_some() && !self.args.iter().any(|arg| arg.contains("{addr}")) {
            return Err(
                "there are requests, but none of `args` has {addr}, the address to \
                 listen on"
                    .to_owned(),
            );
        }
        if self
            .ready
            .as_ref()
            .is_some_and(|path| !path.starts_with('/'))
        {
            return Err("`ready` must be a path that begins with `/`".to_owned());
        }
        Ok(Plan {
            args: self.args,
            ready: self.ready,
            mix,
        })
    }
}

/// `a, b, c`, cut after twenty.
fn list<'a>(names: impl Iterator<Item = &'a str>) -> String {
    const SHOWN: usize = 20;
    let mut names: Vec<_> = names.collect();
    names.sort_unstable();
    names.dedup();
    let more = names.len().saturating_sub(SHOWN);
    names.truncate(SHOWN);
    match more {
        0 => names.join(", "),
        more => format!("{} and {more} more", names.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use serde_json::{Value, json};

    use super::*;

    fn package(name: &str, targets: &[(&str, &str)], metadata: &Value) -> Value {
        let targets: Vec<_> = targets
            .iter()
            .map(|(kind, name)| {
                json!({"name": name, "kind": [kind], "crate_types": ["bin"], "src_path": "/w/m.rs"})
            })
            .collect();
        json!({
            "name": name, "version": "0.1.0", "id": name, "dependencies": [], "targets": targets,
            "features": {}, "manifest_path": format!("/w/{name}/Cargo.toml"), "metadata": metadata
        })
    }

    fn metadata(packages: Vec<Value>, workspace: &Value) -> Metadata {
        let ids: Vec<_> = packages
            .iter()
            .map(|package| package["id"].clone())
            .collect();
        serde_json::from_value(json!({
            "packages": packages, "workspace_members": ids, "workspace_default_members": ids,
            "resolve": null, "target_directory": "/w/target", "version": 1,
            "workspace_root": "/w", "metadata": workspace
        }))
        .unwrap()
    }

    fn choose_with(metadata: &Metadata, words: &str) -> Result<Program, String> {
        #[derive(Parser)]
        struct Line {
            #[command(flatten)]
            profile: ProfileArgs,
        }
        let words = std::iter::once("profile").chain(words.split_whitespace());
        let line = Line::try_parse_from(words).unwrap();
        choose(metadata, &line.profile).map_err(|error| format!("{error:#}"))
    }

    fn shop() -> Value {
        let perfwright = json!({
            "args": ["--listen", "{addr}"], "ready": "/health",
            "requests": [{"name": "listing", "path": "/orders", "weight": 5}],
            "example": {"warm": {"args": ["--warm"]}}
        });
        package(
            "shop",
            &[("bin", "shop"), ("example", "seed"), ("example", "warm")],
            &json!({ "perfwright": perfwright }),
        )
    }

    fn tools() -> Value {
        package(
            "tools",
            &[("bin", "import"), ("bin", "export")],
            &Value::Null,
        )
    }

    #[test]
    fn the_program_is_the_one_named_or_the_default_or_the_only_one() {
        let both = metadata(
            vec![shop(), tools()],
            &json!({"perfwright": {"default": "shop"}}),
        );
        let alone = metadata(vec![shop()], &Value::Null);
        let cases = [
            (&both, "", "shop"),
            (&alone, "", "shop"),
            (&both, "--bin export", "export"),
            (&both, "--package tools --bin import", "import"),
            (&both, "--example seed", "seed"),
        ];
        for (metadata, words, expected) in cases {
            assert_eq!(
                choose_with(metadata, words).unwrap().name,
                expected,
                "{words}"
            );
        }
    }

    #[test]
    fn what_is_not_there_is_answered_with_what_is() {
        let both = metadata(vec![shop(), tools()], &Value::Null);
        let wrong = metadata(vec![shop()], &json!({"perfwright": {"default": "stop"}}));
        let cases = [
            (
                &both,
                "--bin imp",
                "find the bin `imp`; there are export, import, shop",
            ),
            (
                &both,
                "--example x",
                "find the example `x`; there are seed, warm",
            ),
            (
                &both,
                "--package tools --example x",
                "find the example `x`; there are none here",
            ),
            (
                &both,
                "--package tool",
                "find the package `tool`; the workspace has shop, tools",
            ),
            (
                &wrong,
                "",
                "find the package `stop`; the workspace has shop",
            ),
            (
                &both,
                "",
                "choose a program: name one of export, import, shop with --bin",
            ),
        ];
        for (metadata, words, expected) in cases {
            let error = choose_with(metadata, words).unwrap_err();
            assert!(error.contains(expected), "{words}: {error}");
        }
    }

    #[test]
    fn the_package_plans_its_binaries_and_each_example_its_own() {
        let metadata = metadata(vec![shop()], &Value::Null);
        let plan = |words| choose_with(&metadata, words).unwrap().plan;
        assert_eq!(plan("").args, ["--listen", "{addr}"]);
        assert_eq!(plan("").ready.as_deref(), Some("/health"));
        assert_eq!(
            plan("").mix.unwrap().names().collect::<Vec<_>>(),
            ["listing"]
        );
        assert_eq!(plan("--example warm").args, ["--warm"]);
        assert!(plan("--example seed").mix.is_none());
    }

    #[test]
    fn a_wrong_plan_is_refused_with_its_place() {
        let cases = [
            (json!({"argz": []}), "unknown field `argz`"),
            (
                json!({"args": ["{addr}"], "requests": [{"name": "a"}]}),
                "missing field `path`",
            ),
            (
                json!({"requests": [{"name": "a", "path": "/"}]}),
                "none of `args` has {addr}",
            ),
            (
                json!({"args": ["{addr}"], "requests": [{"name": "a", "path": "x"}]}),
                "is no path",
            ),
            (json!({"ready": "health"}), "`ready` must be a path"),
        ];
        for (declared, expected) in cases {
            let package = package(
                "shop",
                &[("bin", "shop")],
                &json!({ "perfwright": declared }),
            );
            let error = choose_with(&metadata(vec![package], &Value::Null), "").unwrap_err();
            assert!(error.contains(expected), "{error}");
            assert!(
                error.contains("[package.metadata.perfwright] of /w/shop/Cargo.toml"),
                "{error}"
            );
        }
    }
}
