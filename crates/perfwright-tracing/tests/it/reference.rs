//! Random lives of spans on two threads, beside a slow model that keeps every moment and counts afterwards.

use std::sync::mpsc;
use std::thread;

use proptest::prelude::*;
use tracing::{Span, dispatcher, info_span};

use crate::Rig;

const SPANS: usize = 5;

#[derive(Clone, Debug)]
enum Op {
    /// Create a span: below what the thread is in, below nothing, or below another.
    New(usize, Below),
    Enter(usize),
    Exit(usize),
    Clone(usize),
    Drop(usize),
    Pass(u64),
}

#[derive(Clone, Copy, Debug)]
enum Below {
    Current,
    Nothing,
    Span(usize),
}

fn op() -> impl Strategy<Value = (usize, Op)> {
    let span = 0..SPANS;
    let below = prop_oneof![
        3 => Just(Below::Current),
        1 => Just(Below::Nothing),
        2 => (0..SPANS).prop_map(Below::Span),
    ];
    let op = prop_oneof![
        3 => (span.clone(), below).prop_map(|(span, below)| Op::New(span, below)),
        6 => span.clone().prop_map(Op::Enter),
        6 => span.clone().prop_map(Op::Exit),
        1 => span.clone().prop_map(Op::Clone),
        3 => span.prop_map(Op::Drop),
        8 => (1..50_u64).prop_map(Op::Pass),
    ];
    (0..2_usize, op)
}

/// What a span was while some time passed.
struct Moment {
    length: u64,
    /// On how many threads it is entered, and on how many nothing was entered after it.
    busy: u64,
    innermost: u64,
    has_child: bool,
}

#[derive(Default)]
struct Model {
    parent: Option<usize>,
    path: String,
    refs: usize,
    children: usize,
    is_open: bool,
    was_made: bool,
    polls: u64,
    last_thread: usize,
    moments: Vec<Moment>,
    /// How many moments there were at the last exit from the last thread.
    left: usize,
}

#[derive(Default)]
struct World {
    spans: [Model; SPANS],
    /// The enters of each thread.
    entered: [Vec<usize>; 2],
    last_exit: [Option<usize>; 2],
    /// What the layer should say of each path.
    expected: Vec<(String, String)>,
}

impl World {
    fn is_entered(&self, span: usize) -> bool {
        self.entered.iter().any(|list| list.contains(&span))
    }

    /// What `tracing` calls the current span: entering again what is entered does not change it.
    fn current(&self, thread: usize) -> Option<usize> {
        let list = &self.entered[thread];
        let first = |&at: &usize| !list[..at].contains(&list[at]);
        (0..list.len()).rev().find(first).map(|at| list[at])
    }

    fn pass(&mut self, length: u64) {
        for at in 0..SPANS {
            let count = |is: &dyn Fn(&Vec<usize>) -> bool| {
                self.entered.iter().filter(|list| is(list)).count() as u64
            };
            let moment = Moment {
                length,
                busy: count(&|list| list.contains(&at)),
                innermost: count(&|list| list.last() == Some(&at)),
                has_child: self.spans[at].children > 0,
            };
            if self.spans[at].is_open {
                self.spans[at].moments.push(moment);
            }
        }
    }

    fn exit(&mut self, thread: usize, span: usize) {
        let Some(at) = self.entered[thread]
            .iter()
            .rposition(|&other| other == span)
        else {
            return;
        };
        self.entered[thread].remove(at);
        self.last_exit[thread] = Some(span);
        let model = &mut self.spans[span];
        if !self.entered[thread].contains(&span) {
            model.polls += 1;
            model.last_thread = thread;
        }
        model.left = model.moments.len();
    }

    /// Drops a reference; closes the span, and then perhaps its parent.
    fn release(&mut self, thread: usize, span: usize) {
        self.spans[span].refs -= 1;
        let mut closing = Some(span);
        while let Some(at) =
            closing.filter(|&at| self.spans[at].refs == 0 && self.spans[at].children == 0)
        {
            let is_dropped =
                self.last_exit[thread] == Some(at) && self.spans[at].last_thread == thread;
            let model = &mut self.spans[at];
            model.is_open = false;
            let told = (model.path.clone(), model.told(is_dropped));
            closing = model.parent;
            self.expected.push(told);
            if let Some(parent) = closing {
                self.spans[parent].children -= 1;
            }
        }
    }
}

impl Model {
    fn told(&self, is_dropped: bool) -> String {
        let end = if self.polls == 0 {
            self.moments.len()
        } else {
            self.left
        };
        let (life, held) = self.moments.split_at(end);
        let sum = |of: &dyn Fn(&Moment) -> u64| {
            life.iter()
                .map(|moment| of(moment) * moment.length)
                .sum::<u64>()
        };
        let idle = |moment: &Moment| u64::from(moment.busy == 0);
        format!(
            "1x: total {} = busy {} (self {}) + idle {} (self {}), held {}, {} polls",
            sum(&|_| 1),
            sum(&|moment| moment.busy),
            sum(&|moment| moment.innermost),
            sum(&idle),
            sum(&|moment| idle(moment) * u64::from(!moment.has_child)),
            held.iter().map(|moment| moment.length).sum::<u64>(),
            self.polls - u64::from(is_dropped && self.polls > 1),
        )
    }
}

/// The spans that are referred to, and how the two threads do what they are told.
struct Hands<'a> {
    rig: &'a Rig,
    handles: [Vec<Span>; SPANS],
    threads: Vec<mpsc::Sender<Job<'a>>>,
    done: mpsc::Receiver<()>,
}

