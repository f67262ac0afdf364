//! What follows from what was measured: severities, dates, waivers, baselines.

use perfwright_budget::{Date, Level, Measurements, Sources, Verdict, judge};

use crate::{budget, budgets, check, lines};

/// A run whose process used so many per cent of a core.
fn cpu(percent: f64) -> Sources {
    let report = serde_json::json!({
        "schema_version": 1,
        "capture": { "cpu_nanos": percent * 1e7, "duration_nanos": 1e9 },
    });
    let mut sources = Sources::new();
    sources.run_report(&report.to_string()).unwrap();
    sources
}

fn outcome(lines: &str, percent: f64) -> (Verdict, Level, u8) {
    let report = check(&budget("process.cpu", lines), &cpu(percent), None);
    (
        report.rows[0].verdict,
        report.rows[0].level,
        report.exit_code(),
    )
}

#[test]
fn limits_hold_up_to_themselves() {
    assert_eq!(
        outcome("limits = [\"< 50%\"]", 49.9),
        (Verdict::Held, Level::Ok, 0)
    );
    assert_eq!(
        outcome("limits = [\"< 50%\"]", 50.0),
        (Verdict::Breach, Level::Error, 3)
    );
    assert_eq!(
        outcome("limits = [\"<= 50%\"]", 50.0),
        (Verdict::Held, Level::Ok, 0)
    );
    assert_eq!(
        outcome("limits = [\"> 50%\"]", 50.0),
        (Verdict::Breach, Level::Error, 3)
    );
    assert_eq!(
        outcome("limits = [\">= 150%\"]", 160.0),
        (Verdict::Held, Level::Ok, 0)
    );
}

#[test]
fn severities_decide_what_follows() {
    let warn = "limits = [\"< 50%\"]\nseverity = \"warn\"";
    assert_eq!(outcome(warn, 60.0), (Verdict::Breach, Level::Warning, 0));
    let off = check(
        &budget("process.cpu", "limits = [\"< 50%\"]\nseverity = \"off\""),
        &cpu(60.0),
        None,
    );
    assert!(off.rows.is_empty());
    let text = "[defaults]\nseverity = \"warn\"\n[[budget]]\nmetric = \"process.cpu\"\nlimits = [\"< 50%\"]\n";
    assert_eq!(check(&budgets(text), &cpu(60.0), None).exit_code(), 0);
}

#[test]
fn missing_data_fails_unless_the_file_says_otherwise() {
    let missing = |lines: &str| {
        let budgets = budget("process.cpu", &format!("limits = [\"< 50%\"]\n{lines}"));
        let report = check(&budgets, &Sources::new(), None);
        assert_eq!(report.rows[0].verdict, Verdict::Missing);
        (report.rows[0].level, report.exit_code())
    };
    assert_eq!(missing(""), (Level::Error, 3));
    assert_eq!(missing("missing = \"warn\""), (Level::Warning, 0));
    assert_eq!(missing("missing = \"skip\""), (Level::Ok, 0));
}

#[test]
fn limits_tighten_from_their_day() {
    let budgets = budget(
        "process.cpu",
        "limits = [\"< 50%\"]\ntighten = [\n  { from = \"2027-01-01\", limits = [\"< 40%\"] },\n  \
         { from = \"2027-06-01\", limits = [\"< 30%\", \"> 1%\"] },\n]",
    );
    let on = |day: &str| {
        let report = judge(
            &budgets,
            cpu(35.0).measure(&budgets),
            None,
            Date::parse(day).unwrap(),
        );
        report
            .rows
            .iter()
            .map(|row| (row.rule.clone(), row.verdict))
            .collect::<Vec<_>>()
    };
    let row = |rule: &str, verdict| (rule.to_owned(), verdict);
    assert_eq!(on("2026-12-31"), [row("avg < 50.0 %", Verdict::Held)]);
    assert_eq!(on("2027-01-01"), [row("avg < 40.0 %", Verdict::Held)]);
    assert_eq!(
        on("2027-06-01"),
        [
            row("avg < 30.0 %", Verdict::Breach),
            row("avg > 1.0 %", Verdict::Held)
        ]
    );
}

