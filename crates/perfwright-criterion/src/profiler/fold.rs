//! A bench's profile without the frames of what runs it.
//!
//! ```text
//! _start;main;lang_start;...;criterion::...::bench;Bencher::iter;hot::parse::{closure};parse      hot::parse::{closure};parse
//! _start;main;lang_start;...;criterion::...::bench;Bencher::iter                            =>    [bench loop]
//! _start;main;lang_start;...;criterion::...::bench;hot::parse;read                                [bench setup];hot::parse;read
//! _start;main;lang_start;...;criterion::...::bench                                                [harness]
//! clone3;start_thread;...;worker;task                                                             (as it is)
//! ```

use std::collections::HashMap;

use perfwright_analyze::crate_of;
use perfwright_model::{Frame, FunctionId, Importer, Location, LocationId, Profile, StackId};

const LOOP: &str = "[bench loop]";
const SETUP: &str = "[bench setup]";
const HARNESS: &str = "[harness]";

/// What is measured runs inside a function of this name.
const MEASURED: &str = "perfwright_gate_collected";

/// The same samples, each with what is left of its stack.
pub(super) fn fold(profile: &Profile) -> Profile {
    let mut folded = Profile::new(profile.sample_types().to_vec());
    folded.meta = profile.meta.clone();
    folded
        .meta
        .comments
        .push("perfwright-criterion: frames of the harness are folded".into());
    let mut folder = Folder {
        profile,
        importer: Importer::new(profile),
        kinds: vec![None; profile.functions().len()],
        stacks: HashMap::new(),
    };
    for sample in profile.samples() {
        let stack = folder.stack(&mut folded, sample.stack);
        let labels = folder.importer.labels(&mut folded, sample.labels);
        folded.push_sample_at(stack, labels, sample.values, sample.time_nanos);
    }
    folded
}

/// Whose a function is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    /// Everything that is no harness.
    Other,
    Harness,
    /// A loop of criterion's that calls the routine.
    Loop,
    /// Ours around what is measured.
    Measured,
    /// How the compiler calls a closure: the harness's, if the harness calls.
    Glue,
    /// A closure that was inlined, without a path, as line tables alone name it: if the harness calls it, the routine.
    /// It says nothing but where it calls something.
    Closure,
}

impl Kind {
    fn of(name: &str) -> Kind {
        match crate_of(name) {
            _ if name.contains(MEASURED) => Kind::Measured,
            // It is called by the benched code.
            Some("criterion") if name.contains("black_box") => Kind::Other,
            Some("criterion") if name.contains("::bencher::") => Kind::Loop,
            Some("criterion" | "perfwright_criterion") => Kind::Harness,
            _ if name.contains("core::ops::function::Fn") => Kind::Glue,
            _ if name.starts_with("{closure") => Kind::Closure,
            _ => Kind::Other,
        }
    }
}

struct Folder<'a> {
    profile: &'a Profile,
    importer: Importer<'a>,
    kinds: Vec<Option<Kind>>,
    stacks: HashMap<StackId, StackId>,
}

/// The innermost frame of the harness in a stack.
struct Cut {
    /// Its location's place.
    place: usize,
    /// Its place among the location's frames, which begin with the innermost.
    frame: usize,
    /// Whether what it calls is the bench.
    is_bench: bool,
}

impl Folder<'_> {
    fn stack(&mut self, folded: &mut Profile, stack: StackId) -> StackId {
        if let Some(&known) = self.stacks.get(&stack) {
            return known;
        }
        let made = self.make(folded, stack);
        self.stacks.insert(stack, made);
        made
    }

    fn make(&mut self, folded: &mut Profile, stack: StackId) -> StackId {
        let mut locations: Vec<LocationId> = self.profile.stack(stack).collect();
        locations.reverse();
        let Some(Cut {
            place,
            frame,
            is_bench,
        }) = self.cut(&locations)
        else {
            return self.importer.stack(folded, stack);
        };
        let is_empty = frame == 0 && place + 1 == locations.len();
        let prefix = match (is_bench, is_empty) {
            (true, true) => Some(LOOP),
            (true, false) => None,
            (false, true) => Some(HARNESS),
            (false, false) => Some(SETUP),
        };
        let root = prefix.map_or(StackId::ROOT, |name| {
            let location = folded.frame_location(name);
            folded.push_stack(StackId::ROOT, location)
        });
        let inlined = self.inner_frames(folded, locations[place], frame);
        let rest = (locations[place + 1..].iter())
            .map(|&location| self.importer.location(folded, location))
            .collect::<Vec<_>>();
        let left = inlined.into_iter().chain(rest);
        left.fold(root, |parent, location| folded.push_stack(parent, location))
    }

    /// Where the harness ends in a stack, the outermost location first.
    fn cut(&mut self, locations: &[LocationId]) -> Option<Cut> {
        let (mut innermost, mut is_measured) = (None::<(usize, usize, Kind)>, false);
        let mut in_harness = false;
        for (place, &location) in locations.iter().enumerate() {
            for (frame, kind) in self.kinds_of(location).into_iter().enumerate().rev() {
                is_measured |= kind == Kind::Measured;
                let caller = innermost.filter(|_| in_harness).map(|(.., caller)| caller);
                let of = match kind {
                    Kind::Other => None,
                    Kind::Glue => caller,
                    Kind::Closure if frame > 0 || place + 1 < locations.len() => caller,
                    Kind::Closure => None,
                    kind => Some(kind),
                };
                in_harness = of.is_some();
                innermost = of.map(|kind| (place, frame, kind)).or(innermost);
            }
        }
        innermost.map(|(place, frame, kind)| Cut {
            place,
            frame,
            is_bench: is_measured || kind == Kind::Loop,
        })
    }

    fn kinds_of(&mut self, location: LocationId) -> Vec<Kind> {
        let frames = self.profile.frames(location);
        frames
            .iter()
            .map(|frame| self.kind(frame.function))
            .collect()
    }

    fn kind(&mut self, function: FunctionId) -> Kind {
        let profile = self.profile;
        *self.kinds[function.index()]
            .get_or_insert_with(|| Kind::of(profile.function_name(function)))
    }

    /// What was inlined into the frame at this place of a location. It loses the address, which stands for all of
    /// them.
    fn inner_frames(
        &mut self,
        folded: &mut Profile,
        location: LocationId,
        frame: usize,
    ) -> Option<LocationId> {
        let inner = &self.profile.frames(location)[..frame];
        let frames: Vec<Frame> = inner
            .iter()
            .map(|frame| Frame {
                function: self.importer.function(folded, frame.function),
                ..*frame
            })
            .collect();
        (!frames.is_empty()).then(|| folded.add_location(Location::default(), &frames))
    }
}

