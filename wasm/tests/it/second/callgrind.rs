//! Callgrind, by splitting lines.
//!
//! The format tells what each function cost and what its calls of others cost, not the stacks. The truth about a
//! function's own cost and about totals is in the file. The truth about stacks is defined, as gprof defines it: the
//! own costs of a function are shared out among the ways to it, in proportion to what the calls on each way cost; a
//! way ends at a function that it has passed and at calls of less than a hundredth of a per cent of the whole; what
//! rounding and ends leave over stands below `[unknown]`.

use std::collections::{BTreeMap, HashMap};

use super::{Told, file};

#[derive(Default)]
struct Function {
    name: String,
    own: Vec<i64>,
    /// What the calls of other functions cost.
    calls: BTreeMap<usize, Vec<i64>>,
}

struct Graph {
    kinds: Vec<String>,
    functions: Vec<Function>,
}

fn sum(to: &mut Vec<i64>, costs: &[i64]) {
    to.resize(costs.len(), 0);
    for (sum, cost) in to.iter_mut().zip(costs) {
        *sum += cost;
    }
}

/// `(12) name` gives the number 12 to a name, `(12)` is that name again.
fn resolved(names: &mut HashMap<String, String>, text: &str) -> String {
    let (number, name) = text.split_once(')').expect("a number");
    if !name.is_empty() {
        names.insert(number.to_owned(), name.trim().to_owned());
    }
    names[number].clone()
}

fn graph(text: &str) -> Graph {
    let (mut files, mut names) = (HashMap::new(), HashMap::new());
    let mut ids: HashMap<(String, String), usize> = HashMap::new();
    let mut functions: Vec<Function> = Vec::new();
    let mut id = |functions: &mut Vec<Function>, file: String, name: String| {
        *ids.entry((file, name.clone())).or_insert_with(|| {
            functions.push(Function {
                name,
                ..Function::default()
            });
            functions.len() - 1
        })
    };
    let (mut kinds, mut file, mut called_file) = (Vec::new(), String::new(), None);
    let (mut at, mut called, mut is_call) = (0, 0, false);
    for line in text.lines() {
        if let Some(events) = line.strip_prefix("events: ") {
            kinds = events.split_whitespace().map(str::to_owned).collect();
        } else if let Some((key, value)) = line.split_once('=') {
            match key {
                "fl" | "fi" | "fe" => file = resolved(&mut files, value),
                "cfi" | "cfl" => called_file = Some(resolved(&mut files, value)),
                "fn" => at = id(&mut functions, file.clone(), resolved(&mut names, value)),
                "cfn" => {
                    let file = called_file.take().unwrap_or_else(|| file.clone());
                    called = id(&mut functions, file, resolved(&mut names, value));
                }
                "calls" => is_call = true,
                _ => {}
            }
        } else if line.starts_with(|c: char| c.is_ascii_digit() || "+-*".contains(c)) {
            let costs = line.split_whitespace().skip(1);
            let mut costs: Vec<i64> = costs.map(|cost| cost.parse().expect("a cost")).collect();
            costs.resize(kinds.len(), 0);
            match std::mem::take(&mut is_call) {
                true if called == at => {}
                true => sum(functions[at].calls.entry(called).or_default(), &costs),
                false => sum(&mut functions[at].own, &costs),
            }
        }
    }
    for function in &mut functions {
        function.own.resize(kinds.len(), 0);
    }
    Graph { kinds, functions }
}

impl Graph {
    /// A function's costs with all it calls.
    fn inclusive(&self, function: usize) -> Vec<i64> {
        let mut costs = self.functions[function].own.clone();
        for call in self.functions[function].calls.values() {
            sum(&mut costs, call);
        }
        costs
    }

    /// What of a function's costs no call accounts for.
    fn called_from_outside(&self, function: usize) -> Vec<f64> {
        let mut costs = self.inclusive(function);
        for call in self
            .functions
            .iter()
            .filter_map(|caller| caller.calls.get(&function))
        {
            for (cost, call) in costs.iter_mut().zip(call) {
                *cost -= call;
            }
        }
        costs.into_iter().map(|cost| cost.max(0) as f64).collect()
    }

    fn totals(&self) -> Vec<i64> {
        let mut totals = Vec::new();
        for function in &self.functions {
            sum(&mut totals, &function.own);
        }
        totals
    }

    /// Goes a way on to a function, which has these costs on it.
    fn share(
        &self,
        function: usize,
        costs: &[f64],
        way: &[usize],
        rest: &mut [Vec<i64>],
        told: &mut Told,
    ) {
        let is_small = |(cost, total): (&f64, i64)| *cost <= 0.0 || *cost < total as f64 * 1e-4;
        if way.contains(&function) || costs.iter().zip(self.totals()).all(is_small) {
            return;
        }
        let way = [way, &[function]].concat();
        let all = self.inclusive(function);
        let share = |cost: f64, all: i64| {
            if all > 0 {
                (cost / all as f64).min(1.0)
            } else {
                0.0
            }
        };
        let shares: Vec<f64> = costs
            .iter()
            .zip(all)
            .map(|(&cost, all)| share(cost, all))
            .collect();
        let own = &self.functions[function].own;
        let values = own
            .iter()
            .zip(&shares)
            .map(|(&own, share)| (own as f64 * share).round() as i64);
        let values: Vec<i64> = values
            .zip(&rest[function])
            .map(|(value, &rest)| value.min(rest))
            .collect();
        for (rest, value) in rest[function].iter_mut().zip(&values) {
            *rest -= value;
        }
        let path = way
            .iter()
            .map(|&function| self.functions[function].name.clone());
        told.add("", path.collect(), &values);
        for (&called, costs) in &self.functions[function].calls {
            let costs: Vec<f64> = costs
                .iter()
                .zip(&shares)
                .map(|(&cost, share)| cost as f64 * share)
                .collect();
            self.share(called, &costs, &way, rest, told);
        }
    }
}

pub(super) fn read(bytes: &[u8]) -> Told {
    let graph = graph(std::str::from_utf8(bytes).expect("text"));
    let mut told = Told {
        kinds: graph.kinds.clone(),
        samples: Vec::new(),
    };
    let mut rest: Vec<Vec<i64>> = graph
        .functions
        .iter()
        .map(|function| function.own.clone())
        .collect();
    for function in 0..graph.functions.len() {
        let costs = graph.called_from_outside(function);
        graph.share(function, &costs, &[], &mut rest, &mut told);
    }
    for (function, rest) in graph.functions.iter().zip(rest) {
        told.add(
            "",
            vec!["[unknown]".to_owned(), function.name.clone()],
            &rest,
        );
    }
    told
}

/// What the table says of a function is what callgrind says itself, but for what is cut off: less than a hundredth.
#[test]
fn totals_are_those_of_the_calls() {
    let bytes = file("program.callgrind");
    let graph = graph(std::str::from_utf8(&bytes).expect("text"));
    let sums = super::sums(&read(&bytes), 0);
    assert_eq!(sums.total, graph.totals()[0]);
    for (at, function) in graph.functions.iter().enumerate() {
        let inclusive = graph.inclusive(at)[0];
        if inclusive * 10 > sums.total {
            let [own, total] = sums.functions[&function.name];
            assert_eq!(own, function.own[0], "{}", function.name);
            assert!(
                (total - inclusive).abs() * 100 <= inclusive,
                "{}: {total} is not {inclusive}",
                function.name
            );
        }
    }
}
