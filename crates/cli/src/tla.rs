//! `trace export --format tla`: the run as a module that TLC checks.
//!
//! The module has two specifications. `Spec` is a skeleton: the run's tasks, regions and obligations under the
//! kernel's rules, in any order that these allow, to which a model's own variables are added. `TraceSpec` is the
//! recorded order, event by event; where a rule forbids one, TLC stops at it.

use asupersync_core::{ObligationId, RegionId, TaskId};
use asupersync_trace::{Event, Trace, plain};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::hash::Hash;
use std::path::Path;

/// Events that a module may hold: TLC reads them as one literal.
const MOST: usize = 20_000;

const RULES: &str = include_str!("tla/rules.tla");

/// What TLC is to check of a module, as its configuration file says it.
pub(crate) const CONFIGURATION: &str = "SPECIFICATION TraceSpec\nINVARIANTS Typed ClosedIsEmpty \
                                        ClosedIsSettled\nPROPERTIES Spec Followed\n";

/// Numbers from 0 in the order of first mention.
struct Numbers<K>(BTreeMap<K, usize>);

impl<K: Ord + Hash + Copy> Numbers<K> {
    fn of(&mut self, id: K) -> usize {
        let next = self.0.len();
        *self.0.entry(id).or_insert(next)
    }

    fn known(&self, id: K) -> Option<usize> {
        self.0.get(&id).copied()
    }
}

/// The run as a module of this name.
pub(crate) fn module(trace: &Trace, name: &str) -> Result<String, String> {
    let mut tasks: Numbers<TaskId> = Numbers(BTreeMap::new());
    let mut regions: Numbers<RegionId> = Numbers(BTreeMap::new());
    let mut obligations: Numbers<ObligationId> = Numbers(BTreeMap::new());
    let (mut home, mut finalizers, mut parents) = (Vec::new(), Vec::new(), Vec::new());
    let (mut legend, mut log) = (String::new(), Vec::new());
    let tables = trace.tables();
    for event in trace.events() {
        match *event {
            Event::RegionOpened { region, parent, name, .. } => {
                let number = regions.of(region);
                parents.push(parent.and_then(|parent| regions.known(parent)));
                let name = name.map_or("", |name| tables.text(name));
                comment(&mut legend, &format!("region {number}: {name}"));
                log.push(("open", number));
            }
            Event::TaskSpawned { task, region, name, site, finalizer, .. } => {
                let Some(of) = regions.known(region) else { continue };
                let number = tasks.of(task);
                home.push(of);
                if finalizer {
                    finalizers.push(number);
                }
                let name = name.map_or("", |name| tables.text(name));
                let site = tables.site(site).map(|s| format!("{}:{}", tables.text(s.file), s.line));
                let site = site.unwrap_or_default();
                comment(&mut legend, &format!("task {number}: {name} {site}"));
                log.push(("spawn", number));
            }
            Event::TaskCompleted { task, .. } => {
                log.extend(tasks.known(task).map(|task| ("complete", task)));
            }
            Event::RegionClosing { region } => {
                log.extend(regions.known(region).map(|region| ("closing", region)));
            }
            Event::RegionFinalizing { region } => {
                log.extend(regions.known(region).map(|region| ("finalizing", region)));
            }
            Event::RegionClosed { region, .. } => {
                log.extend(regions.known(region).map(|region| ("close", region)));
            }
            Event::ObligationReserved { obligation, kind, .. } => {
                let number = obligations.of(obligation);
                comment(&mut legend, &format!("obligation {number}: {}", tables.text(kind)));
                log.push(("reserve", number));
            }
            Event::ObligationResolved { obligation, .. } => {
                log.extend(obligations.known(obligation).map(|number| ("resolve", number)));
            }
            _ => {}
        }
    }
    if log.len() > MOST {
        return Err(format!(
            "the run has {} events of tasks, regions and obligations, and a module holds {MOST}; shrink \
             it, or cut it shorter",
            log.len()
        ));
    }
    let mut text = String::new();
    let mut line = |words: std::fmt::Arguments<'_>| {
        text.write_fmt(words).and_then(|()| text.write_char('\n')).expect("strings take all");
    };
    line(format_args!("---- MODULE {name} ----"));
    line(format_args!("\\* A run of seed {}, recorded by the lab.", trace.header().seed));
    line(format_args!("{legend}EXTENDS Integers, Sequences"));
    line(format_args!("Tasks == 0..{}", tasks.0.len() as i64 - 1));
    line(format_args!("Regions == 0..{}", regions.0.len() as i64 - 1));
    line(format_args!("Obligations == 0..{}", obligations.0.len() as i64 - 1));
    let parents = parents.iter().map(|parent| parent.map_or(-1, |parent| parent as i64));
    line(format_args!("Parent == {}", function("Regions", parents)));
    line(format_args!("Home == {}", function("Tasks", home.iter().map(|home| *home as i64))));
    let finalizers: Vec<String> = finalizers.iter().map(ToString::to_string).collect();
    line(format_args!("Finalizers == {{{}}}", finalizers.join(", ")));
    let log: Vec<String> = log.iter().map(|(what, of)| format!("<<\"{what}\", {of}>>")).collect();
    line(format_args!("Log == <<\n  {}\n>>", log.join(",\n  ")));
    text.push_str(RULES);
    Ok(text)
}

