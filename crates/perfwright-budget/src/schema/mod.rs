//! The JSON schema of budget files, for editors: made of the tables that the reader goes by.
//!
//! What a number must be, which dates there are and what contradicts what is for the reader to say.

mod patterns;

use serde_json::{Map, Value, json};

use crate::{
    budgets::FILE_VERSION,
    measure::ENVIRONMENT_KEYS,
    metric::{Metric, SPECS, Series, Spec},
    units::Dimension,
};
use patterns::{DATE, PATH, TEXT, amounts, limit, number, share_of_baseline, statistic};

/// The JSON schema of a budget file, draft 7, which is what editors' extensions for TOML read; with a newline at its
/// end.
pub fn schema() -> String {
    // It is made of texts and numbers: writing to memory cannot fail.
    serde_json::to_string_pretty(&file()).unwrap_or_default() + "\n"
}

fn file() -> Value {
    let mut file = object(
        "What a program promises of its performance.",
        &["version"],
        json!({
            "version": { "const": FILE_VERSION, "description": "The version of the file's format." },
            "defaults": defaults(),
            "environment": environment(),
            "command": { "type": "array", "items": command(), "description": "Commands that are run and measured." },
            "budget": { "type": "array", "items": budget(), "description": "What is bounded, and how." },
        }),
    );
    file["$schema"] = json!("http://json-schema.org/draft-07/schema#");
    file["title"] = json!("Budgets of performance");
    file
}

/// A table with these fields and no others.
fn object(about: &str, required: &[&str], properties: Value) -> Value {
    json!({
        "type": "object",
        "description": about,
        "additionalProperties": false,
        "required": required,
        "properties": properties,
    })
}

fn text(pattern: impl Into<String>, about: &str) -> Value {
    json!({ "type": "string", "pattern": pattern.into(), "description": about })
}

fn any_text(about: &str) -> Value {
    json!({ "type": "string", "description": about })
}

fn one_of(words: &[&str], about: &str) -> Value {
    json!({ "enum": words, "description": about })
}

fn is(about: &str) -> Value {
    json!({ "type": "boolean", "description": about })
}

fn time(about: &str) -> Value {
    text(format!(r"^\s*{}\s*$", number(Dimension::Time)), about)
}

fn severity() -> Value {
    one_of(
        &["off", "warn", "error"],
        "What a budget that does not hold leads to.",
    )
}

fn missing() -> Value {
    one_of(&["skip", "warn", "fail"], "What missing data lead to.")
}

fn on_breach() -> Value {
    let about = "Whether a breach is measured again before it is believed, and how often.";
    text("^(fail|rerun:([1-9]|10))$", about)
}

fn grandfather() -> Value {
    is("Whether what was beyond its limit before, and is no worse, only warns.")
}

fn defaults() -> Value {
    let deviations =
        "How many standard deviations of sampling beyond its limit a breach has to be.";
    object(
        "What budgets do that do not say.",
        &[],
        json!({
            "severity": severity(),
            "missing": missing(),
            "grandfather": grandfather(),
            "deviations": { "type": "number", "minimum": 0, "maximum": 10, "description": deviations },
            "on_breach": on_breach(),
        }),
    )
}

fn environment() -> Value {
    let max_load =
        "Processes running on each core above which times beyond their limits decide nothing.";
    object(
        "What of the machine matters.",
        &[],
        json!({
            "match": {
                "type": "array",
                "items": { "enum": ENVIRONMENT_KEYS },
                "description": "In what a baseline must agree.",
            },
            "max_load": { "type": "number", "exclusiveMinimum": 0, "description": max_load },
        }),
    )
}