#[test]
fn waivers_allow_a_breach_until_their_day() {
    let text = "limits = [\"< 50%\"]\nwaiver = { reason = \"#12\", until = \"2026-11-21\" }";
    assert_eq!(outcome(text, 60.0), (Verdict::Waived, Level::Warning, 0));
    assert_eq!(outcome(text, 40.0), (Verdict::Held, Level::Ok, 0));
    let text = "limits = [\"< 50%\"]\nwaiver = { reason = \"#12\", until = \"2026-11-20\" }";
    let report = check(&budget("process.cpu", text), &cpu(60.0), None);
    assert_eq!(
        lines(&report),
        "breach process.cpu: avg < 50.0 %; measured 60.0 %; the waiver ended on 2026-11-20: #12"
    );
    let report = check(&budget("process.cpu", text), &Sources::new(), None);
    assert_eq!(
        report.rows[0].verdict,
        Verdict::Missing,
        "a waiver excuses no missing data"
    );
}

#[test]
fn what_was_over_and_is_no_worse_is_a_warning() {
    let verdict = |lines: &str, before: f64, now: f64| {
        let budgets = budget("process.cpu", &format!("limits = [\"< 50%\"]\n{lines}"));
        let baseline = cpu(before).measure(&budgets);
        let report = check(&budgets, &cpu(now), Some(&baseline));
        (report.rows[0].verdict, report.exit_code())
    };
    assert_eq!(verdict("", 70.0, 70.0), (Verdict::NoWorse, 0));
    assert_eq!(verdict("", 70.0, 60.0), (Verdict::NoWorse, 0));
    assert_eq!(verdict("", 70.0, 70.1), (Verdict::Breach, 3));
    assert_eq!(verdict("", 40.0, 60.0), (Verdict::Breach, 3));
    assert_eq!(
        verdict("grandfather = false", 70.0, 70.0),
        (Verdict::Breach, 3)
    );
}

#[test]
fn regressions_need_both_share_and_floor() {
    let verdict = |regression: &str, before: f64, now: f64| {
        let budgets = budget("process.cpu", &format!("regression = {{ {regression} }}"));
        let baseline = cpu(before).measure(&budgets);
        check(&budgets, &cpu(now), Some(&baseline)).rows[0].verdict
    };
    assert_eq!(verdict("max = \"+10%\"", 50.0, 54.9), Verdict::Held);
    assert_eq!(verdict("max = \"+10%\"", 50.0, 55.1), Verdict::Breach);
    assert_eq!(
        verdict("max = \"+10%\", floor = \"6pp\"", 50.0, 55.1),
        Verdict::Held
    );
    assert_eq!(
        verdict("max = \"+10%\", floor = \"6pp\"", 50.0, 57.0),
        Verdict::Breach
    );
    assert_eq!(verdict("max = \"+5pp\"", 50.0, 55.1), Verdict::Breach);
    assert_eq!(verdict("max = \"-10%\"", 50.0, 70.0), Verdict::Held);
    assert_eq!(verdict("max = \"-10%\"", 50.0, 44.0), Verdict::Breach);
    assert_eq!(verdict("max = \"+10%\"", 0.0, 1.0), Verdict::Breach);
    assert_eq!(verdict("max = \"+10%\"", 0.0, 0.0), Verdict::Held);
}

#[test]
fn a_baseline_that_is_not_there_is_missing_data() {
    let budgets = budget("process.cpu", "regression = { max = \"+10%\" }");
    let report = check(&budgets, &cpu(10.0), None);
    assert_eq!(
        lines(&report),
        "missing process.cpu: avg +10%; measured 10.0 %; there is no baseline"
    );
    let report = check(&budgets, &cpu(10.0), Some(&Measurements::default()));
    assert!(lines(&report).ends_with("the baseline does not have this"));
    assert_eq!(report.exit_code(), 3);
}

#[test]
fn a_baseline_of_another_machine_is_refused() {
    let budgets = budgets(
        "[environment]\nmatch = [\"cpu\"]\n[[budget]]\nmetric = \"process.cpu\"\nregression = { max = \"+10%\" }\n",
    );
    let on = |machine: Option<&str>| {
        let mut sources = cpu(10.0);
        if let Some(machine) = machine {
            sources.environment("cpu", machine);
        }
        sources
    };
    let baseline = on(Some("Z80")).measure(&budgets);
    let verdict = |now: Sources| lines(&check(&budgets, &now, Some(&baseline)));
    assert!(verdict(on(Some("Z80"))).starts_with("held"));
    let other = verdict(on(Some("6502")));
    assert!(
        other.starts_with("missing")
            && other.ends_with("the baseline is of another cpu: Z80, here 6502"),
        "{other}"
    );
    assert!(verdict(on(None)).ends_with("Z80, here unknown"));
}

