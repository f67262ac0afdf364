//! The function table: which rows, in which order.

use perfwright_analyze::Symbol;

use perfwright_model::sort_ids;

use super::{change::Wholes, search::Found, state::Column, sums::Sums};

/// The symbols in the order of a column, without those that have no cost.
pub(crate) fn order(
    symbols: &[Symbol],
    sums: &Sums,
    wholes: Option<&Wholes>,
    column: Column,
    reversed: bool,
) -> Vec<u32> {
    let has_cost = |&symbol: &u32| {
        let sum = sums.of(symbol as usize);
        (sum.self_values, sum.total_values) != Default::default()
            && !symbols[symbol as usize].is_label
    };
    let mut rows: Vec<u32> = (1..sums.len() as u32).filter(has_cost).collect();
    let name = |symbol: u32| &*symbols[symbol as usize].name;
    let by_name = |a: u32, b: u32| name(a).cmp(name(b));
    if column == Column::Name {
        sort_ids(&mut rows, &by_name);
    } else {
        let weights: Vec<[f64; 2]> = (0..sums.len() as u32)
            .map(|symbol| weight(sums, wholes, column, symbol))
            .collect();
        sort_ids(&mut rows, &|a, b| {
            let ([a_first, a_second], [b_first, b_second]) =
                (weights[a as usize], weights[b as usize]);
            let by_weight = b_first.total_cmp(&a_first);
            by_weight
                .then(b_second.total_cmp(&a_second))
                .then_with(|| by_name(a, b))
        });
    }
    if reversed {
        rows.reverse();
    }
    rows
}

/// What a row is sorted by, and what equals are sorted by.
fn weight(sums: &Sums, wholes: Option<&Wholes>, column: Column, symbol: u32) -> [f64; 2] {
    let sum = sums.of(symbol as usize);
    let own = sum.self_values[1] as f64;
    let total = sum.total_values[1] as f64;
    let change = |values| wholes.map_or(0.0, |wholes| wholes.change(values).absolute().abs());
    match column {
        Column::Name => [0.0; 2],
        Column::SelfValue => [own, total],
        Column::Total => [total, own],
        Column::SelfChange => [change(sum.self_values), change(sum.total_values)],
        Column::TotalChange => [change(sum.total_values), change(sum.self_values)],
    }
}

/// The rows that a search found.
pub(crate) fn only_found(rows: &[u32], found: &Found) -> Vec<u32> {
    let is_found = |symbol: &&u32| found.has(**symbol as usize);
    rows.iter().filter(is_found).copied().collect()
}
