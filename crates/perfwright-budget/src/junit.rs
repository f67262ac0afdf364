//! Reports as JUnit XML, which most services for continuous integration show.

use quick_junit::{NonSuccessKind, Report as Xml, TestCase, TestCaseStatus, TestSuite};

use crate::judge::{Level, Report, Row, Verdict};

impl Report {
    /// The report as JUnit XML: a test case for each limit. A breach and missing data are failures, "can't tell" is
    /// an error, a warning is a pass with a text on its standard output.
    pub fn to_junit(&self) -> String {
        let mut suite = TestSuite::new(self.file.as_str());
        suite.add_test_cases(self.rows.iter().map(case));
        let mut xml = Xml::new("budgets");
        xml.add_test_suite(suite);
        // Writing to memory cannot fail, and names are cleaned of what XML cannot hold.
        xml.to_string().unwrap_or_default()
    }
}

fn case(row: &Row) -> TestCase {
    let mut status = match (row.level, row.verdict) {
        (Level::Error, Verdict::CannotTell) => TestCaseStatus::non_success(NonSuccessKind::Error),
        (Level::Error, _) => TestCaseStatus::non_success(NonSuccessKind::Failure),
        (_, Verdict::Missing) => TestCaseStatus::skipped(),
        _ => TestCaseStatus::success(),
    };
    if !matches!(status, TestCaseStatus::Success { .. }) {
        status.set_message(row.sentence());
        status.set_type(row.verdict.name());
    }
    let mut case = TestCase::new(format!("{}: {}", row.name(), row.rule), status);
    case.set_classname(row.metric);
    case.set_system_out(row.sentence());
    case
}
