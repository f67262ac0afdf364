//! The same file as rules of Prometheus.

use crate::{budgets, today};

pub(crate) const FILE: &str = "
[[budget]]
id = \"orders\"
about = \"The page that people wait for. {{ not a template }}\"
metric = \"latency\"
select = { route = \"GET /orders/{id}\" }
limits = [\"p95 < 200ms\", \"p99 <= 1s\"]
tighten = [{ from = \"2026-01-01\", limits = [\"p95 < 150ms\"] }, { from = \"2028-01-01\", limits = [\"p95 < 100ms\"] }]

[[budget]]
id = \"errors\"
metric = \"error_rate\"
select = { route = [\"GET /a*\", \"GET /b.c\"] }
limits = [\"< 10%\"]
slo = { objective = \"99%\" }

[[budget]]
metric = \"process.rss\"
limits = [\"max < 256MiB\", \"slope < 1MiB/h\"]
sustained = { for = \"10m\" }
severity = \"warn\"

[[budget]]
metric = \"prometheus\"
select = { name = \"pool_connections\", label = { pool = \"p\\\"g\" } }
limits = [\"< 10\", \"> 1\"]

[[budget]]
metric = \"prometheus\"
select = { name = \"jobs_total\" }
limits = [\"rate > 1/s\"]

[[budget]]
metric = \"prometheus\"
select = { name = \"queue\" }
limits = [\"max < 100\"]

[[budget]]
metric = \"pool\"
select = { name = \"p*\" }
limits = [\"usage < 80%\", \"in_use < 9\", \"connections < 10\", \"wait < 5ms\", \"p99 < 10ms\"]

[[budget]]
metric = \"cache.hit_rate\"
limits = [\"> 90%\"]

[[budget]]
metric = \"concurrency\"
select = { route = \"/a\" }
limits = [\"avg < 5\", \"now < 9\"]

[[budget]]
metric = \"response.size\"
limits = [\"< 1MB\"]

[[budget]]
metric = \"cpu\"
limits = [\"time/op < 2ms\"]

[[budget]]
metric = \"heap\"
limits = [\"allocs/op < 100\", \"bytes/op < 1MB\", \"live < 1GiB\"]

[[budget]]
metric = \"latency\"
select = { span = \"load\" }
limits = [\"mean < 1s\"]

[[budget]]
metric = \"throughput\"
limits = [\"> 5/s\"]

[[budget]]
metric = \"throughput\"
select = { route = [\"GET /a\", \"/b\"] }
limits = [\"> 5/s\"]

[[budget]]
metric = \"process.cpu\"
limits = [\"< 150%\"]
severity = \"off\"

[[budget]]
metric = \"latency\"
limits = [\"max < 1s\"]

[[budget]]
metric = \"bench\"
regression = { max = \"+3%\" }
";

#[test]
fn rules_and_what_is_left_out() {
    let rules = budgets(FILE).to_prometheus_rules(today());
    insta::assert_snapshot!("rules", rules.yaml);
    assert_eq!(
        rules.left_out,
        [
            "latency span=load: no service tells latency mean",
            "throughput route=GET /a or /b: its routes are of several methods: make it a budget for each",
            "latency: no service tells latency max",
            "bench: only compares with a baseline, which a service has none of",
        ]
    );
}

#[test]
fn no_budgets_are_no_rules() {
    let rules = budgets("").to_prometheus_rules(today());
    assert_eq!(
        rules.yaml,
        "groups:\n  - name: perfwright-budgets\n    rules: []\n"
    );
}

#[test]
fn a_dashboard_has_a_panel_for_each_value_that_is_recorded() {
    let budgets = budgets(FILE);
    let dashboard = budgets.to_grafana_dashboard(today());
    insta::assert_snapshot!("dashboard", dashboard);
    let json: serde_json::Value = serde_json::from_str(&dashboard).unwrap();
    let panels = json["panels"].as_array().unwrap();
    let shown = panels
        .iter()
        .filter_map(|panel| panel["targets"][0]["expr"].as_str());
    let shown: Vec<_> = shown
        .filter(|expr| expr.starts_with("perfwright_budget_value"))
        .collect();
    let rules = budgets.to_prometheus_rules(today()).yaml;
    let recorded = rules
        .matches("- record: \"perfwright_budget_value\"")
        .count();
    assert_eq!(shown.len(), recorded);
    let ids: std::collections::BTreeSet<_> =
        panels.iter().map(|panel| panel["id"].as_u64()).collect();
    assert_eq!(ids.len(), panels.len());
}
