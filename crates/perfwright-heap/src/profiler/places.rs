//! Where in the program memory grows: the frame that has nearly all of a growth, through whatever it calls and
//! whoever calls it, and the fewest allocations besides.
//!
//! One stack is right for counting and too fine for judging growth. A text is written by a dozen functions, each of
//! which may be the one that makes its buffer grow, and the task that does so is polled by way of a dozen more; a
//! leak that is spread over all of these grows too little in each to be told from chance. A frame that they share
//! has all of it; so has whoever calls that, hence what each has besides decides.

use std::collections::HashMap;

use super::history::{Growth, History};
use super::render::Copy;
use super::sites::Amount;

/// How often a program that does not leak is suspected, at one look.
const FALSE_POSITIVE_RATE: f64 = 1e-3;
/// A frame that has so much of the growth of another, and less besides, says more.
const MOST_OF_GROWTH: f64 = 0.8;
/// Places named at most.
const MAX_PLACES: usize = 16;

/// The stacks that share a frame, and how they grow.
pub(crate) struct GrowingPlace {
    /// The row of the site among them that grew most of late.
    pub(crate) row: usize,
    pub(crate) in_use: Amount,
    pub(crate) growth: Growth,
}

/// A site, brought up to date.
struct Current {
    row: usize,
    in_use: Amount,
    history: History,
    /// A place that has it was found.
    is_claimed: bool,
}

/// A frame, by the sites that have it on their stack.
#[derive(Default)]
struct Candidate {
    sites: Vec<usize>,
    /// How far from the leaf it is, summed over the sites.
    depths: usize,
}

/// The places that grow, the fastest first.
pub(crate) fn growing(copy: &Copy) -> Vec<GrowingPlace> {
    let mut sites: Vec<Current> = Vec::new();
    // The first row is what found no room.
    for (row, site) in copy.sites.iter().enumerate().skip(1) {
        let mut history = site.history;
        history.advance(&copy.clock, site.in_use.fine_bytes());
        sites.push(Current {
            row,
            in_use: site.in_use,
            history,
            is_claimed: false,
        });
    }
    let candidates = candidates(copy, &sites);
    let rate = FALSE_POSITIVE_RATE / candidates.len().max(1) as f64;
    let mut places = Vec::new();
    while places.len() < MAX_PLACES {
        let grow: Vec<_> = candidates
            .iter()
            .filter_map(|candidate| {
                let history = joined(&sites, candidate);
                Some((
                    history.growth(&copy.clock, rate)?,
                    history.births(),
                    candidate,
                ))
            })
            .collect();
        let sureness = |growth: &Growth| growth.per_second / growth.per_second_error;
        let surest = grow
            .iter()
            .max_by(|(a, ..), (b, ..)| sureness(a).total_cmp(&sureness(b)));
        let Some((surest, ..)) = surest else {
            break;
        };
        // Whoever calls it grows as much, and by chance more steadily.
        let enough = surest.per_second * MOST_OF_GROWTH;
        let least_besides = grow
            .iter()
            .filter(|(growth, ..)| growth.per_second >= enough)
            .min_by_key(|(_, births, candidate)| (*births, candidate.depths));
        let Some(&(growth, _, place)) = least_besides else {
            break;
        };
        places.extend(claim(copy, &mut sites, place, growth));
    }
    places.sort_by(|a, b| b.growth.per_second.total_cmp(&a.growth.per_second));
    places
}

/// The frames. Of those that are on the same stacks the one nearest to the leaf, as it says more.
fn candidates(copy: &Copy, sites: &[Current]) -> Vec<Candidate> {
    let mut frames: HashMap<u64, Candidate> = HashMap::new();
    for (index, site) in sites.iter().enumerate() {
        for (depth, &address) in copy.sites[site.row].stack().iter().enumerate() {
            let frame = frames.entry(address).or_default();
            // Of a recursive function the innermost call.
            if frame.sites.last() != Some(&index) {
                frame.sites.push(index);
                frame.depths += depth;
            }
        }
    }
    let mut distinct: HashMap<Vec<usize>, Candidate> = HashMap::new();
    for (_, frame) in frames {
        match distinct.get_mut(&frame.sites) {
            Some(known) if known.depths <= frame.depths => {}
            Some(known) => *known = frame,
            None => {
                distinct.insert(frame.sites.clone(), frame);
            }
        }
    }
    distinct.into_values().collect()
}

fn joined(sites: &[Current], candidate: &Candidate) -> History {
    let mut history = History::default();
    for &index in &candidate.sites {
        if !sites[index].is_claimed {
            history.join(&sites[index].history);
        }
    }
    history
}

fn claim(
    copy: &Copy,
    sites: &mut [Current],
    candidate: &Candidate,
    growth: Growth,
) -> Option<GrowingPlace> {
    let mut in_use = Amount::default();
    let mut most: Option<(i64, usize)> = None;
    for &index in &candidate.sites {
        let site = &mut sites[index];
        if site.is_claimed {
            continue;
        }
        site.is_claimed = true;
        in_use.add(site.in_use);
        most = most.max(Some((site.history.late_gain(&copy.clock), site.row)));
    }
    most.map(|(_, row)| GrowingPlace {
        row,
        in_use,
        growth,
    })
}
