//! Addresses of this very program become stacks; context words become labels.

use perfwright_context::{NodeId, Word, child};
use perfwright_model::{LabelValue, Profile, SampleType};

#[test]
fn the_innermost_of_several_labels_counts_and_spans_keep_their_path() {
    let outer = child(NodeId::ROOT, "span", "request");
    let tenant = child(outer, "tenant", "acme");
    let inner = child(tenant, "span", "query");
    let mut profile = Profile::new([SampleType::new("samples", "count")]);
    let labels = perfwright_record::context_labels(&mut profile, Word::new(inner), false);
    let named: Vec<(&str, &str)> = labels
        .iter()
        .map(|label| match label.value {
            LabelValue::Str(value) => (profile.string(label.key), profile.string(value)),
            LabelValue::Num { .. } => panic!("no number was set"),
        })
        .collect();
    assert_eq!(
        named,
        [
            ("span path", "request > query"),
            ("tenant", "acme"),
            ("span", "query")
        ]
    );
    assert!(perfwright_record::context_labels(&mut profile, Word::EMPTY, true).is_empty());
}

#[cfg(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
))]
mod linux {
    use super::*;
    use perfwright_record::StackTable;
    use perfwright_stack::Image;

    fn here() -> u64 {
        here as fn() -> u64 as usize as u64
    }

    #[test]
    fn equal_stacks_are_one_and_callers_point_at_their_calls() {
        let image = Image::load().unwrap();
        let mut profile = Profile::new([SampleType::new("samples", "count")]);
        let mut table = StackTable::new();
        let leaf = here();
        let addresses = [leaf + 4, leaf + 40, leaf + 40];
        let stack = table.intern(&mut profile, &addresses, &image);
        assert_eq!(table.intern(&mut profile, &addresses, &image), stack);
        assert_eq!(table.get(&addresses), Some(stack));
        assert_eq!(table.get(&addresses[1..]), None);
        assert_eq!(table.len(), 1);
        let found: Vec<u64> = profile
            .stack(stack)
            .map(|id| profile.location(id).address.unwrap().get())
            .collect();
        // The interrupted address is itself, a return address is one less: inside the call.
        assert_eq!(found, [leaf + 4, leaf + 39, leaf + 39]);
        let location = profile.location(profile.stack(stack).next().unwrap());
        let mapping = profile.mapping(location.mapping.unwrap());
        let exe = std::env::current_exe().unwrap();
        assert_eq!(profile.string(mapping.filename), exe.to_str().unwrap());
        assert!((mapping.start..mapping.limit).contains(&leaf));
    }

    #[test]
    fn null_is_named_and_forgetting_keeps_the_profile() {
        let image = Image::load().unwrap();
        let mut profile = Profile::new([SampleType::new("samples", "count")]);
        let mut table = StackTable::new();
        let stack = table.intern(&mut profile, &[0], &image);
        let location = profile.stack(stack).next().unwrap();
        let name = profile.function_name(profile.frames(location)[0].function);
        assert_eq!(name, "[null]");
        table.forget();
        assert!(table.is_empty());
        assert_eq!(
            table.intern(&mut profile, &[0], &image),
            stack,
            "the tree is the profile's"
        );
    }
}
