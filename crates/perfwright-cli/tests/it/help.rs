//! Every `--help`, word for word.

use clap::CommandFactory;
use perfwright_cli::Cli;

fn help(path: &[&str]) -> String {
    let mut command = Cli::command()
        .term_width(100)
        .color(clap::ColorChoice::Never);
    command.build();
    let mut found = &mut command;
    for name in path {
        found = found
            .find_subcommand_mut(name)
            .unwrap_or_else(|| panic!("no command {name}"));
    }
    found.render_long_help().to_string()
}

#[test]
fn program() {
    insta::assert_snapshot!("perfwright", help(&[]));
}

#[test]
fn commands() {
    let names: Vec<String> = Cli::command()
        .get_subcommands()
        .map(|command| command.get_name().to_owned())
        .collect();
    let expected = [
        "profile",
        "bench",
        "budget",
        "top",
        "view",
        "flamegraph",
        "diff",
        "convert",
        "symbolize",
        "completions",
        "man",
    ];
    assert_eq!(names, expected, "a command without a snapshot of its help");
    for name in expected {
        insta::assert_snapshot!(name, help(&[name]));
    }
}

#[test]
fn commands_of_budget() {
    for name in ["check", "explain", "init", "rules", "schema"] {
        insta::assert_snapshot!(format!("budget_{name}"), help(&["budget", name]));
    }
}

#[test]
fn examples_are_spelled_for_the_program_that_is_run() {
    let mut command =
        perfwright_cli::spelled_for("cargo xtask", Cli::command().bin_name("cargo xtask"));
    command.build();
    for command in command.get_subcommands_mut() {
        let help = command.render_long_help().to_string();
        assert!(!help.contains("cargo perfwright"), "{help}");
    }
}
