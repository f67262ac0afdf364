//! Sites of one place in the program, together: what one stack is for counting, is too fine for judging growth.
//!
//! An async task is polled by way of a dozen stacks that differ far from the leaf only, and so is whatever is
//! called from several. A leak that is spread over them grows too little in each to be told from chance.

use std::collections::HashMap;

use super::history::{Growth, History};
use super::render::Copy;
use super::sites::Amount;

/// So many frames from the leaf make a place: beyond the collections' and the encoder's into the program's own.
const FRAMES: usize = 12;

/// Sites that share their innermost frames, and how they grow.
pub(crate) struct GrowingPlace {
    /// The row of the site among them that has most in use.
    pub(crate) row: usize,
    pub(crate) in_use: Amount,
    pub(crate) growth: Growth,
}

struct Place {
    row: usize,
    most: u64,
    in_use: Amount,
    history: History,
}

/// The places that grow, the fastest first.
pub(crate) fn growing(copy: &Copy) -> Vec<GrowingPlace> {
    let mut places: HashMap<&[u64], Place> = HashMap::new();
    // The first row is what found no room.
    for (row, site) in copy.sites.iter().enumerate().skip(1) {
        let bytes = site.in_use.fine_bytes();
        let mut history = site.history;
        history.advance(&copy.clock, bytes);
        let stack = site.stack();
        let place = places
            .entry(&stack[..stack.len().min(FRAMES)])
            .or_insert_with(|| Place {
                row,
                most: 0,
                in_use: Amount::default(),
                history: History::default(),
            });
        if bytes > place.most {
            (place.row, place.most) = (row, bytes);
        }
        place.in_use.add(site.in_use);
        place.history.join(&history);
    }
    let mut growing: Vec<GrowingPlace> = places
        .into_values()
        .filter_map(|place| {
            Some(GrowingPlace {
                row: place.row,
                in_use: place.in_use,
                growth: place.history.growth(&copy.clock)?,
            })
        })
        .collect();
    growing.sort_by(|a, b| b.growth.per_second.total_cmp(&a.growth.per_second));
    growing
}
