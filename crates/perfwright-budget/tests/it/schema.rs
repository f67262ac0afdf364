//! The JSON schema: it takes what the reader takes, and refuses what is wrong by its form.

use std::{collections::BTreeSet, fs, path::Path};

use jsonschema::Validator;
use perfwright_budget::{Budgets, schema};
use serde_json::Value;

use crate::{errors::cases, rules};

/// What only the reader finds: days that are none, contradictions, what other tables say, values that are out of
/// bounds once their units are known.
const FOR_THE_READER: &[&str] = &[
    "always_holds",
    "command_that_is_not_there",
    "command_twice",
    "command_with_cold_runs",
    "command_without_cold_runs",
    "contradiction",
    "contradiction_of_average_and_most",
    "contradiction_of_percentiles",
    "contradiction_of_shares",
    "given_twice",
    "loosens",
    "never_holds",
    "never_holds_above",
    "no_date",
    "objective_against_a_limit",
    "objective_of_all",
    "objective_of_what_is_bad",
    "objective_over_too_short_a_window",
    "regression_of_another_unit",
    "same_id",
    "share_above_no_time",
    "sustained_for_no_time",
    "sustained_never_looked_at",
    "tightens_to_a_contradiction",
    "told_for_no_time",
    "unknown_command",
];

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

fn validator() -> Validator {
    let schema: Value = serde_json::from_str(&schema()).unwrap();
    assert!(jsonschema::meta::is_valid(&schema));
    jsonschema::validator_for(&schema).unwrap()
}

/// A file as an editor sees it; `None` if it is no TOML.
fn json(text: &str) -> Option<Value> {
    let table: toml::Table = toml::from_str(text).ok()?;
    Some(serde_json::to_value(table).unwrap())
}

fn problems(validator: &Validator, text: &str) -> Vec<String> {
    let json = json(text).expect("it is TOML");
    let errors = validator.iter_errors(&json);
    errors
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect()
}

#[test]
fn the_schema_takes_files_that_the_reader_takes() {
    let validator = validator();
    let proposal = fs::read_to_string(root().join("perfwright.toml")).unwrap();
    let rules = format!("version = 1\n{}", rules::FILE);
    for text in [proposal.as_str(), &rules, EVERYTHING] {
        let read = Budgets::parse("a.toml", text);
        assert!(read.is_ok(), "{}", read.unwrap_err());
        let problems = problems(&validator, text);
        assert!(problems.is_empty(), "{problems:#?}\n{text}");
    }
}

#[test]
fn the_schema_refuses_what_is_wrong_by_its_form() {
    let validator = validator();
    let mut taken = BTreeSet::new();
    for (name, text) in cases() {
        let Some(json) = json(&text) else { continue };
        if validator.is_valid(&json) {
            taken.insert(name);
        }
    }
    let expected: BTreeSet<&str> = FOR_THE_READER.iter().copied().collect();
    assert_eq!(taken, expected);
}

#[test]
fn the_schema_beside_the_documentation_is_this_one() {
    let file = root().join("docs/perfwright.schema.json");
    if std::env::var_os("BLESS").is_some() {
        fs::write(&file, schema()).unwrap();
    }
    let saved = fs::read_to_string(&file).unwrap();
    assert!(
        saved == schema(),
        "{} is of another version: BLESS=1 cargo test -p perfwright-budget --all-features schema",
        file.display()
    );
}

/// The fields that serde knows of each table are those of the schema.
#[test]
fn the_schema_has_all_fields_and_no_others() {
    let schema: Value = serde_json::from_str(&schema()).unwrap();
    let budget = "[[budget]]\nmetric = \"latency\"\n";
    let tables = [
        ("", String::new()),
        ("/properties/defaults", "[defaults]\n".to_owned()),
        ("/properties/environment", "[environment]\n".to_owned()),
        ("/properties/command/items", "[[command]]\n".to_owned()),
        ("/properties/budget/items", budget.to_owned()),
        (
            "/properties/budget/items/properties/regression",
            format!("{budget}[budget.regression]\n"),
        ),
        (
            "/properties/budget/items/properties/slo",
            format!("{budget}[budget.slo]\n"),
        ),
        (
            "/properties/budget/items/properties/sustained",
            format!("{budget}[budget.sustained]\n"),
        ),
        (
            "/properties/budget/items/properties/tighten/items",
            format!("{budget}[[budget.tighten]]\n"),
        ),
        (
            "/properties/budget/items/properties/waiver",
            format!("{budget}[budget.waiver]\n"),
        ),
    ];
    for (place, text) in tables {
        let fields = schema.pointer(&format!("{place}/properties")).unwrap();
        let fields: BTreeSet<&str> = fields
            .as_object()
            .unwrap()
            .keys()
            .map(String::as_str)
            .collect();
        assert_eq!(
            known(&format!("{text}no_such_field = 1\n")),
            fields,
            "{place}"
        );
    }
    let selects = schema.pointer("/properties/budget/items/allOf").unwrap();
    let selects = selects.as_array().unwrap().iter();
    let selects = selects.flat_map(|metric| {
        let fields = metric
            .pointer("/then/properties/select/properties")
            .unwrap();
        fields.as_object().unwrap().keys().map(String::as_str)
    });
    let select = format!("{budget}[budget.select]\nno_such_field = 1\n");
    assert_eq!(known(&select), selects.collect());
}

/// What the reader says is known in place of `no_such_field`.
fn known(text: &str) -> BTreeSet<&'static str> {
    let error = Budgets::parse("a.toml", text).unwrap_err();
    let problem = &error.problems()[0];
    assert!(problem.title.contains("no_such_field"), "{error}");
    let help = problem.help.clone().unwrap();
    let list = help.rsplit("known are ").next().unwrap().to_owned();
    // It lives as long as the test.
    String::leak(list).split(", ").collect()
}

const EVERYTHING: &str = include_str!("../data/everything.toml");
