//! The jobs of `docs/ci.md`: their YAML is read, every command of ours in them is one, and the scripts of the budget
//! jobs are run as the servers run them.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use clap::Parser as _;
use perfwright_cli::Cli;
use tempfile::TempDir;
use yaml_rust2::{Yaml, YamlLoader};

fn page() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/ci.md");
    fs::read_to_string(path).unwrap()
}

/// The fenced blocks of a language.
fn blocks(language: &str) -> Vec<String> {
    let page = page();
    let mut blocks = page.split("\n```").skip(1).step_by(2);
    let mut found = Vec::new();
    for block in &mut blocks {
        if let Some(text) = block.strip_prefix(language) {
            found.push(text.to_owned());
        }
    }
    found
}

/// The jobs of the GitHub page and of the GitLab page.
fn yaml() -> [Yaml; 2] {
    let read = |text: &String| YamlLoader::load_from_str(text).unwrap().remove(0);
    let read: Vec<Yaml> = blocks("yaml").iter().map(read).collect();
    read.try_into().unwrap()
}

/// All scripts of the jobs, with the name of their step or key.
fn scripts(yaml: &Yaml, found: &mut Vec<String>) {
    match yaml {
        Yaml::Hash(map) => {
            for (key, value) in map {
                match (key.as_str(), value) {
                    (Some("run"), Yaml::String(script)) => found.push(script.clone()),
                    (Some("script" | "before_script"), Yaml::Array(lines)) => {
                        let lines: Vec<&str> =
                            lines.iter().map(|line| line.as_str().unwrap()).collect();
                        found.push(lines.join("\n"));
                    }
                    (_, value) => scripts(value, found),
                }
            }
        }
        Yaml::Array(list) => list.iter().for_each(|item| scripts(item, found)),
        _ => {}
    }
}

fn all_scripts() -> Vec<String> {
    let mut found = Vec::new();
    yaml().iter().for_each(|yaml| scripts(yaml, &mut found));
    found.extend(blocks("sh"));
    found
}

/// The arguments of our commands in a script.
fn commands(script: &str) -> Vec<Vec<String>> {
    let lines = script
        .lines()
        .filter_map(|line| line.split_once("cargo perfwright "));
    let words = lines.map(|(_, rest)| {
        let words = rest
            .split_whitespace()
            .take_while(|word| !["||", "&&", "|", ";"].contains(word));
        let words = words.map(|word| word.trim_matches('"').to_owned());
        // What a variable stands for is checked where the script is run.
        words.filter(|word| word != "$@").collect()
    });
    words.collect()
}

#[test]
fn every_command_is_one_of_ours() {
    let mut names = Vec::new();
    for script in all_scripts() {
        for words in commands(&script) {
            let arguments = ["cargo-perfwright".to_owned()]
                .into_iter()
                .chain(words.clone());
            if let Err(error) = Cli::try_parse_from(arguments) {
                panic!("{words:?}: {error}");
            }
            names.push(words[..words.len().min(2)].join(" "));
        }
    }
    names.sort();
    names.dedup();
    assert_eq!(
        names,
        [
            "bench --against",
            "budget check",
            "budget explain",
            "profile"
        ]
    );
}

#[test]
fn every_script_is_one_of_a_shell() {
    let scripts = all_scripts();
    assert!(scripts.len() > 10, "{scripts:?}");
    for script in scripts {
        let checked = Command::new("bash")
            .args(["-n", "-c", &script])
            .output()
            .unwrap();
        assert!(
            checked.status.success(),
            "{script}\n{}",
            String::from_utf8_lossy(&checked.stderr)
        );
    }
}

/// The script of a step or job by its name.
fn script_of(yaml: &Yaml, job: &str, step: Option<&str>) -> String {
    let Some(step) = step else {
        let mut found = Vec::new();
        scripts(&yaml[job], &mut found);
        return found.pop().unwrap();
    };
    let steps = yaml["jobs"][job]["steps"].as_vec().unwrap();
    let found = steps
        .iter()
        .find(|found| found["name"].as_str() == Some(step))
        .unwrap();
    found["run"].as_str().unwrap().to_owned()
}

/// A project with one file of a kilobyte, a metric of a page that cannot be decided, and a `cargo` that is ours.
fn project(limits: &str) -> TempDir {
    let folder = TempDir::new().unwrap();
    let file = format!(
        "version = 1\n[[budget]]\nid = \"page\"\nmetric = \"size\"\nselect = {{ artifact = \"page.html\" }}\n{limits}\n"
    );
    fs::write(folder.path().join("perfwright.toml"), file).unwrap();
    fs::write(folder.path().join("page.html"), [b'x'; 1000]).unwrap();
    let bin = folder.path().join("bin");
    fs::create_dir(&bin).unwrap();
    let program = env!("CARGO_BIN_EXE_cargo-perfwright");
    // There is nothing to profile in this project.
    let shim = format!("#!/bin/sh\n[ \"$2\" = profile ] && exit 0\nexec '{program}' \"$@\"\n");
    fs::write(bin.join("cargo"), shim).unwrap();
    fs::set_permissions(bin.join("cargo"), fs::Permissions::from_mode(0o755)).unwrap();
    folder
}

