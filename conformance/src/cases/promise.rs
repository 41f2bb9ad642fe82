//! What the runtime promises beyond structure: names, deliveries, authority.

use crate::case::{Case, Seen};
use crate::program::Step::{
    HangUp, Identify, Join, Narrowed, Note, Receive, Send, SendParcel, TakeParcel, Yield,
};
use crate::program::{Step, region, spawn};

pub(crate) fn tasks_have_the_same_names_in_every_run(name: &'static str) -> Case {
    let leaf = |name| spawn(name, [Yield, Identify]);
    let nest = |name, leaves: [Step; 2]| spawn(name, [Identify, region("inner", leaves)]);
    let body = [nest("left", [leaf("a"), leaf("b")]), nest("right", [leaf("c"), leaf("d")])];
    Case::new(name, [region("r", body)], |seen| {
        let mut names: Vec<String> = seen.answers().map(str::to_owned).collect();
        names.sort_unstable();
        names.dedup();
        seen.must(names.len() == 6, "each of the six tasks has a name of its own");
    })
    .repeated()
}

fn count(seen: &Seen<'_>, answer: &str) -> usize {
    seen.answers().filter(|other| *other == answer).count()
}

pub(crate) fn what_is_sent_arrives_once(name: &'static str) -> Case {
    let sender = |name| spawn(name, [Step::Times(10, vec![SendParcel("mail", vec![Yield])])]);
    let receiver = spawn("receiver", [Step::Times(20, vec![TakeParcel("mail")])]);
    let main = [region("r", [sender("left"), sender("right"), receiver, Join("receiver")])];
    Case::new(name, main, |seen| {
        seen.must(count(seen, "sent") == 20, "each parcel is sent");
        seen.must(count(seen, "arrived") == 20, "each parcel arrives");
        seen.must(count(seen, "lost") == 0, "none is lost on the way");
    })
}

pub(crate) fn what_is_sent_to_nobody_is_handed_back(name: &'static str) -> Case {
    // It has its place in the channel when the receiver goes.
    let sender = [SendParcel("mail", vec![Send("ready"), Receive("go")]), Note("sender done")];
    let body =
        [spawn("sender", sender), Receive("ready"), HangUp("mail"), Send("go"), Join("sender")];
    Case::new(name, [region("r", body)], |seen| {
        seen.must(count(seen, "handed back") == 1, "the parcel is handed back to its sender");
        seen.must(count(seen, "lost") == 0, "it is not lost on the way");
        seen.must(seen.note("sender done").is_some(), "the sender goes on");
    })
}

pub(crate) fn a_task_of_a_narrowed_scope_has_no_more_than_its_scope(name: &'static str) -> Case {
    Case::new(name, [Narrowed, Note("after")], |seen| {
        seen.must(seen.answers().eq(["spawn"]), "the task may spawn, and nothing else");
        seen.must(seen.note("after").is_some(), "the program goes on");
    })
}
