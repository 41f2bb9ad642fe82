//! Each crate builds without a warning under every combination of its features, none included.

use crate::context::Context;
use crate::step::{Failure, Outcome, Step, passed};
use crate::workspace::Package;

pub(crate) static STEP: Step = Step {
    name: "features",
    about: "every combination of a crate's features builds",
    rerun: "features",
    run,
};

/// Up to this many features the powerset is tried whole (32 builds); beyond it, all combinations
/// of at most two, the full set, and the full set less each one.
const WHOLE: usize = 5;

fn run(context: &Context, arguments: &[String]) -> Outcome {
    let mut packages: Vec<&Package> =
        context.workspace.packages.iter().filter(|package| package.is_library()).collect();
    if let Some(name) = arguments.first() {
        packages.retain(|package| package.short() == name || package.name == *name);
        if packages.is_empty() {
            return Err(Failure(format!("`{name}` is none of the library crates")));
        }
    }
    let mut builds = 0;
    let mut findings = Vec::new();
    for package in packages {
        let features: Vec<&str> =
            package.features.keys().map(String::as_str).filter(|name| *name != "default").collect();
        let sets = combinations(&features);
        if !features.is_empty() {
            println!("  {}: {} combinations", package.short(), sets.len());
        }
        for set in sets {
            builds += 1;
            let list = set.join(",");
            let call = ["clippy", "--quiet", "--lib", "--no-default-features"];
            let mut cmd = context.cargo(&call).args(["-p", &package.name]);
            if !set.is_empty() {
                cmd = cmd.args(["--features", &list]);
            }
            if let Err(failure) = cmd.args(["--", "-D", "warnings"]).check() {
                findings.push(format!("{} with [{list}]:\n{failure}", package.name));
            }
        }
    }
    if findings.is_empty() {
        return passed(format!("{builds} builds"));
    }
    Err(Failure(findings.join("\n")))
}

fn combinations<'a>(features: &[&'a str]) -> Vec<Vec<&'a str>> {
    let count = features.len();
    let whole = |mask: usize| (0..count).filter(move |at| mask >> at & 1 == 1);
    let pick = |places: &mut dyn Iterator<Item = usize>| places.map(|at| features[at]).collect();
    if count <= WHOLE {
        return (0..1usize << count).map(|mask| pick(&mut whole(mask))).collect();
    }
    let mut sets: Vec<Vec<&str>> = vec![Vec::new()];
    sets.extend((0..count).map(|at| pick(&mut [at].into_iter())));
    for one in 0..count {
        sets.extend((one + 1..count).map(|other| pick(&mut [one, other].into_iter())));
    }
    sets.extend((0..count).map(|less| pick(&mut (0..count).filter(|at| *at != less))));
    sets.push(features.to_vec());
    sets
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn few_features_are_tried_in_every_combination() {
        assert_eq!(combinations(&[]), vec![Vec::<&str>::new()]);
        let sets: BTreeSet<Vec<&str>> = combinations(&["a", "b", "c"]).into_iter().collect();
        assert_eq!(sets.len(), 8);
        assert!(sets.contains(&vec![]) && sets.contains(&vec!["a", "c"]));
    }

    #[test]
    fn many_features_are_tried_none_alone_in_pairs_and_nearly_all() {
        let features = ["a", "b", "c", "d", "e", "f", "g"];
        let sets = combinations(&features);
        let unique: BTreeSet<&Vec<&str>> = sets.iter().collect();
        assert_eq!(unique.len(), 1 + 7 + 21 + 7 + 1);
        assert_eq!(unique.len(), sets.len());
        assert!(sets.contains(&vec!["b", "f"]) && sets.contains(&features.to_vec()));
        assert!(sets.contains(&features[1..].to_vec()));
    }
}