/// A run whose resident memory was so many MiB, second by second.
fn resident(mib: &[f64]) -> Sources {
    let moment = |(at, mib): (usize, &f64)| serde_json::json!({ "seconds": at, "resident": mib * 1_048_576.0, "live": null });
    let timeline: Vec<_> = mib.iter().enumerate().map(moment).collect();
    let report = serde_json::json!({
        "schema_version": 1,
        "memory": { "timeline": timeline },
    });
    let mut sources = Sources::new();
    sources.run_report(&report.to_string()).unwrap();
    sources
}

#[test]
fn sustained_limits_bear_with_peaks() {
    let verdict = |mib: &[f64]| {
        let text = "limits = [\"max < 10MiB\"]\nsustained = { for = \"3s\" }";
        let report = check(&budget("process.rss", text), &resident(mib), None);
        report.rows[0].verdict
    };
    assert_eq!(verdict(&[1.0, 20.0, 20.0, 20.0, 1.0, 1.0]), Verdict::Held);
    assert_eq!(
        verdict(&[1.0, 20.0, 20.0, 20.0, 20.0, 1.0]),
        Verdict::Breach
    );
    assert_eq!(verdict(&[20.0, 20.0, 1.0, 20.0, 20.0]), Verdict::Held);
    assert_eq!(verdict(&[20.0, 20.0]), Verdict::CannotTell);
    assert_eq!(verdict(&[]), Verdict::Missing);
}

#[test]
fn a_sustained_limit_looks_at_means_of_so_long() {
    // Peaks of one second among four: the mean of four is 6 MiB.
    let peaks: Vec<f64> = (0..40)
        .map(|at| if at % 4 == 0 { 18.0 } else { 2.0 })
        .collect();
    let verdict = |sustained: &str, limit: &str| {
        let text = format!("limits = [\"max < {limit}\"]\nsustained = {{ {sustained} }}");
        check(&budget("process.rss", &text), &resident(&peaks), None).rows[0].verdict
    };
    assert_eq!(verdict("for = \"8s\"", "5MiB"), Verdict::Held);
    assert_eq!(
        verdict("for = \"8s\", every = \"4s\"", "5MiB"),
        Verdict::Breach
    );
    assert_eq!(
        verdict("for = \"8s\", every = \"4s\"", "7MiB"),
        Verdict::Held
    );
}

#[test]
fn growth_is_of_all_the_time_and_needs_no_sustaining() {
    let text = "limits = [\"slope < 360MiB/h\"]\nsustained = { for = \"5m\" }";
    let report = check(
        &budget("process.rss", text),
        &resident(&[1.0, 1.2, 1.4, 1.6]),
        None,
    );
    assert_eq!(report.rows[0].verdict, Verdict::Breach);
}

#[test]
fn growth_of_memory_is_a_slope_with_its_error() {
    let verdict = |mib: &[f64]| {
        let text = "limits = [\"slope < 360MiB/h\"]";
        check(&budget("process.rss", text), &resident(mib), None).rows[0].verdict
    };
    assert_eq!(verdict(&[1.0, 1.05, 1.1, 1.15]), Verdict::Held);
    assert_eq!(verdict(&[1.0, 1.2, 1.4, 1.6]), Verdict::Breach);
    assert_eq!(
        verdict(&[1.0, 5.0, 1.0, 6.0, 1.0, 6.0]),
        Verdict::CannotTell
    );
    assert_eq!(verdict(&[1.0, 2.0]), Verdict::Missing);
}

#[test]
fn a_breach_is_told_before_what_is_not_known() {
    let text = "[[budget]]\nmetric = \"process.rss\"\nlimits = [\"slope < 360MiB/h\"]\n\
                [[budget]]\nmetric = \"process.rss\"\nlimits = [\"max < 2MiB\"]\n";
    let report = check(
        &budgets(text),
        &resident(&[1.0, 5.0, 1.0, 6.0, 1.0, 6.0]),
        None,
    );
    assert_eq!(report.count(Verdict::CannotTell), 1);
    assert_eq!(report.exit_code(), 3);
}

