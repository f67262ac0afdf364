//! Profiles in the notation of folded stacks.

use perfwright_format::folded;
use perfwright_model::Profile;

/// A sample type's values as folded stacks.
pub(crate) fn folded(profile: &Profile, sample_type: usize) -> String {
    let mut options = folded::Options::default();
    options.sample_type = sample_type;
    text(profile, &options)
}

/// The same, each stack below its thread.
pub(crate) fn by_thread(profile: &Profile, sample_type: usize) -> String {
    let mut options = folded::Options::default();
    options.sample_type = sample_type;
    options.thread_root = true;
    text(profile, &options)
}

fn text(profile: &Profile, options: &folded::Options) -> String {
    let mut lines = Vec::new();
    folded::write_with(profile, options, &mut lines).unwrap();
    String::from_utf8(lines).unwrap()
}