/// Values by numbers from 0.
fn function(domain: &str, values: impl Iterator<Item = i64>) -> String {
    let values: Vec<String> = values.map(|value| value.to_string()).collect();
    format!("[n \\in {domain} |-> <<{}>>[n + 1]]", values.join(", "))
}

fn comment(text: &mut String, words: &str) {
    writeln!(text, "\\* {}", plain(words).trim_end()).expect("strings take all");
}

/// Words of the language, and the modules and definitions that the module uses.
const TAKEN: &str = "ASSUME ASSUMPTION AXIOM BOOLEAN BY CASE CHOOSE CONSTANT CONSTANTS COROLLARY DEF DEFINE DEFS \
                     DOMAIN ELSE ENABLED EXCEPT EXTENDS FALSE HAVE HIDE IF IN INSTANCE LAMBDA LEMMA LET LOCAL \
                     MODULE NEW OBVIOUS OMITTED ONLY OTHER PICK PROOF PROPOSITION PROVE QED RECURSIVE STATE STRING \
                     SUBSET SUFFICES TAKE TEMPORAL THEN THEOREM TRUE UNCHANGED UNION USE VARIABLE VARIABLES WITH \
                     WITNESS Naturals Integers Reals Sequences FiniteSets Bags TLC Tasks Regions Obligations Parent \
                     Home Finalizers Log";

/// The name of the module that is kept in this file, which TLC wants to agree.
pub(crate) fn name_of(out: Option<&Path>) -> Result<String, String> {
    let Some(out) = out else { return Ok("Run".to_owned()) };
    let refused =
        |why: &str| Err(format!("no module for TLC can be kept in {}: {why}", out.display()));
    if out.extension().is_some_and(|end| end == "cfg") {
        return refused("beside it there is a file with the end `cfg`");
    }
    let stem = out.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
    let fits = stem.starts_with(|c: char| c.is_ascii_alphabetic())
        && stem.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if !fits {
        return refused("its name must be the module's, a letter and then letters, digits and `_`");
    }
    let is_defined = RULES.lines().any(|line| {
        let name = line.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').next();
        name == Some(stem) && line.contains("==")
    });
    let is_taken = TAKEN.split_whitespace().any(|word| word == stem);
    if is_defined || is_taken || stem.starts_with("WF_") || stem.starts_with("SF_") {
        return refused("its name, which must be the module's, means something there already");
    }
    Ok(stem.to_owned())
}
