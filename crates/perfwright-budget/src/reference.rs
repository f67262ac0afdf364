//! The reference, `docs/budgets.md`: its part about metrics is made from their table, and the rest is checked.

use std::{fmt::Write as _, fs, path::PathBuf, sync::Once};

use crate::{
    Verdict,
    budgets::Budgets,
    metric::{SPECS, Series, Spec},
    names,
    units::Dimension,
};

const BEGIN: &str =
    "<!-- metrics: made from the code; BLESS=1 cargo test -p perfwright-budget -->\n";
const END: &str = "<!-- end of metrics -->";

fn file() -> PathBuf {
    PathBuf::from(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../docs/budgets.md"
    ))
}

/// The reference; written anew first where that is asked for, before any test reads it.
fn text() -> String {
    static WRITTEN: Once = Once::new();
    let read = || fs::read_to_string(file()).expect("the reference is there");
    if std::env::var_os("BLESS").is_some() {
        WRITTEN.call_once(|| fs::write(file(), expected(&read())).expect("it can be written"));
    }
    read()
}

/// The text with the metrics of the code.
fn expected(text: &str) -> String {
    let (head, rest) = text.split_once(BEGIN).expect("it has a place for metrics");
    let (_, tail) = rest.split_once(END).expect("the place has an end");
    format!("{head}{BEGIN}{}{END}{tail}", metrics())
}

fn unit(dimension: Dimension) -> &'static str {
    match dimension {
        Dimension::Share { exceeds: false } => "share",
        Dimension::Share { exceeds: true } => "share, of one core",
        Dimension::Time => "time",
        Dimension::Bytes => "size",
        Dimension::Count => "count",
        Dimension::PerSecond => "rate",
        Dimension::BytesPerSecond => "size per time",
        Dimension::Any => "as the limit says",
    }
}

fn metrics() -> String {
    let mut out = String::new();
    for spec in SPECS {
        let _ = write!(
            out,
            "\n### `{}`\n\n{} From {}.",
            spec.name, spec.about, spec.from
        );
        let _ = write!(out, "{}\n\n", selects(spec));
        out.push_str("| statistic | is a | what |\n|---|---|---|\n");
        for (at, (name, dimension, about)) in spec.stats.iter().enumerate() {
            let about = match at == 0 && !spec.names_stat {
                true => format!("{about}; meant without a name"),
                false => (*about).to_owned(),
            };
            let _ = writeln!(out, "| `{name}` | {} | {about} |", unit(*dimension));
        }
        if let Some(dimension) = spec.percentiles {
            let _ = writeln!(
                out,
                "| `p50`, `p99.9`, … | {} | percentiles |",
                unit(dimension)
            );
        }
        if spec.has_shares_above {
            out.push_str("| `above 200ms`, … | share | what takes longer |\n");
        }
        let _ = write!(out, "\n```toml\n{}```\n", example(spec));
    }
    out + "\n"
}

fn selects(spec: &Spec) -> String {
    let quoted = |keys: &[&str]| {
        let keys: Vec<_> = keys.iter().map(|key| format!("`{key}`")).collect();
        keys.join(", ")
    };
    let mut text = match spec.select {
        [] => " It selects by nothing.".to_owned(),
        keys => format!(" Selects by {}", quoted(keys)),
    };
    let one_of = |keys: &&[&str]| match keys {
        [only] => format!("`{only}`"),
        keys => format!("one of {}", quoted(keys)),
    };
    let needs: Vec<_> = spec.needs.iter().map(one_of).collect();
    if !needs.is_empty() {
        let _ = write!(text, "; {} must be there", needs.join(" and "));
    }
    if !spec.select.is_empty() {
        text.push('.');
    }
    if spec.min_samples > 1 {
        let _ = write!(
            text,
            " Below {} samples it is missing data.",
            spec.min_samples
        );
    }
    match spec.series {
        Series::None => text.push_str(" It has no values over time."),
        Series::Run => text.push_str(" Runs record it over time."),
        Series::Live => {}
    }
    text
}

fn example(spec: &Spec) -> String {
    let value = |key: &str| match key {
        "function" => "serde_json::*",
        "artifact" => "target/release/shop",
        "section" => ".text",
        "command" => "build",
        "package" => "shop",
        "name" => "queue_length",
        "route" => "GET /orders/{id}",
        _ => "codec/*",
    };
    let needed = spec.needs.iter().filter_map(|keys| keys.first());
    // What need not be selected is shown where it is what one usually does.
    let usual = spec
        .select
        .first()
        .filter(|key| spec.needs.is_empty() && **key != "name");
    let keys: Vec<_> = needed
        .chain(usual)
        .map(|key| format!("{key} = \"{}\"", value(key)))
        .collect();
    let mut text = format!("[[budget]]\nmetric = \"{}\"\n", spec.name);
    if !keys.is_empty() {
        let _ = writeln!(text, "select = {{ {} }}", keys.join(", "));
    }
    let _ = writeln!(text, "limits = [\"{}\"]", spec.example);
    if spec.select.contains(&"command") && !spec.needs.is_empty() {
        text.push_str("\n[[command]]\nname = \"build\"\nrun = \"cargo build\"\n");
    }
    text
}

#[test]
fn the_reference_has_the_metrics_of_the_code() {
    let text = text();
    assert!(
        text == expected(&text),
        "docs/budgets.md has other metrics: BLESS=1 cargo test -p perfwright-budget"
    );
}

/// Every example is a file, or would be one with a version.
#[test]
fn the_examples_of_the_reference_are_budgets() {
    let text = text();
    let examples: Vec<_> = text
        .split("```toml\n")
        .skip(1)
        .filter_map(|rest| rest.split("```").next())
        .collect();
    assert!(examples.len() > SPECS.len());
    for example in examples {
        let version = if example.contains("version = 1") {
            ""
        } else {
            "version = 1\n"
        };
        let read = Budgets::parse("budgets.md", &format!("{version}{example}"));
        assert!(
            read.is_ok(),
            "{}",
            read.err().map_or_else(String::new, |e| e.to_string())
        );
    }
}

#[test]
fn the_reference_names_all_there_is() {
    let text = text();
    let keys = SPECS.iter().flat_map(|spec| spec.select);
    let verdicts = [
        Verdict::Held,
        Verdict::Waived,
        Verdict::NoWorse,
        Verdict::CannotTell,
        Verdict::Missing,
        Verdict::Breach,
    ];
    let rows = verdicts
        .iter()
        .map(|verdict| format!("| {} |", verdict.name()));
    let codes = (0..=4).map(|code| format!("| {code} |"));
    let names = [
        names::POOL_CONNECTIONS,
        names::POOL_IDLE,
        names::POOL_MAX,
        names::POOL_ACQUIRES,
        names::POOL_WAIT,
        names::POOL_WAIT_HISTOGRAM,
        names::CACHE_HITS,
        names::CACHE_MISSES,
    ];
    let words = keys.chain(&names).map(|word| format!("`{word}`"));
    for wanted in words.chain(rows).chain(codes) {
        assert!(
            text.contains(&wanted),
            "docs/budgets.md does not say {wanted}"
        );
    }
}

/// The table in the crate's documentation.
#[test]
fn the_crate_names_all_metrics() {
    let documentation = include_str!("lib.rs");
    for spec in SPECS {
        let row = format!(
            "//! | `{}` | {} |",
            spec.name,
            spec.about.trim_end_matches('.')
        );
        assert!(
            documentation.contains(&row),
            "src/lib.rs lacks the row\n{row}"
        );
    }
}
