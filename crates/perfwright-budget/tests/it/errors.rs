//! Everything that can be wrong with a file, as its writer sees it.

use perfwright_budget::Budgets;

/// All that is wrong with a file, line, caret and help.
fn errors(text: &str) -> String {
    let error = Budgets::parse("perfwright.toml", text).expect_err("the file is wrong");
    let places = error.problems().iter().map(|problem| {
        let (line, column) = error.place(problem);
        format!("{line}:{column} {}", problem.title)
    });
    let places: Vec<_> = places.collect();
    format!("{}\n\n{}", places.join("\n"), error.render(false))
}

/// A budget of this metric with these further lines.
fn budget(metric: &str, lines: &str) -> String {
    format!("version = 1\n\n[[budget]]\nmetric = \"{metric}\"\n{lines}\n")
}

macro_rules! wrong {
    ($($name:ident: $text:expr;)*) => {$(
        #[test]
        fn $name() {
            insta::assert_snapshot!(stringify!($name), errors(&$text));
        }
    )*
        /// All of them, with their texts.
        pub(crate) fn cases() -> Vec<(&'static str, String)> {
            vec![$((stringify!($name), $text.to_string())),*]
        }
    };
}

wrong! {
    broken_toml: "version = 1\n[[budget]\nmetric = \"size\"\n";
    open_string: "version = 1\n[[budget]]\nmetric = \"size\n";
    duplicate_key: "version = 1\nversion = 1\n";
    regression_without_a_maximum: budget("bench", "regression = { floor = \"1ms\" }");
    step_without_a_date: budget("process.cpu", "limits = [\"< 60%\"]\ntighten = [{ limits = [\"< 50%\"] }]");
    no_version: "[[budget]]\nmetric = \"process.cpu\"\nlimits = [\"< 60%\"]\n";
    another_version: "version = 2\n";
    unknown_field_at_the_top: "version = 1\nbudgets = []\n";
    unknown_field: budget("process.cpu", "limit = [\"< 60%\"]");
    wrong_type: budget("process.cpu", "limits = \"< 60%\"");
    no_metric: "version = 1\n[[budget]]\nlimits = [\"< 60%\"]\n";
    unknown_metric: budget("latencies", "limits = [\"p95 < 200ms\"]");
    unknown_severity: budget("latency", "limits = [\"p95 < 200ms\"]\nseverity = \"fail\"");
    unknown_unit: budget("latency", "limits = [\"p50 < 40ms\", \"p95 < 200mss\"]");
    unit_of_another_kind: budget("latency", "limits = [\"p95 < 200KiB\"]");
    unit_missing: budget("latency", "limits = [\"p95 < 200\"]");
    unit_not_expected: budget("heap", "limits = [\"allocs/op <= 3ms\"]");
    rate_without_a_unit: budget("throughput", "limits = [\"> 2000\"]");
    growth_without_a_time: budget("process.rss", "limits = [\"slope < 3MiB\"]");
    size_in_small_letters: budget("size", "select = { artifact = \"a\" }\nlimits = [\"raw < 4kb\"]");
    unit_that_nobody_knows: budget("prometheus", "select = { name = \"a\" }\nlimits = [\"< 3parsecs\"]");
    command_that_is_not_there: budget("command", "select = { command = \"deploy\" }\nlimits = [\"time < 5m\"]");
    regression_with_two_signs: budget("bench", "regression = { max = \"+-3%\" }");
    regression_of_a_share_in_another_unit: budget(
        "profile.share",
        "select = { crate = \"a\" }\nregression = { max = \"+3ms\" }"
    );
    waiver_without_its_reason: budget("process.cpu", "limits = [\"< 60%\"]\nwaiver = { until = \"2027-02-28\" }");
    no_number: budget("latency", "limits = [\"p95 < fast\"]");
    no_comparison: budget("latency", "limits = [\"p95 = 200ms\"]");
    unknown_statistic: budget("size", "select = { artifact = \"a\" }\nlimits = [\"gzipp < 4KiB\"]");
    statistic_missing: budget("latency", "limits = [\"< 200ms\"]");
    percentile_beyond_all: budget("latency", "limits = [\"p101 < 200ms\"]");
    never_holds: budget("profile.share", "select = { function = \"a\" }\nlimits = [\"< 0%\"]");
    never_holds_above: budget("error_rate", "limits = [\"> 100%\"]");
    always_holds: budget("error_rate", "limits = [\"<= 120%\"]");
    given_twice: budget("latency", "limits = [\"p95 < 200ms\", \"p95 <= 150ms\"]");
    contradiction: budget("throughput", "limits = [\"> 2000/s\", \"< 1000/s\"]");
    contradiction_of_percentiles: budget("latency", "limits = [\"p50 > 300ms\", \"p95 < 200ms\"]");
    contradiction_of_shares: budget("latency", "limits = [\"above 200ms > 5%\", \"above 100ms < 1%\"]");
    contradiction_of_average_and_most: budget("process.cpu", "limits = [\"avg > 80%\", \"max < 60%\"]");
    no_limits: budget("process.cpu", "");
    empty_id: budget("process.cpu", "id = \" \"\nlimits = [\"< 60%\"]");
    same_id: "version = 1\n[[budget]]\nid = \"a\"\nmetric = \"process.cpu\"\nlimits = [\"< 60%\"]\n\
              [[budget]]\nid = \"a\"\nmetric = \"process.cpu\"\nlimits = [\"< 50%\"]\n";
    nothing_selected: budget("size", "limits = [\"raw < 4KiB\"]");
    nothing_to_select_by: budget("bench", "select = { route = \"/\" }\nlimits = [\"median < 4ms\"]");
    of_the_process: budget("process.rss", "select = { route = \"/\" }\nlimits = [\"max < 4MiB\"]");
    unknown_selection: budget("bench", "select = { bensh = \"a\" }\nlimits = [\"median < 4ms\"]");
    empty_name: budget("bench", "select = { bench = [] }\nlimits = [\"median < 4ms\"]");
    name_of_wrong_type: budget("bench", "select = { bench = 3 }\nlimits = [\"median < 4ms\"]");
    crate_and_function: budget(
        "profile.share",
        "select = { crate = \"a\", function = \"a::f\" }\nlimits = [\"< 4%\"]"
    );
    path_that_leads_out: budget("size", "select = { artifact = \"../../etc/*\" }\nlimits = [\"raw < 4KiB\"]");
    binary_without_part: budget("binary", "select = { artifact = \"app\" }\nlimits = [\"share < 5%\"]");
    crate_and_section: budget("binary", "select = { artifact = \"app\", crate = \"a\", section = \".text\" }\nlimits = [\"share < 5%\"]");
    unknown_command: budget("command", "select = { command = \"biuld\" }\nlimits = [\"time < 5m\"]\n[[command]]\nname = \"build\"\nrun = \"cargo build\"");
    command_without_cold_runs: budget("command", "select = { command = \"build\" }\nlimits = [\"cold.time < 5m\"]\n[[command]]\nname = \"build\"\nrun = \"cargo build\"");
    command_with_cold_runs: budget("command", "select = { command = \"build\" }\nlimits = [\"cpu < 5m\"]\n[[command]]\nname = \"build\"\nrun = \"cargo build\"\ncold = \"CARGO_TARGET_DIR\"");
    command_for_a_shell: "version = 1\n[[command]]\nname = \"build\"\nrun = \"cargo build | tee log\"\n";
    command_of_nothing: "version = 1\n[[command]]\nname = \"a/b\"\nrun = []\nrepeat = 0\ntimeout = \"0s\"\ncold = \"A=B\"\n";
    command_twice: "version = 1\n[[command]]\nname = \"a\"\nrun = \"b\"\n[[command]]\nname = \"a\"\nrun = \"c\"\n";
    rerun_of_a_size: budget("size", "select = { artifact = \"a\" }\nlimits = [\"raw < 1B\"]\non_breach = \"rerun:2\"");
    rerun_for_ever: budget("latency", "limits = [\"p95 < 1s\"]\non_breach = \"rerun:99\"");
    absolute_path: budget("size", "select = { artifact = \"/etc/passwd\" }\nlimits = [\"raw < 4KiB\"]");
    regression_without_direction: budget("bench", "regression = { max = \"3%\" }");
    regression_of_another_unit: budget("bench", "regression = { max = \"+3KiB\" }");
    regression_without_statistic: budget("latency", "regression = { max = \"+3%\" }");
    floor_that_is_a_share: budget("bench", "regression = { max = \"+3%\", floor = \"1%\" }");
    no_samples_enough: budget("latency", "limits = [\"p95 < 1s\"]\nmin_samples = 0");
    negative_samples: budget("latency", "limits = [\"p95 < 1s\"]\nmin_samples = -5");
    sustained_without_series: budget("bench", "limits = [\"< 1s\"]\nsustained = { for = \"5m\" }");
    sustained_for_no_time: budget("process.rss", "limits = [\"max < 1GiB\"]\nsustained = { for = \"0s\" }");
    sustained_in_another_unit: budget("latency", "limits = [\"p95 < 1s\"]\nsustained = { for = \"5MB\" }");
    sustained_never_looked_at: budget(
        "process.rss",
        "limits = [\"max < 1GiB\"]\nsustained = { for = \"1m\", every = \"5m\" }"
    );
    sustained_for_what: budget("process.rss", "limits = [\"max < 1GiB\"]\nsustained = { every = \"5m\" }");
    told_for_no_time: budget(
        "process.rss",
        "limits = [\"max < 1GiB\"]\nsustained = { for = \"1m\", keep_firing = \"0s\" }"
    );
    objective_of_another_metric: budget("process.cpu", "slo = { objective = \"99.9%\" }");
    objective_without_a_share: budget("error_rate", "slo = { window = \"30d\" }");
    objective_of_all: budget("error_rate", "slo = { objective = \"100%\" }");
    objective_of_what_is_bad: budget("error_rate", "slo = { objective = \"0.1%\" }");
    objective_in_another_unit: budget("error_rate", "slo = { objective = \"99.9ms\" }");
    objective_without_a_time: budget("latency", "slo = { objective = \"99%\" }");
    objective_with_a_time_of_errors: budget(
        "error_rate",
        "slo = { objective = \"99%\", within = \"200ms\" }"
    );
    objective_over_too_short_a_window: budget(
        "error_rate",
        "slo = { objective = \"99%\", window = \"1h\" }"
    );
    objective_with_another_burn: budget("error_rate", "slo = { objective = \"99%\", burn = \"fast\" }");
    objective_against_a_limit: budget(
        "error_rate",
        "limits = [\"> 2%\"]\nslo = { objective = \"99%\" }"
    );
    share_above_no_time: budget("latency", "limits = [\"above 0ms < 1%\"]");
    share_above_a_time_of_another_unit: budget("latency", "limits = [\"above 20KiB < 1%\"]");
    share_above_a_time_as_a_time: budget("latency", "limits = [\"above 20ms < 1ms\"]");
    impossible_load: "version = 1\n[environment]\nmax_load = 0.0\n";
    load_of_wrong_type: "version = 1\n[environment]\nmax_load = \"low\"\n";
    no_date: budget(
        "process.cpu",
        "limits = [\"< 60%\"]\ntighten = [{ from = \"2027-02-30\", limits = [\"< 50%\"] }]"
    );
    date_without_quotes: budget(
        "process.cpu",
        "limits = [\"< 60%\"]\ntighten = [{ from = 2027-02-28, limits = [\"< 50%\"] }]"
    );
    date_without_limits: budget(
        "process.cpu",
        "limits = [\"< 60%\"]\ntighten = [{ from = \"2027-02-28\", limits = [] }]"
    );
    loosens: budget(
        "process.cpu",
        "limits = [\"< 60%\"]\ntighten = [{ from = \"2027-02-28\", limits = [\"< 70%\"] }]"
    );
    tightens_to_a_contradiction: budget(
        "throughput",
        "limits = [\"< 2000/s\", \"> 1000/s\"]\ntighten = [{ from = \"2027-02-28\", limits = [\"< 900/s\"] }]"
    );
    waiver_without_reason: budget(
        "process.cpu",
        "limits = [\"< 60%\"]\nwaiver = { reason = \"\", until = \"2027-02-28\" }"
    );
    waiver_without_end: budget("process.cpu", "limits = [\"< 60%\"]\nwaiver = { reason = \"later\" }");
    impossible_deviations: "version = 1\n[defaults]\ndeviations = -1.0\n";
    unknown_environment: "version = 1\n[environment]\nmatch = [\"os\", \"weather\"]\n";
    several_at_once: "version = 1\n[[budget]]\nmetric = \"latency\"\nlimits = [\"p95 < 2mss\"]\n\
                      [[budget]]\nmetric = \"speed\"\n";
}