type Job<'a> = Box<dyn FnOnce() + Send + 'a>;

impl<'a> Hands<'a> {
    fn on(&self, thread: usize, job: impl FnOnce() + Send + 'a) {
        self.threads[thread]
            .send(Box::new(job))
            .expect("the thread lives");
        self.done.recv().expect("the thread answers");
    }

    fn make(&mut self, thread: usize, span: usize, below: Below) {
        let (send, receive) = mpsc::channel();
        let parent = match below {
            Below::Span(parent) => Some(self.handles[parent][0].clone()),
            _ => None,
        };
        self.on(thread, move || {
            macro_rules! named {
                ($($name:literal),*) => {
                    [$(|below, parent: Option<&Span>| match (below, parent) {
                        (Below::Current, _) => info_span!($name),
                        (_, Some(parent)) => info_span!(parent: parent, $name),
                        _ => info_span!(parent: None, $name),
                    }),*]
                };
            }
            let makers: [fn(Below, Option<&Span>) -> Span; SPANS] =
                named!("s0", "s1", "s2", "s3", "s4");
            send.send(makers[span](below, parent.as_ref()))
                .expect("somebody listens");
        });
        self.handles[span].push(receive.recv().expect("a span"));
    }

    fn act(&self, thread: usize, span: usize, enter: bool) {
        let handle = self.handles[span][0].clone();
        let (send, receive) = mpsc::channel();
        self.on(thread, move || {
            handle.with_subscriber(|(id, dispatch)| {
                if enter {
                    dispatch.enter(id)
                } else {
                    dispatch.exit(id)
                }
            });
            send.send(handle).expect("somebody listens");
        });
        drop(receive.recv());
    }

    fn drop_one(&mut self, thread: usize, span: usize) {
        let handle = self.handles[span].pop();
        self.on(thread, move || drop(handle));
    }
}

fn step(world: &mut World, hands: &mut Hands<'_>, thread: usize, op: &Op) {
    match *op {
        Op::New(at, below) => {
            let parent = match below {
                Below::Current => world.current(thread),
                Below::Nothing => None,
                Below::Span(parent) if parent != at && world.spans[parent].refs > 0 => Some(parent),
                Below::Span(_) => return,
            };
            if world.spans[at].was_made {
                return;
            }
            hands.make(thread, at, below);
            world.last_exit[thread] = None;
            if let Some(parent) = parent {
                world.spans[parent].children += 1;
            }
            let above = parent.map_or(String::new(), |parent| {
                format!("{};", world.spans[parent].path)
            });
            world.spans[at] = Model {
                parent,
                path: format!("{above}s{at}"),
                refs: 1,
                is_open: true,
                was_made: true,
                ..Model::default()
            };
        }
        Op::Enter(at) if world.spans[at].refs > 0 => {
            hands.act(thread, at, true);
            world.entered[thread].push(at);
            world.last_exit[thread] = None;
        }
        Op::Exit(at) if world.spans[at].refs > 0 => {
            hands.act(thread, at, false);
            world.exit(thread, at);
        }
        Op::Clone(at) if world.spans[at].refs > 0 => {
            let clone = hands.handles[at][0].clone();
            hands.handles[at].push(clone);
            world.spans[at].refs += 1;
        }
        Op::Drop(at)
            if world.spans[at].refs > 1 || (world.spans[at].refs == 1 && !world.is_entered(at)) =>
        {
            hands.drop_one(thread, at);
            world.release(thread, at);
        }
        Op::Pass(nanos) => {
            hands.rig.pass(nanos);
            world.pass(nanos);
        }
        _ => {}
    }
}

fn check(ops: &[(usize, Op)]) {
    let rig = Rig::new();
    let mut world = World::default();
    thread::scope(|scope| {
        let (tell, done) = mpsc::channel();
        let threads = (0..2).map(|_| {
            let (send, receive) = mpsc::channel::<Job<'_>>();
            let (tell, dispatch) = (tell.clone(), rig.dispatch.clone());
            scope.spawn(move || {
                let _default = dispatcher::set_default(&dispatch);
                for job in receive {
                    job();
                    tell.send(()).expect("somebody waits");
                }
            });
            send
        });
        let mut hands = Hands {
            rig: &rig,
            handles: Default::default(),
            threads: threads.collect(),
            done,
        };
        for (thread, op) in ops {
            step(&mut world, &mut hands, *thread, op);
        }
        // To the end: all exits, then all references.
        for thread in 0..2 {
            while let Some(&at) = world.entered[thread].last() {
                step(&mut world, &mut hands, thread, &Op::Exit(at));
            }
        }
        step(&mut world, &mut hands, 0, &Op::Pass(1));
        for at in 0..SPANS {
            while world.spans[at].refs > 0 {
                step(&mut world, &mut hands, 1, &Op::Drop(at));
            }
        }
    });
    let snapshot = rig.spans.snapshot();
    assert_eq!(
        (snapshot.audit.open, snapshot.audit.spans),
        (0, world.expected.len() as u64)
    );
    for (path, expected) in &world.expected {
        assert_eq!(
            &crate::times(&crate::stats(&snapshot, path)),
            expected,
            "{path}"
        );
    }
    // Every request is whole.
    let requests = rig.spans.slowest();
    assert_eq!(
        requests
            .iter()
            .map(|request| request.spans.len())
            .sum::<usize>(),
        world.expected.len()
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn any_order_of_events_adds_up(ops in prop::collection::vec(op(), 1..80)) {
        check(&ops);
    }
}
