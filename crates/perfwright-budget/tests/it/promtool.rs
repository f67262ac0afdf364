//! Rules as Prometheus itself reads them: they fire at the right minute, and not the minute before.

use std::{fmt::Write as _, fs, path::Path, process::Command};

use perfwright_budget::Date;
use tempfile::TempDir;

use crate::{
    budget, budgets,
    need::{Tool, need, promtool},
    rules, today,
};

/// The fields of histograms and counters that a service serves of `GET /a`.
fn requests(name: &str, more: &str) -> String {
    format!("http_server_request_duration_seconds_{name}{{route=\"/a\",method=\"GET\",{more}}}")
}

fn run(folder: &Path, args: &[&str]) {
    let output = Command::new(promtool())
        .args(args)
        .current_dir(folder)
        .output()
        .expect("promtool runs");
    let said = [output.stdout, output.stderr].concat();
    assert!(
        output.status.success(),
        "{}\n{}",
        String::from_utf8_lossy(&said),
        fs::read_to_string(folder.join("rules.yaml")).unwrap()
    );
}

/// Series with their values, and at which minute how many alerts of which labels fire.
struct Case<'a> {
    rules: String,
    series: &'a [(String, &'a str)],
    fires: &'a [(u32, &'a str, u32)],
}

impl Case<'_> {
    /// Lets promtool check the rules, and play the series to them minute by minute.
    fn check(&self) {
        if !need(Tool::Promtool) {
            return;
        }
        let folder = TempDir::new().unwrap();
        fs::write(folder.path().join("rules.yaml"), &self.rules).unwrap();
        fs::write(folder.path().join("test.yaml"), self.test_file()).unwrap();
        run(folder.path(), &["check", "rules", "rules.yaml"]);
        run(folder.path(), &["test", "rules", "test.yaml"]);
    }

    fn test_file(&self) -> String {
        let mut text = String::from(
            "rule_files: [rules.yaml]\nevaluation_interval: 1m\ntests:\n- interval: 1m\n  input_series:\n",
        );
        for (series, values) in self.series {
            let _ = writeln!(text, "  - series: '{series}'\n    values: '{values}'");
        }
        text.push_str("  promql_expr_test:\n");
        for (minute, labels, count) in self.fires {
            let alerts = format!("count(ALERTS{{alertstate=\"firing\",{labels}}}) or vector(0)");
            let _ = writeln!(
                text,
                "  - eval_time: {minute}m\n    expr: '{alerts}'\n    exp_samples: [{{value: {count}}}]"
            );
        }
        text
    }
}

#[test]
fn rules_of_all_kinds_are_rules_to_promtool() {
    let rules = budgets(rules::FILE).to_prometheus_rules(today()).yaml;
    Case {
        rules,
        series: &[],
        fires: &[],
    }
    .check();
}

#[test]
fn the_expressions_of_a_dashboard_are_prometheuss() {
    let dashboard = budgets(rules::FILE).to_grafana_dashboard(today());
    let json: serde_json::Value = serde_json::from_str(&dashboard).unwrap();
    let mut rules = String::from("groups:\n- name: all\n  rules:\n");
    for panel in json["panels"].as_array().unwrap() {
        let expr = &panel["targets"][0]["expr"];
        let _ = writeln!(
            rules,
            "  - record: \"panel_{}\"\n    expr: {expr}",
            panel["id"]
        );
    }
    Case {
        rules,
        series: &[],
        fires: &[],
    }
    .check();
}