#[test]
fn on_a_busy_machine_what_is_beyond_its_limit_cannot_be_told() {
    let verdict = |percent: f64, load: Option<f64>| {
        let text = "[environment]\nmax_load = 1.0\n[[budget]]\nmetric = \"process.cpu\"\nlimits = [\"< 50%\"]\n";
        let mut sources = cpu(percent);
        if let Some(load) = load {
            sources.load_per_core(load);
        }
        let report = check(&budgets(text), &sources, None);
        (
            report.rows[0].verdict,
            report.exit_code(),
            report.rows[0].reason.clone(),
        )
    };
    assert_eq!(verdict(60.0, Some(0.9)).0, Verdict::Breach);
    let (busy, code, why) = verdict(60.0, Some(1.5));
    assert_eq!((busy, code), (Verdict::CannotTell, 4));
    assert_eq!(why, "1.5 processes ran on each core, more than 1");
    let (unknown, _, why) = verdict(60.0, None);
    assert_eq!(unknown, Verdict::CannotTell);
    assert_eq!(why, "the load of the machine is not known");
    assert_eq!(
        verdict(40.0, Some(9.0)).0,
        Verdict::Held,
        "it holds all the same"
    );
}

#[test]
fn what_is_no_time_does_not_mind_a_busy_machine() {
    let text = "[environment]\nmax_load = 1.0\n[[budget]]\nmetric = \"process.rss\"\nlimits = [\"max < 1MiB\"]\n";
    let mut sources = resident(&[2.0]);
    sources.load_per_core(5.0);
    assert_eq!(
        check(&budgets(text), &sources, None).rows[0].verdict,
        Verdict::Breach
    );
}

#[test]
fn a_baseline_of_a_busy_machine_tells_of_no_regression() {
    let budgets = budgets(
        "[environment]\nmax_load = 1.0\n[[budget]]\nmetric = \"process.cpu\"\nregression = { max = \"+10%\" }\n",
    );
    let measured = |percent: f64, load: f64| {
        let mut sources = cpu(percent);
        sources.load_per_core(load);
        sources
    };
    let verdict = |load_before: f64| {
        let saved = judge(
            &budgets,
            measured(10.0, load_before).measure(&budgets),
            None,
            crate::today(),
        )
        .to_json();
        let baseline = Measurements::from_report(&saved).unwrap();
        let report = check(&budgets, &measured(20.0, 0.1), Some(&baseline));
        (report.rows[0].verdict, report.rows[0].reason.clone())
    };
    assert_eq!(verdict(0.5).0, Verdict::Breach);
    let (busy, why) = verdict(3.0);
    assert_eq!(busy, Verdict::CannotTell);
    assert!(
        why.ends_with("3.0 processes ran on each core, more than 1"),
        "{why}"
    );
}

/// A run of so many requests, of which some failed.
fn requests(count: u64, errors: u64) -> Sources {
    let report = serde_json::json!({
        "schema_version": 1,
        "load": { "all": { "count": count, "errors": errors, "rps": 10.0 } },
    });
    let mut sources = Sources::new();
    sources.run_report(&report.to_string()).unwrap();
    sources
}

#[test]
fn an_objective_is_judged_by_what_a_run_uses_of_it() {
    let of = |count, errors| {
        let budgets = budget(
            "error_rate",
            "slo = { objective = \"99.9%\", window = \"30d\" }",
        );
        let report = check(&budgets, &requests(count, errors), None);
        (report.rows[0].verdict, lines(&report))
    };
    let (verdict, line) = of(1_000_000, 500);
    assert_eq!(verdict, Verdict::Held);
    assert_eq!(
        line,
        "held error_rate: 99.9% good over 30d; measured 0.05 % (0.04 % to 0.06 %) bad; \
         at this rate uses 50.0 % of what may fail"
    );
    assert_eq!(of(1_000_000, 2_000).0, Verdict::Breach);
    assert_eq!(
        of(1_000, 3).0,
        Verdict::CannotTell,
        "three of a thousand are no proof"
    );
    assert_eq!(of(0, 0).0, Verdict::Missing);
}

#[test]
fn an_objective_and_limits_each_have_a_verdict() {
    let text = "limits = [\"< 5%\"]\nslo = { objective = \"99%\" }";
    let report = check(&budget("error_rate", text), &requests(100_000, 2_000), None);
    let verdicts: Vec<_> = report.rows.iter().map(|row| row.verdict).collect();
    assert_eq!(verdicts, [Verdict::Held, Verdict::Breach]);
}
