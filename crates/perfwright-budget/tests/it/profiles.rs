//! Shares in profiles.

use perfwright_analyze::{By, Filter, top};
use perfwright_budget::{Budgets, Report, Sources, Verdict};
use perfwright_model::{Label, Mapping, Profile, SampleType};

use crate::{budget, budgets, check, lines};

/// A profile from lines such as `route=GET /;main;parse 12`.
fn profile(text: &str) -> Profile {
    let types = [
        SampleType::new("samples", "count"),
        SampleType::new("cpu", "nanoseconds"),
    ];
    let mut profile = Profile::new(types);
    for line in text.lines() {
        let (stack, count) = line.trim().rsplit_once(' ').unwrap();
        let count: i64 = count.parse().unwrap();
        let (mut labels, mut locations): (Vec<Label>, _) = (Vec::new(), Vec::new());
        for word in stack.split(';') {
            match word.split_once('=') {
                Some((key, value)) => labels.push(profile.str_label(key, value)),
                None => locations.push(profile.frame_location(word)),
            }
        }
        let stack = profile.intern_stack_root_first(locations);
        let labels = profile.intern_labels(&labels);
        profile.record(stack, labels, &[count, count * 1_000_000]);
    }
    profile
}

fn shop() -> Profile {
    profile(
        "route=GET /;main;serde_json::to_vec;<serde_json::ser::Serializer as serde::Serializer>::f 300
         route=GET /;main;serde_json::to_vec 100
         route=GET /;main;db::load 600
         route=POST /;main;db::load;serde_json::from_str 100
         route=POST /;main;db::load 400
         main;idle;db::load;db::load 500",
    )
}

fn of(profile: Profile, budgets: &Budgets) -> Report {
    let mut sources = Sources::new();
    sources.profile("cpu", profile);
    check(budgets, &sources, None)
}

fn verdict(lines: &str) -> String {
    let report = of(shop(), &budget("profile.share", lines));
    crate::lines(&report)
}

#[test]
fn a_pattern_counts_each_stack_once_and_methods_of_its_types() {
    let select = "select = { function = \"serde_json::*\" }";
    assert_eq!(
        verdict(&format!(
            "{select}\nlimits = [\"total < 30%\", \"self < 30%\"]"
        )),
        "held profile.share serde_json::*: total < 30.0 %; measured 25.0 % (22.2 % to 28.0 %)\n\
         held profile.share serde_json::*: self < 30.0 %; measured 25.0 % (22.2 % to 28.0 %)"
    );
    assert_eq!(
        verdict("select = { function = \"db::load\" }\nlimits = [\"total < 90%\", \"self < 90%\"]"),
        "held profile.share db::load: total < 90.0 %; measured 80.0 % (77.2 % to 82.5 %)\n\
         held profile.share db::load: self < 90.0 %; measured 75.0 % (72.0 % to 77.8 %)"
    );
}

#[test]
fn a_share_on_a_route_is_of_what_the_route_used() {
    let text =
        verdict("select = { crate = \"serde_json\", route = \"GET /\" }\nlimits = [\"< 15%\"]");
    assert_eq!(
        text,
        "breach profile.share serde_json, route=GET /: total < 15.0 %; measured 40.0 % (35.5 % to 44.7 %)"
    );
    let text = verdict("select = { route = [\"GET *\", \"PUT *\"] }\nlimits = [\"< 60%\"]");
    assert!(text.contains("measured 50.0 %"), "{text}");
    let text = verdict(
        "select = { label = { route = \"POST /\" }, function = \"serde*\" }\nlimits = [\"< 60%\"]",
    );
    assert!(text.contains("measured 20.0 %"), "{text}");
}

#[test]
fn what_sampling_explains_is_no_breach() {
    let at = |limit: &str| {
        let text =
            format!("select = {{ function = \"serde_json::*\" }}\nlimits = [\"total < {limit}%\"]");
        let report = of(shop(), &budget("profile.share", &text));
        (report.rows[0].verdict, report.exit_code())
    };
    // 25 % of 2,000 samples: three standard deviations are 2.9 points.
    assert_eq!(at("26"), (Verdict::Held, 0));
    assert_eq!(at("24"), (Verdict::CannotTell, 4));
    assert_eq!(at("22.3"), (Verdict::CannotTell, 4));
    assert_eq!(at("22.1"), (Verdict::Breach, 3));
}