/// 60 requests a minute in 20 minutes, fast; then as many slow ones for 20 minutes; then fast again.
fn slow_from_20_to_40() -> [(String, &'static str); 4] {
    let fast = "0+60x20 1200+0x18 1200+60x40";
    [
        (requests("bucket", "status=\"2xx\",le=\"0.1\""), fast),
        (requests("bucket", "status=\"2xx\",le=\"0.5\""), fast),
        (requests("bucket", "status=\"2xx\",le=\"1.0\""), "0+60x80"),
        (requests("bucket", "status=\"2xx\",le=\"+Inf\""), "0+60x80"),
    ]
}

#[test]
fn a_percentile_fires_after_as_long_as_it_must_be_sustained() {
    let text = "select = { route = \"GET /a\" }\nlimits = [\"p95 < 200ms\"]\n\
                sustained = { for = \"10m\", every = \"30s\", keep_firing = \"5m\" }";
    let alert = "alertname=\"PerfwrightBudget\",budget=\"latency route=GET /a\",severity=\"page\"";
    Case {
        rules: budget("latency", text).to_prometheus_rules(today()).yaml,
        series: &slow_from_20_to_40(),
        // At 21 a fifth of the last five minutes' requests is slow, at 45 none is.
        fires: &[
            (30, alert, 0),
            (31, alert, 1),
            (49, alert, 1),
            (50, alert, 0),
        ],
    }
    .check();
}

#[test]
fn a_budget_of_another_route_does_not_fire() {
    let text = "select = { route = [\"GET /b\", \"GET /c*\"] }\nlimits = [\"p95 < 200ms\"]\nmissing = \"skip\"";
    Case {
        rules: budget("latency", text).to_prometheus_rules(today()).yaml,
        series: &slow_from_20_to_40(),
        fires: &[(38, "alertname=~\".+\"", 0)],
    }
    .check();
}

/// Three days without an error; then one request in twenty fails.
const HISTORY: u32 = 4320;
fn failing_after_three_days() -> [(String, &'static str); 2] {
    [
        (
            requests("count", "status=\"2xx\""),
            "0+1000x4320 4320950+950x500",
        ),
        (requests("count", "status=\"5xx\""), "_x4320 0 50+50x500"),
    ]
}

#[test]
fn objectives_fire_when_they_are_used_up_too_fast() {
    let text = "slo = { objective = \"99.9%\", window = \"30d\", burn = \"google\" }";
    let of = |window: &str, severity: &str| {
        format!(
            "alertname=\"PerfwrightBurnRate\",limit=\"99.9% good over 30d, {window}\",severity=\"{severity}\""
        )
    };
    let [hour, six, day, three] = [
        of("1h", "page"),
        of("6h", "page"),
        of("1d", "ticket"),
        of("3d", "ticket"),
    ];
    // 5 % are 50 times what is allowed: after m minutes, m / 60 * 5 % of the last hour's requests.
    let at = |minutes: u32| HISTORY + minutes;
    Case {
        rules: budget("error_rate", text).to_prometheus_rules(today()).yaml,
        series: &failing_after_three_days(),
        fires: &[
            (at(17), &hour, 0),
            (at(18), &hour, 1),
            (at(43), &six, 0),
            (at(44), &six, 1),
            (at(86), &day, 0),
            (at(87), &day, 1),
            (at(86), &three, 0),
            (at(87), &three, 1),
        ],
    }
    .check();
}

#[test]
fn a_shorter_window_has_shorter_pairs() {
    let text = "slo = { objective = \"99%\", window = \"15d\" }\nseverity = \"warn\"";
    let half_a_day = "limit=\"99% good over 15d, 12h\",severity=\"ticket\"";
    // 5 % of errors are beyond 3 % of half a day's requests after 7.2 hours; beyond 14.4 % and 6 % never.
    Case {
        rules: budget("error_rate", text).to_prometheus_rules(today()).yaml,
        series: &failing_after_three_days(),
        fires: &[
            (HISTORY + 431, half_a_day, 0),
            (HISTORY + 433, half_a_day, 1),
            (HISTORY + 440, "limit=~\".*, (30m|3h)\"", 0),
        ],
    }
    .check();
    let rules = budget("error_rate", text).to_prometheus_rules(today()).yaml;
    for window in ["30m", "150s", "3h", "15m", "12h", "1h", "36h"] {
        assert!(
            rules.contains(&format!("window: \"{window}\"")),
            "{window}: {rules}"
        );
    }
}

#[test]
fn objectives_of_latency_count_what_is_too_slow() {
    let text = "slo = { objective = \"90%\", within = \"100ms\" }";
    let hour = "alertname=\"PerfwrightBurnRate\",limit=\"90% within 100ms over 30d, 6h\"";
    // From 21 on all are too slow; six times 10 % of all requests since the beginning are at 52.5, of the last half
    // hour's at 39.
    Case {
        rules: budget("latency", text).to_prometheus_rules(today()).yaml,
        series: &[
            (
                requests("bucket", "status=\"2xx\",le=\"0.1\""),
                "0+60x21 1260+0x80",
            ),
            (requests("bucket", "status=\"2xx\",le=\"+Inf\""), "0+60x100"),
            (requests("count", "status=\"2xx\""), "0+60x100"),
        ],
        fires: &[(52, hour, 0), (53, hour, 1)],
    }
    .check();
}

#[test]
fn what_is_not_told_is_told_of() {
    let missing = "alertname=\"PerfwrightBudgetMissing\",severity=\"page\"";
    Case {
        rules: budget("throughput", "limits = [\"> 5/s\"]")
            .to_prometheus_rules(today())
            .yaml,
        series: &[],
        fires: &[(14, missing, 0), (15, missing, 1)],
    }
    .check();
    // Without errors there is no series of errors; that is no missing data.
    Case {
        rules: budget("error_rate", "limits = [\"< 1%\"]")
            .to_prometheus_rules(today())
            .yaml,
        series: &[(requests("count", "status=\"2xx\""), "0+60x60")],
        fires: &[(50, "alertname=~\".+\"", 0)],
    }
    .check();
}

#[test]
fn limits_that_begin_and_waivers_that_end_do_so_by_themselves() {
    let first = Date::parse("1970-01-01").unwrap();
    let memory = [("process_resident_memory_bytes".to_owned(), "150000000x3000")];
    let day = 24 * 60;
    let tighter = "limit=\"max < 95.4 MiB\"";
    let text = "limits = [\"max < 200MB\"]\ntighten = [{ from = \"1970-01-02\", limits = [\"max < 100MB\"] }]";
    Case {
        rules: budget("process.rss", text).to_prometheus_rules(first).yaml,
        series: &memory,
        fires: &[(day + 4, tighter, 0), (day + 5, tighter, 1)],
    }
    .check();
    let text = "limits = [\"max < 100MB\"]\nwaiver = { reason = \"#12\", until = \"1970-01-01\" }";
    Case {
        rules: budget("process.rss", text).to_prometheus_rules(first).yaml,
        series: &memory,
        fires: &[(day + 4, tighter, 0), (day + 5, tighter, 1)],
    }
    .check();
}
