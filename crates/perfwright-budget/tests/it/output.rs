//! What programs and people get.

use perfwright_budget::{Measurements, Report, Sources};

use crate::{budgets, check, lines};

/// One of each verdict, with names that want to break out of where they are written.
fn report() -> Report {
    let budgets = budgets(
        "[[budget]]\nid = \"calm\"\nmetric = \"process.cpu\"\nlimits = [\"< 60%\"]\n\
         [[budget]]\nid = \"a|b`c,d: 100%\\n<b>\"\nmetric = \"process.cpu\"\nlimits = [\"< 40%\"]\n\
         regression = { max = \"+1%\" }\n\
         [[budget]]\nmetric = \"error_rate\"\nlimits = [\"< 4%\"]\n\
         [[budget]]\nmetric = \"process.cpu\"\nlimits = [\"< 30%\"]\n\
         grandfather = false\nwaiver = { reason = \"until the *move*\", until = \"2027-01-01\" }\n\
         [[budget]]\nmetric = \"size\"\nselect = { artifact = \"x\" }\nlimits = [\"raw < 1B\"]\n",
    );
    let mut sources = Sources::new();
    let run = r#"{"schema_version": 1, "capture": {"cpu_nanos": 5, "duration_nanos": 10},
        "load": {"all": {"count": 1000, "errors": 50}}}"#;
    sources.run_report(run).unwrap();
    let baseline = sources.measure(&budgets);
    check(&budgets, &sources, Some(&baseline))
}

#[test]
fn markdown() {
    insta::assert_snapshot!("markdown", report().to_markdown());
}

#[test]
fn github() {
    insta::assert_snapshot!("github", report().to_github());
}

#[test]
fn junit() {
    insta::assert_snapshot!("junit", report().to_junit());
}

#[test]
fn json() {
    insta::assert_snapshot!("json", report().to_json());
}

#[test]
fn a_report_is_the_baseline_of_the_next() {
    let first = report();
    let saved = Measurements::from_report(&first.to_json()).unwrap();
    let budgets = budgets(
        "[[budget]]\nid = \"calm\"\nmetric = \"process.cpu\"\nregression = { max = \"+10%\" }\n\
         [[budget]]\nmetric = \"error_rate\"\nregression = { max = \"+1pp\" }\n",
    );
    let mut sources = Sources::new();
    let run = r#"{"schema_version": 1, "capture": {"cpu_nanos": 6, "duration_nanos": 10},
        "load": {"all": {"count": 1000, "errors": 65}}}"#;
    sources.run_report(run).unwrap();
    let report = check(&budgets, &sources, Some(&saved));
    assert_eq!(
        lines(&report),
        "breach calm: avg +10%; measured 60.0 %; baseline 50.0 %; +20.00 %\n\
         can't tell error_rate: rate +1pp; measured 6.5 % (4.5 % to 9.2 %); baseline 5.0 % (3.3 % to 7.5 %); \
         +1.50 pp, within 3 standard deviations of what is allowed"
    );
    for broken in [
        "",
        "{}",
        "{\"schema_version\": 9, \"measurements\": {\"environment\": {}, \"readings\": []}}",
    ] {
        assert!(Measurements::from_report(broken).is_err(), "{broken}");
    }
}