fn run(script: &str, folder: &TempDir) -> Output {
    let path = std::env::var("PATH").unwrap();
    Command::new("bash")
        .args(["-e", "-c", script])
        .current_dir(folder.path())
        .env("PATH", format!("{}/bin:{path}", folder.path().display()))
        .env("GITHUB_STEP_SUMMARY", summary(folder))
        .output()
        .unwrap()
}

fn summary(folder: &TempDir) -> PathBuf {
    folder.path().join("summary.md")
}

#[test]
fn the_budget_jobs_pass_fail_and_compare_as_they_say() {
    let [github, gitlab] = yaml();
    for (script, is_github) in [
        (script_of(&github, "budgets", Some("Budgets")), true),
        (script_of(&gitlab, "budgets", None), false),
    ] {
        let held = project("limits = [\"raw <= 1kB\"]");
        let output = run(&script, &held);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        assert_eq!(summary(&held).exists(), is_github);
        let reports = held.path().join("target/perfwright/budget");
        for report in ["budget.json", "budget.md", "budget.xml"] {
            assert!(reports.join(report).is_file(), "{report}");
        }
        let breach = project("limits = [\"raw < 1kB\"]");
        let output = run(&script, &breach);
        assert_eq!(output.status.code(), Some(3), "{output:?}");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(said.contains("::error file="), is_github, "{said}");
        if is_github {
            let shown = fs::read_to_string(summary(&breach)).unwrap();
            assert!(
                shown.contains("| **breach** | `page: page.html` |"),
                "{shown}"
            );
        }
    }
}

#[test]
fn the_baseline_that_main_keeps_is_what_changes_are_compared_with() {
    let [github, _] = yaml();
    let budgets = script_of(&github, "budgets", Some("Budgets"));
    let project = project("regression = { max = \"+1%\" }");
    let first = run(&budgets, &project);
    assert_eq!(first.status.code(), Some(3), "no baseline yet: {first:?}");
    assert!(
        run(
            &script_of(&github, "budgets", Some("Prepare the baseline")),
            &project
        )
        .status
        .success()
    );
    assert_eq!(run(&budgets, &project).status.code(), Some(0));
    fs::write(project.path().join("page.html"), [b'x'; 1100]).unwrap();
    assert_eq!(run(&budgets, &project).status.code(), Some(3));
}

/// A run with a share that its samples do not decide.
#[test]
fn what_cannot_be_told_is_a_warning_and_counted() {
    let [github, gitlab] = yaml();
    let project = project("limits = [\"raw <= 1kB\"]");
    let file = project.path().join("perfwright.toml");
    let more = "[[budget]]\nmetric = \"error_rate\"\nlimits = [\"< 1%\"]\n";
    fs::write(&file, fs::read_to_string(&file).unwrap() + more).unwrap();
    let run_folder = project.path().join("target/perfwright/latest");
    fs::create_dir_all(&run_folder).unwrap();
    let report = r#"{"schema_version": 1, "load": {"all": {"count": 1000, "errors": 12}}}"#;
    fs::write(run_folder.join("report.json"), report).unwrap();
    let output = run(&script_of(&github, "budgets", Some("Budgets")), &project);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(
        said.contains("1 can't tell") && said.contains("::warning::some budgets"),
        "{said}"
    );
    let output = run(&script_of(&gitlab, "budgets", None), &project);
    assert_eq!(output.status.code(), Some(4));
    let codes = gitlab[".perfwright"]["allow_failure"]["exit_codes"]
        .as_vec()
        .unwrap();
    assert_eq!(
        codes.iter().filter_map(Yaml::as_i64).collect::<Vec<_>>(),
        [4]
    );
}

#[test]
fn the_reports_that_are_kept_are_those_that_are_written() {
    let [github, gitlab] = yaml();
    let steps = github["jobs"]["budgets"]["steps"].as_vec().unwrap();
    let kept = steps
        .iter()
        .find(|step| step["name"].as_str() == Some("Reports"))
        .unwrap();
    let kept = kept["with"]["path"].as_str().unwrap();
    assert!(
        kept.contains("target/perfwright/budget\n")
            && kept.contains("target/perfwright/latest/profile.html")
    );
    let artifacts = &gitlab["budgets"]["artifacts"];
    assert_eq!(
        artifacts["reports"]["junit"].as_str(),
        Some("target/perfwright/budget/budget.xml")
    );
    assert_eq!(artifacts["when"].as_str(), Some("always"));
}