fn command() -> Value {
    object(
        "A command that is run and measured. There is no shell.",
        &["name", "run"],
        json!({
            "name": text("^[A-Za-z0-9_-]+$", "How budgets call it."),
            "run": {
                "description": "The program and its arguments, at spaces or as a list.",
                "anyOf": [
                    { "type": "string", "pattern": r#"^(?=.*\S)[^"'\\$|&;<>`]+$"# },
                    { "type": "array", "minItems": 1, "items": { "type": "string" } },
                ],
            },
            "cold": text("^[^=\u{0}]+$", "The variable that names a new folder for each cold run."),
            "repeat": { "type": "integer", "minimum": 1, "maximum": 1000, "description": "How often it is measured." },
            "timeout": time("After how long a run is ended."),
        }),
    )
}

fn budget() -> Value {
    let names: Vec<_> = SPECS.iter().map(|spec| spec.name).collect();
    let abouts = SPECS
        .iter()
        .map(|spec| format!("{}: {}", spec.name, spec.about));
    let abouts = abouts.collect::<Vec<_>>().join("\n");
    let limits = |about: &str| json!({ "type": "array", "items": { "type": "string" }, "description": about });
    let min_samples = "Below so many samples there is no verdict.";
    let mut budget = object(
        "A budget: what is bounded, and how.",
        &["metric"],
        json!({
            "id": text(TEXT, "Its name; without one it is made of metric and selection."),
            "about": any_text("What it is for."),
            "metric": { "enum": names, "description": abouts },
            "select": { "type": "object", "description": "What it is of. In names `*` stands for anything." },
            "limits": limits("What values must hold, such as `p95 < 200ms`."),
            "regression": regression(),
            "slo": slo(),
            "severity": severity(),
            "missing": missing(),
            "grandfather": grandfather(),
            "min_samples": { "type": "integer", "minimum": 1, "description": min_samples },
            "sustained": sustained(),
            "tighten": {
                "type": "array",
                "description": "Limits that replace others from a day on.",
                "items": object("Limits from a day on.", &["from", "limits"], json!({
                    "from": text(DATE, "The first day."),
                    "limits": with(limits("The limits."), "minItems", json!(1)),
                })),
            },
            "waiver": object("What allows a breach for a while.", &["reason", "until"], json!({
                "reason": text(TEXT, "Why."),
                "until": text(DATE, "The last day."),
            })),
            "on_breach": on_breach(),
        }),
    );
    budget["anyOf"] = ["limits", "tighten", "regression", "slo"]
        .into_iter()
        .map(|bound| json!({ "required": [bound], "properties": { bound: with(json!({}), "minItems", json!(1)) } }))
        .collect();
    budget["allOf"] = SPECS.iter().map(of_metric).collect();
    budget
}

fn with(mut schema: Value, key: &str, value: Value) -> Value {
    schema[key] = value;
    schema
}

fn regression() -> Value {
    object(
        "What may change against a baseline.",
        &["max"],
        json!({
            "max": any_text("By how much: `+3%`, `-1pp`, `+4KiB`; the sign is the direction that is bad."),
            "floor": any_text("How much a change must be to count."),
            "stat": any_text("The statistic that is compared."),
        }),
    )
}

fn slo() -> Value {
    let share = format!(r"^\s*{}\s*$", number(Dimension::Share { exceeds: false }));
    object(
        "An objective: so much is good, over so long a time.",
        &["objective"],
        json!({
            "objective": text(share, "The share of requests that are good, such as 99.9%."),
            "window": time("Over how long; 30d, if it does not say."),
            "within": time("Of latency: in which time a request is good."),
            "burn": one_of(&["google", "none"], "Whether Prometheus tells how fast it is used up."),
        }),
    )
}

fn sustained() -> Value {
    object(
        "For how long a limit must be broken to be a breach.",
        &["for"],
        json!({
            "for": time("How long."),
            "every": time("How often values are looked at; in a run, over how long their mean is taken."),
            "keep_firing": time("For how long an alert of Prometheus stays after the limit holds again."),
        }),
    )
}

/// What a metric's name says of the other fields.
fn of_metric(spec: &Spec) -> Value {
    let limit = json!({ "pattern": limit(spec) });
    let limits = json!({ "items": limit });
    let mut fields = json!({
        "select": select(spec),
        "limits": limits,
        "tighten": { "items": { "properties": { "limits": limits } } },
        "regression": regression_of(spec),
    });
    if spec.series == Series::None {
        fields["sustained"] = json!(false);
    }
    match Metric::find(spec.name) {
        Some(Metric::Latency) => fields["slo"] = json!({ "required": ["within"] }),
        Some(Metric::ErrorRate) => fields["slo"] = json!({ "properties": { "within": false } }),
        _ => fields["slo"] = json!(false),
    }
    if Metric::find(spec.name).is_some_and(|metric| !metric.can_be_measured_again()) {
        fields["on_breach"] = json!(false);
    }
    let required: &[&str] = if spec.needs.is_empty() {
        &[]
    } else {
        &["select"]
    };
    json!({
        "if": { "properties": { "metric": { "const": spec.name } }, "required": ["metric"] },
        "then": { "properties": fields, "required": required },
    })
}

fn regression_of(spec: &Spec) -> Value {
    let required: &[&str] = if spec.names_stat { &["stat"] } else { &[] };
    json!({
        "properties": {
            "max": { "pattern": format!(r"^\s*[+-]({}|{})\s*$", share_of_baseline(), amounts(spec)) },
            "floor": { "pattern": format!(r"^\s*({})\s*$", amounts(spec)) },
            "stat": { "pattern": format!("^({})$", statistic(spec)) },
        },
        "required": required,
    })
}

fn select(spec: &Spec) -> Value {
    let fields = spec
        .select
        .iter()
        .map(|key| ((*key).to_owned(), selection(key)));
    let fields: Map<String, Value> = fields.collect();
    let needs = spec.needs.iter().map(|keys| {
        let each = keys.iter().map(|key| json!({ "required": [key] }));
        json!({ "anyOf": each.collect::<Vec<_>>() })
    });
    let pairs = [["crate", "function"], ["crate", "section"]];
    let excluded = pairs
        .iter()
        .filter(|pair| pair.iter().all(|key| spec.select.contains(key)));
    let excluded = excluded.map(|pair| json!({ "not": { "required": pair } }));
    let needs: Vec<_> = needs.chain(excluded).collect();
    let mut select = json!({ "additionalProperties": false, "properties": fields });
    if !needs.is_empty() {
        select["allOf"] = json!(needs);
    }
    select
}

/// What one key of a selection takes.
fn selection(key: &str) -> Value {
    let names = |pattern: &str| {
        let name = json!({ "type": "string", "pattern": pattern });
        json!({ "anyOf": [name, { "type": "array", "minItems": 1, "items": name }] })
    };
    let (mut schema, about) = match key {
        "profile" => (any_text(""), "The profile's name: cpu, heap and others."),
        "value" => (any_text(""), "Which of its values, such as alloc_space."),
        "function" => (names(TEXT), "Functions by their full names."),
        "crate" => (names(TEXT), "Crates."),
        "route" => (names(TEXT), "Routes, also with their method: GET /orders."),
        "span" => (names(TEXT), "Spans by name, or by path: request > load."),
        "label" => (
            json!({ "type": "object", "additionalProperties": names(TEXT) }),
            "Values of labels.",
        ),
        "bench" => (names(TEXT), "Benches by their full names."),
        "command" => (any_text(""), "The name of a [[command]]."),
        "section" => (names(TEXT), "Sections of a file."),
        "artifact" => (names(PATH), "Files, as seen from the root."),
        "package" => (any_text(""), "A package of the workspace."),
        "features" => (
            json!({ "type": "array", "items": { "type": "string" } }),
            "Its features that are on.",
        ),
        "default_features" => (
            json!({ "type": "boolean" }),
            "Whether its default features are on.",
        ),
        _ => (any_text(""), "The name of a metric, a pool or a cache."),
    };
    schema["description"] = json!(about);
    schema
}