#[cfg(test)]
mod tests {
    use perfwright_format::folded;
    use perfwright_model::{LabelSetId, SampleType};

    use super::*;

    /// One sample of the stack, outermost first; `+` is inlined into what stands before it.
    fn check(stack: &str, expected: &str) {
        let mut profile = Profile::new([SampleType::new("cpu", "nanoseconds")]);
        let mut at = StackId::ROOT;
        for physical in stack.split(';') {
            let frames: Vec<Frame> = physical
                .split('+')
                .rev()
                .map(|name| {
                    let name = profile.intern(name);
                    let function = perfwright_model::Function::named(name);
                    Frame {
                        function: profile.add_function(function),
                        line: None,
                        column: None,
                    }
                })
                .collect();
            let location = profile.add_location(Location::default(), &frames);
            at = profile.push_stack(at, location);
        }
        profile.push_sample(at, LabelSetId::EMPTY, &[7]);
        let mut out = Vec::new();
        folded::write(&fold(&profile), 0, &mut out).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), format!("{expected} 7\n"));
    }

    #[test]
    fn what_runs_a_bench_is_folded_away() {
        let run = "_start;main;std::rt::lang_start;criterion::routine::Function<M,F,T>::bench";
        let plain = format!("{run};hot::parse;criterion::bencher::Bencher<M>::iter");
        check(
            &format!("{plain};hot::parse::{{closure}};parse"),
            "hot::parse::{closure};parse",
        );
        check(
            &format!("{plain}+hot::parse::{{closure}}+parse"),
            "hot::parse::{closure};parse",
        );
        check(
            &format!("{plain};criterion::black_box"),
            "criterion::black_box",
        );
        check(&plain, "[bench loop]");
        let glue = "<&mut F as core::ops::function::FnMut<A>>::call_mut";
        check(
            &format!("{plain};{glue};{glue};hot::parse;{glue};parse"),
            &format!("hot::parse;{glue};parse"),
        );
        check(&format!("{plain};{glue}"), "[bench loop]");
        check(run, "[harness]");
        check(
            &format!("{run};hot::parse;read"),
            "[bench setup];hot::parse;read",
        );
    }

    #[test]
    fn our_loops_tell_setup_from_what_is_measured() {
        let ours = "main;criterion::bencher::Bencher<M>::iter_custom;perfwright_criterion::counted::CountedBencher<M>::batches::{closure}";
        let measured = "perfwright_criterion::suite::clocks::perfwright_gate_collected";
        let inner = "perfwright_criterion::counted::CountedBencher<M>::iter::{closure}";
        check(
            &format!("{ours};{measured};{inner};hot::sort;sort"),
            "hot::sort;sort",
        );
        check(&format!("{ours};{measured};{inner}"), "[bench loop]");
        check(
            &format!("{ours};hot::numbers"),
            "[bench setup];hot::numbers",
        );
        let block_on = "<perfwright_criterion::tokio::Tokio as criterion::async_executor::AsyncExecutor>::block_on";
        check(
            &format!(
                "{ours};{measured};{inner};{block_on};tokio::block_on;perfwright_criterion::counted::{{closure}};hot::get"
            ),
            "hot::get",
        );
        check(
            &format!("{ours};{measured};{inner};{block_on};tokio::park"),
            "tokio::park",
        );
    }

    #[test]
    fn other_threads_stay_as_they_are() {
        check(
            "clone3;start_thread;tokio::worker;hot::task",
            "clone3;start_thread;tokio::worker;hot::task",
        );
        check("[kernel or lost]", "[kernel or lost]");
    }
}
