//! FIFOs against the textbook's relation, written down a second time: sends conflict with sends, receives with receives,
//! send k with receive k, and with room for c, receive k with send k + c. Nothing else does.

use asupersync_core::{Cx, Error, SplitMix64, TaskBody, cap};
use asupersync_lab::{Exploration, ExploreOptions, Method, Queue, Shared, explore};
use std::collections::BTreeSet;
use std::num::NonZeroUsize;

/// What a task does, in one step each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Act {
    Send(usize),
    Recv(usize),
    Read,
    Write,
}

/// The capacities of the queues, 0 being none, and the tasks.
#[derive(Clone, Debug)]
struct Program {
    capacities: Vec<usize>,
    tasks: Vec<Vec<Act>>,
}

/// A step of the model: whose, what, and with a queue the how manieth of its kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Done {
    task: usize,
    act: Act,
    number: usize,
}

/// All orders of a program, one step at a time, and the normal forms of the classes they are of.
struct Model<'a> {
    program: &'a Program,
    /// How many steps each task has taken; of each queue, how many sends and receives there were.
    at: Vec<usize>,
    counts: Vec<[usize; 2]>,
    order: Vec<Done>,
    classes: BTreeSet<Vec<(usize, Done)>>,
    stuck: BTreeSet<Vec<(usize, Done)>>,
    orders: usize,
}

impl Model<'_> {
    fn dependent(&self, a: Done, b: Done) -> bool {
        if a.task == b.task {
            return true;
        }
        match (a.act, b.act) {
            (Act::Send(p), Act::Send(q)) | (Act::Recv(p), Act::Recv(q)) => p == q,
            (Act::Send(p), Act::Recv(q)) if p == q => self.served(p, a.number, b.number),
            (Act::Recv(p), Act::Send(q)) if p == q => self.served(p, b.number, a.number),
            (Act::Write, Act::Read | Act::Write) | (Act::Read, Act::Write) => true,
            _ => false,
        }
    }

    fn served(&self, queue: usize, sent: usize, received: usize) -> bool {
        let capacity = self.program.capacities[queue];
        sent == received || (capacity > 0 && sent == received + capacity)
    }

    /// The Foata normal form.
    fn form(&self) -> Vec<(usize, Done)> {
        let mut levels: Vec<(usize, Done)> = Vec::new();
        for done in &self.order {
            let below = levels.iter().filter(|(_, other)| self.dependent(*other, *done));
            let level = below.map(|(level, _)| level + 1).max().unwrap_or(0);
            levels.push((level, *done));
        }
        levels.sort_unstable();
        levels
    }

    /// Walks on; false if there are more than so many orders.
    fn walk(&mut self, most: usize) -> bool {
        let (mut can_go_on, mut is_over) = (false, true);
        for task in 0..self.program.tasks.len() {
            let Some(act) = self.program.tasks[task].get(self.at[task]).copied() else { continue };
            is_over = false;
            let (queue, side) = match act {
                Act::Send(queue) => (Some(queue), 0),
                Act::Recv(queue) => (Some(queue), 1),
                _ => (None, 0),
            };
            let mut number = 0;
            if let Some(queue) = queue {
                let [sent, received] = self.counts[queue];
                let capacity = self.program.capacities[queue];
                let is_open = match act {
                    Act::Send(_) => capacity == 0 || sent - received < capacity,
                    _ => received < sent,
                };
                if !is_open {
                    continue;
                }
                number = self.counts[queue][side];
                self.counts[queue][side] += 1;
            }
            can_go_on = true;
            self.at[task] += 1;
            self.order.push(Done { task, act, number });
            let goes_on = self.walk(most);
            self.order.pop();
            self.at[task] -= 1;
            if let Some(queue) = queue {
                self.counts[queue][side] -= 1;
            }
            if !goes_on {
                return false;
            }
        }
        if !can_go_on {
            let form = self.form();
            if !is_over {
                self.stuck.insert(form.clone());
            }
            self.classes.insert(form);
            self.orders += 1;
        }
        self.orders <= most
    }
}

impl Program {
    /// How many classes there are, and how many of them stuck; none if there are more than so many orders.
    fn classes(&self, most: usize) -> Option<(usize, usize)> {
        let mut model = Model {
            program: self,
            at: vec![0; self.tasks.len()],
            counts: vec![[0; 2]; self.capacities.len()],
            order: Vec::new(),
            classes: BTreeSet::new(),
            stuck: BTreeSet::new(),
            orders: 0,
        };
        model.walk(most).then_some((model.classes.len(), model.stuck.len()))
    }
}

fn options(method: Method, order: u64) -> ExploreOptions {
    ExploreOptions::default().method(method).order(order).stop_at_first_failure(false).shrink(false)
}

