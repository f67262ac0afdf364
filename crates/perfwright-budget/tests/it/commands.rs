//! Commands that were run and measured; breaches that are measured again.

use perfwright_budget::{Budgets, CommandRun, CommandRuns, Measurements, Sources, Verdict};

use crate::{budgets, check, lines};

const FILE: &str = "\
[defaults]
on_breach = \"rerun:2\"
[[command]]
name = \"build\"
run = \"cargo build --locked\"
cold = \"CARGO_TARGET_DIR\"
repeat = 2
timeout = \"5m\"
[[command]]
name = \"test\"
run = [\"sh\", \"-c\", \"make | tee log\"]
[[command]]
name = \"unused\"
run = \"true\"
[[budget]]
metric = \"command\"
select = { command = \"build\" }
limits = [\"cold.time < 60s\", \"cached.cpu < 1s\", \"cold.peak < 1GiB\"]
[[budget]]
metric = \"command\"
select = { command = \"test\" }
limits = [\"time < 10s\"]
";

fn run(seconds: f64) -> CommandRun {
    CommandRun {
        seconds,
        cpu_seconds: seconds / 2.0,
        peak_bytes: 1e6,
    }
}

fn tests_took(seconds: &[f64]) -> Sources {
    let mut sources = Sources::new();
    let runs = CommandRuns {
        plain: seconds.iter().copied().map(run).collect(),
        ..CommandRuns::default()
    };
    sources.command("test", Ok(runs));
    sources
}

fn of_test(sources: &Sources, budgets: &Budgets) -> String {
    let text = lines(&check(budgets, sources, None));
    text.lines().last().unwrap().to_owned()
}

#[test]
fn a_file_says_what_to_run() {
    let budgets = budgets(FILE);
    let commands: Vec<_> = budgets.commands().collect();
    assert_eq!(commands.len(), 2, "what no budget asks for is not run");
    assert_eq!(commands[0].run, ["cargo", "build", "--locked"]);
    assert_eq!(commands[0].cold.as_deref(), Some("CARGO_TARGET_DIR"));
    assert_eq!(
        (commands[0].repeat, commands[0].timeout_seconds),
        (2, 300.0)
    );
    assert_eq!(commands[1].run, ["sh", "-c", "make | tee log"]);
    assert_eq!(
        (commands[1].repeat, commands[1].timeout_seconds),
        (5, 600.0)
    );
}

#[test]
fn cold_and_cached_runs_have_limits_of_their_own() {
    let mut sources = Sources::new();
    let runs = CommandRuns {
        cold: vec![run(70.0), run(72.0)],
        cached: vec![run(0.5), run(0.5)],
        note: Some("3 days ago".to_owned()),
        ..CommandRuns::default()
    };
    sources.command("build", Ok(runs));
    assert_eq!(
        lines(&check(&budgets(FILE), &sources, None)),
        "breach command build: cold.time < 60.0 s; measured 71.0 s; of 2 runs: how much they vary is not known; 3 days ago\n\
         held command build: cached.cpu < 1.00 s; measured 250 ms; of 2 runs: how much they vary is not known; 3 days ago\n\
         held command build: cold.peak < 1.00 GiB; measured 977 KiB; of 2 runs: how much they vary is not known; 3 days ago\n\
         missing command test: time < 10.0 s; measured nothing; the command test was not run and measured"
    );
}

#[test]
fn the_interval_of_the_median_decides() {
    let budgets = budgets(FILE);
    let of = |seconds: &[f64]| of_test(&tests_took(seconds), &budgets);
    let steady = of(&[12.0, 12.1, 11.9, 12.0, 12.05, 11.95]);
    assert!(
        steady.starts_with("breach") && steady.contains("measured 12.0 s (11."),
        "{steady}"
    );
    let scattered = of(&[8.0, 15.0, 10.5, 9.0, 14.0]);
    assert!(
        scattered.starts_with("can't tell") && scattered.ends_with("`repeat` it more often"),
        "{scattered}"
    );
    assert!(of(&[9.9]).starts_with("held command test: time < 10.0 s; measured 9.90 s; of 1 run: how much it varies is not known"));
    assert!(of(&[0.0]).starts_with("held"));
    assert!(of(&[]).ends_with("the command did not run"));
}

#[test]
fn a_command_that_failed_is_missing() {
    let mut sources = Sources::new();
    sources.command("test", Err("it exited with 101".to_owned()));
    assert!(of_test(&sources, &budgets(FILE)).ends_with("it exited with 101"));
}

#[test]
fn a_report_keeps_the_interval() {
    let budgets = budgets(&FILE.replace(
        "limits = [\"time < 10s\"]",
        "regression = { max = \"+10%\", stat = \"time\" }",
    ));
    let before = check(&budgets, &tests_took(&[8.0, 9.0, 10.0, 11.0, 12.0]), None);
    let saved = Measurements::from_report(&before.to_json()).unwrap();
    let of = |seconds: f64| {
        let now = tests_took(&[
            seconds - 0.2,
            seconds - 0.1,
            seconds,
            seconds + 0.1,
            seconds + 0.2,
        ]);
        check(&budgets, &now, Some(&saved))
            .rows
            .last()
            .unwrap()
            .verdict
    };
    assert_eq!(of(11.0), Verdict::Held);
    assert_eq!(
        of(13.0),
        Verdict::CannotTell,
        "the baseline's own runs vary as much"
    );
    assert_eq!(of(60.0), Verdict::Breach);
}

#[test]
fn a_breach_is_one_only_if_it_is_there_every_time() {
    let budgets = budgets(FILE);
    let report = |seconds: f64| check(&budgets, &tests_took(&[seconds]), None);
    let mut confirmed = report(12.0);
    let again = confirmed.to_measure_again(&budgets, 1);
    assert_eq!(
        again
            .iter()
            .filter_map(|budget| budget.command())
            .collect::<Vec<_>>(),
        ["test"]
    );
    confirmed.confirm(&report(11.0), &again, 2);
    let last =
        |report: &perfwright_budget::Report| lines(report).lines().last().unwrap().to_owned();
    assert_eq!(
        last(&confirmed),
        "breach command test: time < 10.0 s; measured 11.0 s; a breach in each of 2 measurements; of 1 run: how much it varies is not known"
    );
    let again = confirmed.to_measure_again(&budgets, 2);
    confirmed.confirm(&report(9.0), &again, 3);
    assert_eq!(
        last(&confirmed),
        "held command test: time < 10.0 s; measured 9.00 s; a breach at first, not in measurement 3; of 1 run: how much it varies is not known"
    );
    assert!(
        confirmed.to_measure_again(&budgets, 1).is_empty(),
        "it is a breach no more"
    );
    assert!(
        report(12.0).to_measure_again(&budgets, 3).is_empty(),
        "twice again is all"
    );
}

#[test]
fn a_bench_whose_command_failed_has_no_result() {
    let file = "[[command]]\nname = \"benches\"\nrun = \"cargo bench\"\n\
                [[budget]]\nmetric = \"bench\"\nselect = { command = \"benches\" }\nlimits = [\"median < 1s\"]\n";
    let folder = tempfile::TempDir::new().unwrap();
    let mut sources = Sources::new();
    sources.criterion(folder.path());
    let of = |sources: &Sources| lines(&check(&budgets(file), sources, None));
    assert!(
        of(&sources).ends_with("the command benches was not run and measured"),
        "{}",
        of(&sources)
    );
    sources.command("benches", Err("it ended with exit status: 101".to_owned()));
    assert!(
        of(&sources).ends_with("exit status: 101"),
        "{}",
        of(&sources)
    );
}