#[test]
fn deviations_are_the_files_to_choose() {
    let text = "[defaults]\ndeviations = 0.5\n[[budget]]\nmetric = \"profile.share\"\n\
                select = { function = \"serde_json::*\" }\nlimits = [\"total < 24%\"]\n";
    assert_eq!(of(shop(), &budgets(text)).exit_code(), 3);
}

#[test]
fn no_samples_are_missing_data_and_fail() {
    let select = "select = { function = \"a\", route = \"PUT /\" }\nlimits = [\"< 15%\"]";
    let report = of(shop(), &budget("profile.share", select));
    assert_eq!(
        lines(&report),
        "missing profile.share a, route=PUT /: total < 15.0 %; measured nothing; \
         the profile has no samples of this selection"
    );
    assert_eq!(report.exit_code(), 3);
    let few = profile("main;a 50");
    let report = of(
        few,
        &budget(
            "profile.share",
            "select = { function = \"b\" }\nlimits = [\"< 15%\"]",
        ),
    );
    assert!(
        lines(&report).ends_with("50 samples, of at least 100 that are needed"),
        "{report:?}"
    );
    assert_eq!(report.exit_code(), 3);
}

#[test]
fn a_name_that_nothing_has_is_told() {
    let text = verdict("select = { function = \"serde_yaml::*\" }\nlimits = [\"< 15%\"]");
    assert!(text.starts_with("held"), "{text}");
    assert!(
        text.ends_with("nothing in the profile has this name"),
        "{text}"
    );
}

#[test]
fn profiles_and_values_that_are_not_there_are_missing() {
    let text = verdict("select = { profile = \"heap\", function = \"a\" }\nlimits = [\"< 15%\"]");
    assert!(
        text.starts_with("missing") && text.ends_with("there is no heap profile"),
        "{text}"
    );
    let text = verdict("select = { value = \"wall\", function = \"a\" }\nlimits = [\"< 15%\"]");
    assert!(
        text.ends_with("the cpu profile has no wall; it has samples, cpu"),
        "{text}"
    );
    let empty = of(
        Profile::default(),
        &budget(
            "profile.share",
            "select = { function = \"a\" }\nlimits = [\"< 1%\"]",
        ),
    );
    assert!(
        lines(&empty).ends_with("the cpu profile has no values"),
        "{empty:?}"
    );
}

#[test]
fn growth_is_judged_against_a_baseline_with_both_errors() {
    let growth = |before: &str, after: &str| {
        let budgets = budget(
            "profile.share",
            "select = { function = \"a\" }\nregression = { max = \"+2pp\" }",
        );
        let mut sources = Sources::new();
        sources.profile("cpu", profile(before));
        let baseline = sources.measure(&budgets);
        sources.profile("cpu", profile(after));
        let report = check(&budgets, &sources, Some(&baseline));
        assert!(report.rows[0].baseline.is_some());
        report.rows[0].verdict
    };
    assert_eq!(growth("a 1000\nb 9000", "a 1100\nb 8900"), Verdict::Held);
    assert_eq!(
        growth("a 1000\nb 9000", "a 1250\nb 8750"),
        Verdict::CannotTell
    );
    assert_eq!(growth("a 1000\nb 9000", "a 2000\nb 8000"), Verdict::Breach);
    assert_eq!(growth("a 1000\nb 9000", "b 9000"), Verdict::Held);
}

/// A mixed profile of random stacks, so that every way to count is met.
fn random(seed: u64) -> Profile {
    let mut state = seed;
    let mut next = |below: u64| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    let mut profile = Profile::new([SampleType::new("samples", "count")]);
    let file = profile.intern("/lib/libc.so.6");
    let mapping = Mapping {
        filename: file,
        ..Mapping::new(0, 100)
    };
    profile.add_mapping(mapping);
    for _ in 0..3_000 {
        let frames: Vec<String> = (0..=next(12))
            .map(|_| format!("c{}::f{}", next(4), next(5)))
            .collect();
        let locations: Vec<_> = frames
            .iter()
            .map(|name| profile.frame_location(name))
            .collect();
        let stack = profile.intern_stack_root_first(locations);
        let label = profile.str_label("route", &format!("/{}", next(3)));
        let labels = profile.intern_labels(&[label]);
        profile.push_sample(stack, labels, &[1 + next(9) as i64]);
    }
    profile
}