/// The program over the lab's objects.
fn body(
    program: &Program,
) -> impl for<'a> TaskBody<'a, cap::All, (), Error>
+ for<'a> AsyncFnOnce(&'a Cx) -> Result<(), Error>
+ Clone
+ Send
+ 'static
+ use<> {
    let program = program.clone();
    async move |cx: &Cx| {
        let made = program.capacities.iter().map(|capacity| match NonZeroUsize::new(*capacity) {
            Some(capacity) => Queue::bounded(capacity),
            None => Queue::new(),
        });
        let queues: Vec<Queue<u64>> = made.collect();
        let cell = Shared::new(0_u64);
        let tasks = program.tasks;
        cx.region(async move |scope| {
            for acts in tasks {
                let (queues, cell) = (queues.clone(), cell.clone());
                let _ = scope.spawn(async move |cx: &Cx| {
                    for act in acts {
                        match act {
                            Act::Send(queue) => queues[queue].send(cx, 1).await?,
                            Act::Recv(queue) => {
                                let _ = queues[queue].recv(cx).await?;
                            }
                            Act::Read => {
                                let _ = cell.get(cx).await?;
                            }
                            Act::Write => cell.set(cx, 1).await?,
                        }
                    }
                    Ok::<_, Error>(())
                });
            }
            Ok::<_, Error>(())
        })
        .await
        .into_result()?;
        Ok::<_, Error>(())
    }
}

/// Explored from several first orders: what the model says. By sleep sets and, where there are few orders, by enumeration:
/// the same classes.
fn agrees(program: &Program, classes: usize, stuck: usize) {
    let short = |found: &Exploration| {
        (found.exhausted, found.runs as usize, found.classes.len(), found.stuck.len())
    };
    let first = explore(options(Method::Optimal, 0), body(program));
    for order in 0..5 {
        let found = explore(options(Method::Optimal, order), body(program));
        let said = (short(&found), found.blocked);
        assert_eq!(said, ((true, classes, classes, stuck), 0), "order {order} of {program:?}");
        assert_eq!(found.classes, first.classes, "order {order} of {program:?}");
    }
    let audit = explore(options(Method::SleepSets, 0), body(program));
    assert_eq!(short(&audit), (true, classes, classes, stuck), "{program:?}");
    assert_eq!(audit.classes, first.classes, "{program:?}");
    let all = explore(options(Method::Naive, 0).max_runs(2_000), body(program));
    if all.exhausted {
        assert_eq!((all.classes, all.stuck), (first.classes, first.stuck), "{program:?}");
    }
}

/// So many producers of so many items each, and consumers that share the receives.
fn prodcons(producers: usize, consumers: usize, items: usize, capacity: usize) -> Program {
    let mut tasks = vec![vec![Act::Send(0); items]; producers];
    tasks.extend(vec![vec![Act::Recv(0); producers * items / consumers]; consumers]);
    Program { capacities: vec![capacity], tasks }
}

#[test]
fn producers_and_consumers_are_run_as_the_textbook_counts() {
    for (producers, consumers, items, classes) in
        [(2, 1, 2, 6), (2, 2, 2, 36), (1, 2, 4, 6), (3, 1, 1, 6), (2, 2, 1, 4)]
    {
        for capacity in [1, 2, 0] {
            let program = prodcons(producers, consumers, items, capacity);
            assert_eq!(program.classes(50_000), Some((classes, 0)), "{program:?}");
            agrees(&program, classes, 0);
        }
    }
}

/// Two or three tasks of up to four acts over two queues and a cell.
fn random(seed: u64) -> Program {
    let mut stream = SplitMix64::new(seed);
    let mut below = move |end: usize| stream.below(end as u64) as usize;
    let capacities: Vec<usize> = (0..2).map(|_| below(3)).collect();
    let acts = [
        Act::Send(0),
        Act::Send(0),
        Act::Recv(0),
        Act::Recv(0),
        Act::Send(1),
        Act::Recv(1),
        Act::Read,
        Act::Write,
    ];
    let tasks = 2 + below(3);
    let longest = if tasks > 3 { 3 } else { 4 };
    let tasks = (0..tasks).map(|_| (0..1 + below(longest)).map(|_| acts[below(8)]).collect());
    Program { capacities, tasks: tasks.collect() }
}

fn random_programs(seeds: std::ops::Range<u64>) -> (usize, usize) {
    let (mut done, mut stuck_too) = (0, 0);
    for seed in seeds {
        let program = random(seed);
        let Some((classes, stuck)) = program.classes(5_000) else { continue };
        if classes > 100 {
            continue;
        }
        agrees(&program, classes, stuck);
        done += 1;
        stuck_too += usize::from(stuck > 0);
    }
    (done, stuck_too)
}

#[test]
fn random_programs_are_run_as_the_textbook_counts() {
    let (done, stuck) = random_programs(0..30);
    assert!(done > 12 && stuck > 5, "{done} programs, {stuck} of them with stuck classes");
}