#[test]
fn every_error_has_a_snapshot_with_help() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/snapshots");
    for (name, _) in cases() {
        let file = folder.join(format!("it__errors__{name}.snap"));
        let text = std::fs::read_to_string(&file).expect(name);
        assert!(text.contains("perfwright.toml:"), "{name} has no place");
        assert!(text.contains("= help: "), "{name} has no help");
    }
}

#[test]
fn limits_of_other_units_do_not_contradict() {
    let text = budget(
        "pool",
        "limits = [\"in_use > 1\", \"p99 < 10ms\", \"connections < 20\"]",
    );
    assert!(Budgets::parse("a.toml", &text).is_ok());
}

#[test]
fn places_count_characters_and_survive_escapes() {
    let text = budget("latency", "about = \"é\"\nlimits = [\"p95 < 2\\u006dss\"]");
    let error = Budgets::parse("a.toml", &text).unwrap_err();
    let (line, column) = error.place(&error.problems()[0]);
    assert_eq!((line, column), (6, 11), "{error}");
}

#[test]
fn a_hostile_file_is_refused_in_time() {
    let deep = format!(
        "version = 1\na = {}{}",
        "[".repeat(100_000),
        "]".repeat(100_000)
    );
    let many = "version = 1\n".to_owned() + &"[[budget]]\nmetric = \"x\"\n".repeat(20_000);
    let large = "#".repeat(5 << 20);
    for text in [
        &*deep,
        &*many,
        &*large,
        "\u{0}",
        "",
        "version = 99999999999999999999",
    ] {
        let error = Budgets::parse("a.toml", text).expect_err("not a budget file");
        assert!(error.render(true).len() < 200_000);
    }
}
