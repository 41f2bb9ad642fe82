//! Random programs, and smaller ones of those that fail.

use super::cleanup_polls;
use crate::log::Cause;
use crate::program::{Body, Limits, Name, Policy, Region, Request, Settle, Step, Task};
use std::time::Duration;

const TASKS: [Name; 16] =
    ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m", "n", "o", "p"];
const REGIONS: [Name; 8] = ["r0", "r1", "r2", "r3", "r4", "r5", "r6", "r7"];

/// What programs are made of.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// Steps in all, about: rarely more than twice as many.
    pub steps: usize,
    /// Whether steps wait for the clock.
    pub timed: bool,
}

/// SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014).
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// A stream of its own for every seed.
    #[must_use]
    pub fn new(seed: u64) -> Random {
        Random(seed)
    }

    /// The next number.
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`, which is not 0. (The bias is below 2^-50 for bounds as small as ours.)
    pub fn below(&mut self, bound: usize) -> usize {
        (self.number() % bound as u64) as usize
    }

    fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }
}

/// A random program's main body. No two tasks or regions of it share a name, as long as names last.
pub fn program(random: &mut Random, shape: Shape) -> Body {
    let steps = 1 + random.below(shape.steps) + random.below(shape.steps);
    let mut maker = Maker { random, timed: shape.timed, left: steps, tasks: 0, regions: 0 };
    let mut main = Vec::new();
    // Most of what there is to see happens inside regions.
    if !maker.random.one_in(8) {
        main.push(maker.region(0));
    }
    while maker.left > 0 {
        let more = maker.body(Place::default());
        main.extend(more);
    }
    main
}

#[derive(Clone, Copy, Default)]
struct Place {
    depth: usize,
    in_region: bool,
    in_finalizer: bool,
    masked: bool,
}

impl Place {
    fn inside(self) -> Place {
        Place { depth: self.depth + 1, ..self }
    }
}

struct Maker<'a> {
    random: &'a mut Random,
    timed: bool,
    left: usize,
    tasks: usize,
    regions: usize,
}

impl Maker<'_> {
    fn body(&mut self, place: Place) -> Body {
        let most = 1 + self.random.below(4);
        let mut body = Vec::new();
        while body.len() < most && self.left > 0 {
            self.left -= 1;
            let step = self.step(place);
            let is_last = matches!(step, Step::Fail(_) | Step::Panic(_) | Step::Foreign);
            body.push(step);
            if is_last {
                break;
            }
        }
        body
    }

    fn step(&mut self, place: Place) -> Step {
        let deep = place.depth >= 4;
        loop {
            return match self.random.below(47) {
                0..=7 if !deep && !place.in_finalizer => self.spawn(place),
                8..=10 if !deep && !place.in_finalizer => self.region(place.depth),
                11..=13 => Step::Yield,
                14..=16 if self.timed => Step::Sleep(self.duration(place)),
                17..=20 => Step::Join(self.some_task()),
                21..=24 => Step::Cancel(self.some_task(), self.request()),
                25 if place.in_region => Step::CancelRegion(self.request()),
                26 if !deep => Step::Masked(self.body(Place { masked: true, ..place.inside() })),
                27 if !deep => {
                    let body = self.body(place.inside());
                    let cleanup = self.body(Place { masked: true, ..place.inside() });
                    Step::OnCancel(body, cleanup)
                }
                28..=29 if place.in_region => {
                    let depth = place.depth + 1;
                    Step::Defer(self.body(Place {
                        depth,
                        in_region: false,
                        in_finalizer: true,
                        masked: true,
                    }))
                }
                30..=31 if self.timed && !deep => {
                    let limit = self.duration(Place::default());
                    let mut body = self.body(place.inside());
                    // What is waited for is there when the limit passes.
                    if self.random.one_in(3) {
                        body.insert(0, Step::Sleep(limit));
                    }
                    Step::Timeout(limit, body)
                }
                32 => Step::Charge(self.random.below(4) as u64),
                33..=34 if !deep => {
                    let settle = self.settle();
                    Step::Permit(self.body(place.inside()), settle)
                }
                35..=36 if !deep => {
                    let settle = self.settle();
                    Step::Duty(self.body(place.inside()), settle)
                }
                37 => Step::Fail("failed"),
                38 if self.random.one_in(2) => Step::Panic("panicked"),
                39 if !place.masked && self.random.one_in(3) => Step::Foreign,
                40 => Step::Linger(self.random.below(4) as u32),
                41 => Step::Reason,
                42 => Step::Note("here"),
                43 if self.timed => stubborn(self.duration(Place { masked: true, ..place })),
                44 if self.timed && !deep => self.told_too_late(place.depth),
                45 if self.random.one_in(10) && !deep && !place.in_finalizer => {
                    self.outlives_its_polls()
                }
                46 if self.random.one_in(3) && !deep && !place.in_finalizer => {
                    self.joined_too_late(place)
                }
                _ => continue,
            };
        }
    }

    fn spawn(&mut self, place: Place) -> Step {
        let name = self.task_name();
        let limits = if place.in_region { self.limits() } else { Limits::default() };
        let inside = Place { depth: place.depth + 1, ..Place::default() };
        Step::Spawn(Task { name, limits, body: self.body(inside) })
    }

    fn region(&mut self, depth: usize) -> Step {
        let name = REGIONS[self.regions % REGIONS.len()];
        self.regions += 1;
        let policy = if self.random.one_in(3) { Policy::CollectAll } else { Policy::FailFast };
        let limits = self.limits();
        let place = Place { depth: depth + 1, in_region: true, ..Place::default() };
        let mut body = self.body(place);
        if self.random.one_in(2) {
            body.extend(self.body(place));
        }
        Step::Region(Region { name, policy, limits, body })
    }

    fn limits(&mut self) -> Limits {
        let mut limits = Limits::default();
        if self.timed && self.random.one_in(6) {
            limits.time = Some(self.duration(Place::default()));
        }
        if self.random.one_in(8) {
            limits.polls = Some(1 + self.random.below(3) as u32);
        }
        if self.random.one_in(6) {
            limits.cost = Some(self.random.below(5) as u64);
        }
        limits
    }

    /// Mostly short; under a mask now and then longer than any cleanup.
    fn duration(&mut self, place: Place) -> Duration {
        if place.masked && self.random.one_in(3) {
            return Duration::from_secs(1 + self.random.below(12) as u64);
        }
        Duration::from_millis(self.random.below(12) as u64)
    }

    fn request(&mut self) -> Request {
        let cause = if self.random.one_in(4) { Cause::Shutdown } else { Cause::User };
        let cleanup = (self.timed && self.random.one_in(3))
            .then(|| Duration::from_millis(self.random.below(6) as u64));
        Request { cause, cleanup }
    }

    fn settle(&mut self) -> Settle {
        use Settle::{Abort, Commit, Drop, Forget};
        self.random.pick(&[Commit, Commit, Abort, Drop, Forget, Forget])
    }

    /// A region that is told to end, and a body that takes longer over it than it may. Half of them hear
    /// of a deadline as well, and half leave a region behind.
    fn told_too_late(&mut self, depth: usize) -> Step {
        let Step::Region(mut region) = self.region(depth) else { unreachable!() };
        let cleanup = Some(Duration::from_millis(self.random.below(4) as u64));
        let request = Request { cause: Cause::User, cleanup };
        let mut work = stubborn(Duration::from_millis(1 + self.random.below(12) as u64));
        if self.random.one_in(2) {
            let Step::Region(mut left) = self.region(depth + 1) else { unreachable!() };
            let (name, limits) = (self.task_name(), Limits::default());
            let task = Task { name, limits, body: vec![work.clone()] };
            left.body.splice(0..0, [Step::Spawn(task), work]);
            work = Step::Masked(vec![Step::Region(left)]);
        }
        if self.random.one_in(2) {
            region.limits.time = Some(Duration::from_millis(4 + self.random.below(8) as u64));
        }
        region.body.splice(0..0, [Step::CancelRegion(request), work]);
        Step::Region(region)
    }

    /// A task that is told to end, and goes on for longer than its cleanup has polls.
    fn outlives_its_polls(&mut self) -> Step {
        let (name, inner) = (self.task_name(), self.task_name());
        let polls = cleanup_polls(Cause::Shutdown);
        let task = Task { name: inner, limits: Limits::default(), body: vec![Step::Linger(polls)] };
        let request = Request { cause: Cause::Shutdown, cleanup: None };
        let body = vec![Step::Spawn(task), Step::Yield, Step::Cancel(inner, request)];
        Step::Spawn(Task { name, limits: Limits::default(), body })
    }

    /// A task that fails, joined after its region has taken the failure.
    fn joined_too_late(&mut self, place: Place) -> Step {
        let Step::Region(mut region) = self.region(place.depth) else { unreachable!() };
        let (name, limits) = (self.task_name(), Limits::default());
        region.body.insert(0, Step::Spawn(Task { name, limits, body: vec![Step::Fail("failed")] }));
        Step::Masked(vec![Step::Region(region), Step::Join(name)])
    }

    fn task_name(&mut self) -> Name {
        self.tasks += 1;
        TASKS[(self.tasks - 1) % TASKS.len()]
    }

    /// One that was named, most of the time.
    fn some_task(&mut self) -> Name {
        let known = self.tasks.min(TASKS.len());
        let unknown = usize::from(known == 0 || self.random.one_in(16));
        TASKS[self.random.below(known + unknown) % TASKS.len()]
    }
}

/// Work that no cancellation interrupts.
fn stubborn(duration: Duration) -> Step {
    Step::Masked(vec![Step::Sleep(duration)])
}

/// The smallest program that still fails, found by removing and simplifying one thing at a time.
pub fn shrink(main: &Body, fails: impl Fn(&Body) -> bool) -> Body {
    let mut best = main.clone();
    loop {
        let Some(smaller) = simpler(&best).into_iter().find(|body| fails(body)) else {
            return best;
        };
        best = smaller;
    }
}

/// Bodies with one thing less: without a step, with a step's inside in its place, or with a step simpler.
fn simpler(body: &Body) -> Vec<Body> {
    let mut found = Vec::new();
    for at in 0..body.len() {
        let with = |steps: Body| {
            let mut changed = body[..at].to_vec();
            changed.extend(steps);
            changed.extend_from_slice(&body[at + 1..]);
            changed
        };
        found.push(with(Vec::new()));
        if let Step::Masked(inside)
        | Step::Timeout(_, inside)
        | Step::Permit(inside, _)
        | Step::Duty(inside, _)
        | Step::OnCancel(inside, _) = &body[at]
        {
            found.push(with(inside.clone()));
        }
        found.extend(simpler_step(&body[at]).into_iter().map(|step| with(vec![step])));
    }
    found
}

fn simpler_step(step: &Step) -> Vec<Step> {
    let each =
        |body: &Body, make: &dyn Fn(Body) -> Step| simpler(body).into_iter().map(make).collect();
    match step {
        Step::Masked(body) => each(body, &Step::Masked),
        Step::Timeout(limit, body) => each(body, &|body| Step::Timeout(*limit, body)),
        Step::Permit(body, settle) => each(body, &|body| Step::Permit(body, *settle)),
        Step::Duty(body, settle) => each(body, &|body| Step::Duty(body, *settle)),
        Step::Defer(body) => each(body, &Step::Defer),
        Step::OnCancel(body, cleanup) => {
            let mut found: Vec<Step> = each(body, &|body| Step::OnCancel(body, cleanup.clone()));
            let cleanups: Vec<Step> =
                each(cleanup, &|cleanup| Step::OnCancel(body.clone(), cleanup));
            found.extend(cleanups);
            found
        }
        Step::Spawn(task) => {
            let mut found: Vec<Step> =
                each(&task.body, &|body| Step::Spawn(Task { body, ..task.clone() }));
            let limits = unlimited(task.limits);
            found.extend(limits.map(|limits| Step::Spawn(Task { limits, ..task.clone() })));
            found
        }
        Step::Region(region) => {
            let mut found: Vec<Step> =
                each(&region.body, &|body| Step::Region(Region { body, ..region.clone() }));
            let limits = unlimited(region.limits);
            found.extend(limits.map(|limits| Step::Region(Region { limits, ..region.clone() })));
            found
        }
        Step::Linger(polls) if *polls > 0 => vec![Step::Linger(polls / 2)],
        Step::Cancel(name, request) if request.cleanup.is_some() => {
            vec![Step::Cancel(name, Request { cleanup: None, ..*request })]
        }
        _ => Vec::new(),
    }
}

fn unlimited(limits: Limits) -> Option<Limits> {
    let some = limits.time.is_some() || limits.polls.is_some() || limits.cost.is_some();
    some.then(Limits::default)
}