#[test]
fn shares_are_those_that_filter_and_top_find() {
    let profile = random(7);
    for route in ["", "/1"] {
        let part = match route {
            "" => profile.clone(),
            _ => Filter::new()
                .label("route", |value| value == route)
                .apply(&profile),
        };
        let rows = top(&part, 0, By::Function);
        let crates = top(&part, 0, By::Crate);
        let whole = part.total(0) as f64;
        let mut text = String::new();
        let mut expected = Vec::new();
        for (key, row) in rows
            .iter()
            .map(|r| ("function", r))
            .chain(crates.iter().map(|r| ("crate", r)))
        {
            let on = match route {
                "" => String::new(),
                _ => format!(", route = \"{route}\""),
            };
            text.push_str(&format!(
                "[[budget]]\nmetric = \"profile.share\"\nselect = {{ {key} = \"{}\"{on} }}\n\
                 limits = [\"total < 99.9%\", \"self < 99.9%\"]\n",
                row.name
            ));
            expected.push(row.total_value as f64 / whole);
            expected.push(row.self_value as f64 / whole);
        }
        let report = of(profile.clone(), &budgets(&text));
        assert_eq!(report.rows.len(), expected.len());
        for (row, share) in report.rows.iter().zip(expected) {
            let shown = row.measured.as_deref().unwrap();
            let number: f64 = shown.split(' ').next().unwrap().parse().unwrap();
            assert!(
                (number - share * 100.0).abs() < 0.06,
                "{}: {shown} is not {share}",
                row.name()
            );
        }
    }
}

#[test]
fn patterns_are_unions_as_focus_finds_them() {
    let profile = random(11);
    let focused = Filter::new()
        .focus(|name| name.starts_with("c1::") || name.ends_with("f3"))
        .apply(&profile);
    let share = focused.total(0) as f64 / profile.total(0) as f64;
    let budgets = budget(
        "profile.share",
        "select = { function = [\"c1::*\", \"*f3\"] }\nlimits = [\"total < 99.9%\"]",
    );
    let report = of(profile, &budgets);
    let shown = report.rows[0].measured.clone().unwrap();
    let number: f64 = shown.split(' ').next().unwrap().parse().unwrap();
    assert!(
        (number - share * 100.0).abs() < 0.06,
        "{shown} is not {share}"
    );
}

#[test]
fn a_share_is_explained_by_functions_and_routes() {
    let explained = |select: &str| {
        let budgets = budget(
            "profile.share",
            &format!("select = {{ {select} }}\nlimits = [\"< 1%\"]"),
        );
        let mut sources = Sources::new();
        sources.profile("cpu", shop());
        let parts = sources.explain(budgets.iter().next().unwrap());
        let parts = parts
            .iter()
            .map(|part| format!("{} {} {:.3}", part.what, part.name, part.share));
        parts.collect::<Vec<_>>()
    };
    assert_eq!(
        explained("function = \"serde_json::*\""),
        [
            "spent in <serde_json::ser::Serializer as serde::Serializer>::f 0.150",
            "spent in serde_json::from_str 0.050",
            "spent in serde_json::to_vec 0.050",
            "in crate serde_json 0.250",
            "on route GET / 0.200",
            "on route POST / 0.050",
        ]
    );
    assert_eq!(
        explained("route = \"POST /\", function = \"*::load\""),
        [
            "spent in db::load 0.800",
            "spent in serde_json::from_str 0.200",
            "in crate db 0.800",
            "in crate serde_json 0.200",
            "on route POST / 1.000"
        ]
    );
    assert_eq!(explained("function = \"none\""), Vec::<String>::new());
}

#[test]
fn what_is_proposed_reads_and_holds() {
    let mut sources = Sources::new();
    let nothing = sources.propose();
    assert!(
        nothing.contains("\n#:schema ./perfwright.schema.json\nversion = 1\n"),
        "{nothing}"
    );
    assert_eq!(Budgets::parse("a.toml", &nothing).unwrap().iter().len(), 0);
    sources.profile("cpu", shop());
    let report = r#"{"schema_version": 1, "memory": {"resident_peak": 123456789, "allocations": 3210},
        "load": {"all": {"count": 1000, "p95_ms": 12.34}}}"#;
    sources.run_report(report).unwrap();
    let text = sources.propose();
    let budgets = Budgets::parse("proposed.toml", &text).unwrap();
    let report = check(&budgets, &sources, None);
    assert_eq!(
        report.count(Verdict::Held),
        report.rows.len(),
        "{text}{}",
        lines(&report)
    );
    let rules: Vec<_> = report.rows.iter().map(|row| row.rule.as_str()).collect();
    assert_eq!(
        rules,
        [
            "p95 < 19.0 ms",
            "max < 181 MiB",
            "allocs/op < 4.900",
            "self < 38.0 %"
        ]
    );
}
