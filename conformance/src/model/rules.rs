//! The rules by name, and how often each has fired.

macro_rules! rules {
    ($($name:ident $id:literal $about:literal,)*) => {
        /// A rule of `docs/semantics.md`, where each stands under its [`id`](Rule::id).
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Rule { $(#[doc = concat!("`", $id, "`: ", $about)] $name,)* }

        impl Rule {
            /// All rules, in the order of the document.
            pub const ALL: &[Rule] = &[$(Rule::$name),*];

            /// The name under which the document states it.
            #[must_use]
            pub const fn id(self) -> &'static str {
                match self { $(Rule::$name => $id,)* }
            }
        }
    };
}

rules! {
    Spawn "R-SPAWN" "a task enters a region.",
    Refuse "R-REFUSE" "a region that is cancelled, finalizing or closed takes no task in.",
    Poll "R-POLL" "a runnable task is polled.",
    Quota "R-QUOTA" "the poll quota is spent.",
    QuotaCleanup "R-QUOTA-CLEANUP" "the cleanup's polls are spent.",
    Park "R-PARK" "a wait finds nothing and parks.",
    Ready "R-READY" "a wait ends with its event.",
    Told "R-TOLD" "a wait or checkpoint answers that its scope is cancelled.",
    Mask "R-MASK" "a masked section opens.",
    MaskHides "R-MASK-HIDES" "a wait goes on although a scope outside its mask is cancelled.",
    Strengthen "R-STRENGTHEN" "a more severe reason replaces the one in force.",
    Milder "R-MILDER" "a reason that is not more severe changes nothing.",
    CancelTask "R-CANCEL-TASK" "a task's own scope is cancelled.",
    CancelHandle "R-CANCEL-HANDLE" "a task is cancelled through its handle.",
    CancelRegion "R-CANCEL-REGION" "a region is cancelled, with everything inside.",
    CancelNested "R-CANCEL-NESTED" "a region opened in a scope that is cancelled follows it.",
    CancelOrphan "R-CANCEL-ORPHAN" "a region whose future is gone follows its parent.",
    DeadlineTask "R-DEADLINE-TASK" "a task's deadline passes.",
    DeadlineRegion "R-DEADLINE-REGION" "a region's deadline passes.",
    DeadlineBranch "R-DEADLINE-BRANCH" "a branch's deadline passes.",
    Charge "R-CHARGE" "cost is paid.",
    Overdraw "R-OVERDRAW" "cost is charged that an account cannot pay.",
    EscalateTask "R-ESCALATE-TASK" "a task's cleanup time is over.",
    EscalateScope "R-ESCALATE-SCOPE" "the cleanup time of a scope inside a task is over.",
    EscalateRegion "R-ESCALATE-REGION" "a region's cleanup time is over.",
    DropTask "R-DROP-TASK" "an escalated task's future is dropped in place of a poll.",
    DropScope "R-DROP-SCOPE" "an escalated scope's future is dropped in place of a poll.",
    StuckScope "R-STUCK-SCOPE" "a cancelled scope's future that no cancellation can reach is dropped.",
    StuckTask "R-STUCK-TASK" "a cancelled task's future that no cancellation can reach is dropped.",
    BranchOpen "R-BRANCH-OPEN" "a branch opens.",
    BranchFinish "R-BRANCH-FINISH" "a branch's future ends by itself.",
    EndOk "R-END-OK" "a body returns its value.",
    EndErr "R-END-ERR" "a body returns an error of its own.",
    EndCancelled "R-END-CANCELLED" "a body returns an error after it was told, or is dropped.",
    EndPanic "R-END-PANIC" "a body panics.",
    FailFast "R-FAIL-FAST" "a child's failure cancels its siblings.",
    RegionOpen "R-REGION-OPEN" "a region opens.",
    BodyOk "R-BODY-OK" "a region's body ends well.",
    BodyFail "R-BODY-FAIL" "a region's body fails, and its children are cancelled.",
    Closing "R-CLOSING" "a region waits for its children.",
    Defer "R-DEFER" "a finalizer is registered.",
    Finalizer "R-FINALIZER" "the last finalizer that is left starts.",
    Closed "R-CLOSED" "a region is quiescent.",
    Abandon "R-ABANDON" "a region's future is dropped before it has seen the close.",
    OutcomeBody "R-OUTCOME-BODY" "the body's end is the region's.",
    OutcomeChild "R-OUTCOME-CHILD" "an unclaimed failure is the region's outcome.",
    OutcomeCancelled "R-OUTCOME-CANCELLED" "a child's cancellation is the region's outcome.",
    OutcomeStronger "R-OUTCOME-STRONGER" "the reason in force at the end replaces the one the body ended on.",
    Join "R-JOIN" "a join takes an outcome.",
    JoinTaken "R-JOIN-TAKEN" "a join finds the outcome taken.",
    JoinDeadlock "R-JOIN-DEADLOCK" "a join that could never end is refused.",
    Reserve "R-RESERVE" "an obligation is taken on.",
    Settle "R-SETTLE" "an obligation is settled by name.",
    DropPermit "R-DROP-PERMIT" "a permit is dropped, which settles it.",
    DropDuty "R-DROP-DUTY" "a duty is dropped, which is a leak.",
    LeakDuty "R-LEAK-DUTY" "a region closes over an open duty.",
    Rehome "R-REHOME" "a region closes over an open permit, which its parent inherits.",
    LeakPermit "R-LEAK-PERMIT" "the root closes over an open permit.",
    Tick "R-TICK" "nothing can run, and the clock goes to the next timer.",
    Stall "R-STALL" "nothing can run and no timer is armed: the host gives up.",
}

/// How often each rule has fired.
#[derive(Clone, Debug)]
pub struct Fired([u64; Rule::ALL.len()]);

impl Default for Fired {
    fn default() -> Fired {
        Fired([0; Rule::ALL.len()])
    }
}

impl Fired {
    pub(super) fn note(&mut self, rule: Rule) {
        self.0[rule as usize] += 1;
    }

    /// How often this rule has fired.
    #[must_use]
    pub fn count(&self, rule: Rule) -> u64 {
        self.0[rule as usize]
    }

    /// Adds another run's counts.
    pub fn add(&mut self, other: &Fired) {
        for (mine, theirs) in self.0.iter_mut().zip(other.0) {
            *mine += theirs;
        }
    }
}
