//! Files changed at random, with a seed: whatever they are, they are budgets or errors with a place.

use perfwright_budget::{Budgets, Sources, judge};
use perfwright_stats::Rng;

use crate::{rules, today};

/// What a mutation puts in: what files are made of, and what they are not.
const PIECES: [&str; 36] = [
    "\"",
    "'",
    "[",
    "]",
    "{",
    "}",
    "=",
    ",",
    ".",
    "\n",
    "#",
    "[[budget]]\n",
    "<",
    ">=",
    "%",
    "ms",
    "KiB/h",
    "pp",
    "+",
    "-",
    "99999999999999999999",
    "1e400",
    "nan",
    "0",
    "p99.9",
    "above ",
    "*",
    "é",
    "\u{0}",
    "\\u00e9",
    "true",
    "2027-02-30",
    "slo = {",
    "limits = [",
    "metric = \"size\"\n",
    "rerun:0",
];

fn mutated(rng: &mut Rng, good: &str) -> String {
    let mut text = good.to_owned();
    for _ in 0..=rng.below(3) * rng.below(2) {
        let at = boundary(&text, rng.below(text.len() + 1));
        let end = boundary(&text, (at + 1 + rng.below(12)).min(text.len()));
        let piece = PIECES[rng.below(PIECES.len())];
        match rng.below(5) {
            0 => text.insert_str(at, piece),
            1 => text.replace_range(at..end.max(at), ""),
            2 => text.replace_range(at..end.max(at), piece),
            3 => {
                let copied = text[at..end.max(at)].to_owned();
                let to = boundary(&text, rng.below(text.len() + 1));
                text.insert_str(to, &copied);
            }
            _ => swap_lines(rng, &mut text),
        }
    }
    text
}

fn boundary(text: &str, mut at: usize) -> usize {
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

fn swap_lines(rng: &mut Rng, text: &mut String) {
    let mut lines: Vec<&str> = text.lines().collect();
    if !lines.is_empty() {
        let (a, b) = (rng.below(lines.len()), rng.below(lines.len()));
        lines.swap(a, b);
        *text = lines.join("\n");
    }
}

#[test]
fn a_changed_file_is_budgets_or_errors_with_places() {
    let everything = include_str!("../data/everything.toml");
    let rules = format!("version = 1\n{}", rules::FILE);
    let mut rng = Rng::new(20_261_128);
    let (mut read, mut refused) = (0, 0);
    for round in 0..3_000 {
        let good = if round % 2 == 0 { everything } else { &rules };
        let text = mutated(&mut rng, good);
        match Budgets::parse("fuzz.toml", &text) {
            Ok(budgets) => {
                read += 1;
                let report = judge(&budgets, Sources::new().measure(&budgets), None, today());
                assert_ne!(report.exit_code(), 4, "without data nothing is undecided");
                let _ = budgets.to_prometheus_rules(today());
                let _ = budgets.to_grafana_dashboard(today());
            }
            Err(error) => {
                refused += 1;
                assert!(!error.problems().is_empty(), "{text}");
                for problem in error.problems() {
                    let (line, column) = error.place(problem);
                    assert!(
                        line <= text.matches('\n').count() + 1 && column > 0,
                        "{text}"
                    );
                    assert!(problem.span.start <= text.len(), "{text}");
                }
                assert!(error.render(false).contains("fuzz.toml:"), "{error}");
            }
        }
    }
    // It is no test of one kind only.
    assert!(
        read > 100 && refused > 100,
        "{read} read, {refused} refused"
    );
}
