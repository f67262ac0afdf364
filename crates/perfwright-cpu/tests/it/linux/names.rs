//! Reads a capture in the domain's notation, with the test program's own idea of which address is which function.

use std::collections::HashMap;

use perfwright_cpu::Capture;
use perfwright_model::{Profile, SampleRef};

/// The name of the function at an address of this process (not of what is inlined there).
pub(crate) fn name_at(avma: u64) -> String {
    let mut name = String::new();
    // Innermost first: the last is the function itself.
    backtrace::resolve(std::ptr::without_provenance_mut(avma as usize), |symbol| {
        name = symbol
            .name()
            .map_or_else(String::new, |name| name.to_string());
    });
    name
}

pub(crate) struct Named<'a> {
    profile: &'a Profile,
    names: HashMap<u64, String>,
}

impl<'a> Named<'a> {
    pub(crate) fn new(capture: &'a Capture) -> Named<'a> {
        let profile = &capture.profile;
        let addresses = profile
            .locations()
            .filter_map(|location| Some(location.address?.get()));
        Named {
            profile,
            names: addresses.map(|avma| (avma, name_at(avma))).collect(),
        }
    }

    /// Names from leaf to root; pseudo leaves by their frame.
    pub(crate) fn stack(&self, sample: &SampleRef<'_>) -> Vec<String> {
        self.profile
            .stack(sample.stack)
            .map(|id| self.location(id))
            .collect()
    }

    fn location(&self, id: perfwright_model::LocationId) -> String {
        match (
            self.profile.location(id).address,
            self.profile.frames(id).first(),
        ) {
            (_, Some(frame)) => self.profile.function_name(frame.function).to_string(),
            (Some(avma), None) => self.names[&avma.get()].clone(),
            (None, None) => String::new(),
        }
    }

    /// Nanoseconds of the samples whose stack `wanted` accepts.
    pub(crate) fn sum(&self, wanted: impl Fn(&[String]) -> bool) -> u64 {
        let samples = self.profile.samples();
        let picked = samples.filter(|sample| wanted(&self.stack(sample)));
        picked.map(|sample| sample.values[1] as u64).sum()
    }
}

/// Whether a function with this in its name is on the stack.
pub(crate) fn has(stack: &[String], name: &str) -> bool {
    stack.iter().any(|frame| frame.contains(name))
}
