------------------------------- MODULE Kernel -------------------------------
\* Region close, cancellation and obligations, as docs/semantics.md states them; rules are cited by id.
\*
\* What the model knows: the tree of regions, the tasks in it, reasons with their severity, masks, finalizers,
\* drops, permits and duties. What it does not: bodies (a task may do anything at any time), timers (what time
\* may bring may come at any moment), outcomes, scopes inside a task other than region bodies and one mask, which
\* stands in one of them or around them all.
\*
\* A cancellation walks down in single steps, which mix with everything else, as on several threads: the request
\* marks one region, and each task and region beneath takes the reason over in a step of its own.
\*
\* What is over is forgotten: a task that has ended, a closed region and a settled obligation are "none" again, and
\* their numbers are given to others. So programs of any length are covered, with so many alive at a time.
\*
\* `Mutant` breaks one step. "none" is the kernel; every other name must be found by TLC.
EXTENDS Naturals, FiniteSets

CONSTANTS
    NR, NT,             \* how many regions and tasks there may be at a time
    Permits, Duties,    \* obligations, by class
    Requests,           \* severities of requests
    Parent,             \* the severity of a region whose future was dropped
    Maskers,            \* tasks that may mask themselves
    Deferrers, Most,    \* regions that may have finalizers, and how many
    Mutant

Regions == 0..NR-1
Workers == 0..NT-1
\* A region's finalizers run one after the other, so one number does for each region.
FinalizerOf(r) == NT + r
Tasks == Workers \cup {FinalizerOf(r) : r \in Deferrers}
Obligations == Permits \cup Duties
Nobody == NT + NR
Nowhere == NR
\* Where a task's mask stands: in the body of a region, around all that the task does, or nowhere.
Around == NR
Unmasked == NR + 1

VARIABLES
    rstate,             \* none, open, closing, draining, finalizing
    rparent, ropener,   \* the region around it; the task whose future its body is part of
    rcancel,            \* severity of its reason; 0 is none
    finalizers,         \* that have not started
    spent,              \* a finalizer has overrun its time (only a mutant looks at it)
    tregion,            \* the region that owns it; Nowhere is no task
    tcancel, tmask,
    held                \* whose book an obligation is in; Nowhere is no obligation

regionVars == <<rstate, rparent, ropener, rcancel, finalizers, spent>>
taskVars == <<tregion, tcancel, tmask>>
vars == <<regionVars, taskVars, held>>

Max(a, b) == IF a > b THEN a ELSE b

Exists(r) == r # Nowhere /\ rstate[r] # "none"
Live(t) == t # Nobody /\ tregion[t] # Nowhere
RECURSIVE Within(_, _)
\* r is a or lies beneath it.
Within(r, a) == r = a \/ (rparent[r] # Nowhere /\ Within(rparent[r], a))

TasksOf(r) == {t \in Tasks : tregion[t] = r}
ChildrenOf(r) == {c \in Regions : Exists(c) /\ rparent[c] = r}
Opened(t) == {r \in Regions : Exists(r) /\ ropener[r] = t}
\* The innermost region whose body the task is in, or the region that owns the task.
Innermost(t, outside) ==
    IF Opened(t) = {} THEN outside
    ELSE CHOOSE r \in Opened(t) : \A q \in Opened(t) : Within(r, q)
Here(t) == Innermost(t, tregion[t])
\* A task that waits for a region to close does nothing else.
Acts(t) == Live(t) /\ \A r \in Opened(t) : rstate[r] = "open"

Quiet(r) ==
    /\ Mutant = "CloseForgetsTasks" \/ TasksOf(r) = {}
    /\ Mutant = "CloseForgetsRegions" \/ ChildrenOf(r) = {}

Admits(r) ==
    \/ rstate[r] \in {"open", "closing"} /\ (rcancel[r] = 0 \/ Mutant = "AdmitCancelled")
    \/ rstate[r] = "finalizing" /\ Mutant = "AdmitFinalizing"

Free(all, taken(_)) == {n \in all : ~taken(n) /\ \A m \in all : m < n => taken(m)}
FreeTask == Free(Workers, Live)
FreeRegion == Free(Regions, Exists)

Init ==
    /\ rstate = [r \in Regions |-> IF r = 0 THEN "open" ELSE "none"]
    /\ rparent = [r \in Regions |-> Nowhere]
    /\ ropener = [r \in Regions |-> Nobody]
    /\ rcancel = [r \in Regions |-> 0]
    /\ finalizers = [r \in Regions |-> 0]
    /\ spent = [r \in Regions |-> FALSE]
    /\ tregion = [t \in Tasks |-> IF t = 0 THEN 0 ELSE Nowhere]
    /\ tcancel = [t \in Tasks |-> 0]
    /\ tmask = [t \in Tasks |-> Unmasked]
    /\ held = [o \in Obligations |-> Nowhere]

\* --------------------------------------------------------------------- what programs do

\* R-SPAWN
Spawn(u, r) ==
    /\ Admits(r)
    /\ tregion' = [tregion EXCEPT ![u] = r]
    /\ UNCHANGED <<tcancel, tmask, regionVars, held>>

\* R-REGION-OPEN. One is opened even in a region that is cancelled, and is cancelled in its turn.
Open(t, r) ==
    /\ rstate' = [rstate EXCEPT ![r] = "open"]
    /\ rparent' = [rparent EXCEPT ![r] = Here(t)]
    /\ ropener' = [ropener EXCEPT ![r] = t]
    /\ UNCHANGED <<rcancel, finalizers, spent, taskVars, held>>

\* A mask in a body ends with it.
Unmasking(over) == [t \in Tasks |-> IF tmask[t] \in over THEN Unmasked ELSE tmask[t]]

\* R-BODY-OK, R-BODY-FAIL, R-CLOSING. No body ends around one that goes on.
BodyEnd(r) ==
    /\ rstate[r] = "open"
    /\ \A q \in Opened(ropener[r]) \ {r} : (ropener[r] # Nobody /\ Within(q, r)) => rstate[q] # "open"
    /\ rstate' = [rstate EXCEPT ![r] = IF rcancel[r] > 0 THEN "draining" ELSE "closing"]
    /\ tmask' = Unmasking({r})
    /\ UNCHANGED <<rparent, ropener, rcancel, finalizers, spent, tregion, tcancel, held>>

\* R-DEFER
Defer(r) ==
    /\ rstate[r] = "open"
    /\ finalizers' = [finalizers EXCEPT ![r] = @ + 1]
    /\ UNCHANGED <<rstate, rparent, ropener, rcancel, spent, taskVars, held>>

\* R-MASK
Mask(t, on) ==
    /\ tmask[t] = IF on THEN Unmasked ELSE Innermost(t, Around)
    /\ tmask' = [tmask EXCEPT ![t] = IF on THEN Innermost(t, Around) ELSE Unmasked]
    /\ UNCHANGED <<tregion, tcancel, regionVars, held>>

\* R-RESERVE
Reserve(o, r) ==
    /\ held[o] = Nowhere
    /\ held' = [held EXCEPT ![o] = r]
    /\ UNCHANGED <<regionVars, taskVars>>

\* R-SETTLE, R-DROP-PERMIT, R-DROP-DUTY
Settle(o) ==
    /\ held[o] # Nowhere
    /\ held' = [held EXCEPT ![o] = Nowhere]
    /\ UNCHANGED <<regionVars, taskVars>>

\* R-END-OK and the others. What the task has opened is closed, or was left behind by R-ABANDON.
Complete(t) ==
    /\ Live(t) /\ Opened(t) = {}
    /\ tregion' = [tregion EXCEPT ![t] = Nowhere]
    /\ tcancel' = [tcancel EXCEPT ![t] = 0]
    /\ tmask' = [tmask EXCEPT ![t] = Unmasked]
    /\ UNCHANGED <<regionVars, held>>

\* ------------------------------------------------------------------------- cancelling

\* R-CANCEL-REGION. R-MILDER: only for a more severe reason.
CancelRegion(r, severity) ==
    /\ Exists(r)
    /\ severity > rcancel[r] \/ (Mutant = "SeverityFalls" /\ severity # rcancel[r])
    /\ rcancel' = [rcancel EXCEPT ![r] = severity]
    /\ rstate' = [rstate EXCEPT ![r] = IF @ = "closing" THEN "draining" ELSE @]
    /\ UNCHANGED <<rparent, ropener, finalizers, spent, taskVars, held>>

\* Whether a mask stands between r and what its task does around the body of q, or around everything.
Hidden(t, r, q) ==
    /\ tmask[t] # Unmasked /\ tmask[t] # r
    /\ tmask[t] = Around \/ Within(r, tmask[t])
    /\ q = Around \/ (tmask[t] # Around /\ Within(tmask[t], q))

RECURSIVE Greatest(_)
Greatest(numbers) ==
    IF numbers = {} THEN 0 ELSE LET n == CHOOSE n \in numbers : TRUE IN Max(n, Greatest(numbers \ {n}))

\* What a region takes over: from the task whose body it is part of and the bodies of that task around it, up to the
\* mask (R-CANCEL-NESTED), and from its parent when its own future is gone (R-CANCEL-ORPHAN).
Inherited(r) ==
    LET t == ropener[r]
        around == {q \in Opened(t) : q # r /\ Within(r, q) /\ ~Hidden(t, r, q)}
    IN IF t = Nobody THEN (IF rparent[r] = Nowhere THEN 0 ELSE rcancel[rparent[r]])
       ELSE Max(IF Hidden(t, r, Around) THEN 0 ELSE tcancel[t], Greatest({rcancel[q] : q \in around}))

InheritRegion(r) ==
    /\ Exists(r) /\ Inherited(r) > rcancel[r]
    /\ CancelRegion(r, Inherited(r))

\* R-CANCEL-TASK
CancelTask(t, severity) ==
    /\ Live(t) /\ severity > tcancel[t]
    /\ tcancel' = [tcancel EXCEPT ![t] = severity]
    /\ UNCHANGED <<tregion, tmask, regionVars, held>>

InheritTask(t) ==
    /\ Mutant # "WalkSkipsTasks" /\ Live(t) /\ t \in Workers
    /\ CancelTask(t, rcancel[tregion[t]])

\* Cleanup is over for what a cancelled task or body is in the middle of, and that is dropped.
Overdue(t) == Live(t) /\ tcancel[t] > 0 /\ ~(Mutant = "MasksOutlast" /\ tmask[t] # Unmasked)

\* R-ABANDON: the futures of these regions are dropped, and they close without them. The body `over` ends with that.
Abandoned(gone, over) ==
    LET cancelled(r) == IF Mutant = "DroppedRegionRunsOn" THEN rcancel[r] ELSE Max(rcancel[r], Parent)
        state(r) ==
            IF rstate[r] \notin {"open", "closing"} THEN rstate[r]
            ELSE IF cancelled(r) > 0 THEN "draining" ELSE "closing"
    IN /\ ropener' = [r \in Regions |-> IF r \in gone THEN Nobody ELSE ropener[r]]
       /\ rcancel' = [r \in Regions |-> IF r \in gone THEN cancelled(r) ELSE rcancel[r]]
       /\ rstate' = [r \in Regions |->
            IF r = over THEN "draining" ELSE IF r \in gone THEN state(r) ELSE rstate[r]]
       /\ UNCHANGED <<rparent, finalizers>>

\* R-ESCALATE-REGION, R-DROP-SCOPE: the body is dropped where it stands.
DropBody(r) ==
    /\ rstate[r] = "open" /\ rcancel[r] > 0
    /\ LET inside == {q \in Opened(ropener[r]) : ropener[r] # Nobody /\ Within(q, r)}
       IN Abandoned(inside \ {r}, r) /\ tmask' = Unmasking(inside \cup {r})
    /\ UNCHANGED <<spent, tregion, tcancel, held>>

\* R-DROP-SCOPE, R-ABANDON: a region's future is dropped while its task goes on, with all that it is around.
DropRegion(r) ==
    /\ Exists(r) /\ ropener[r] # Nobody
    /\ LET gone == {q \in Opened(ropener[r]) : Within(q, r)}
       IN Abandoned(gone, Nowhere) /\ tmask' = Unmasking(gone)
    /\ UNCHANGED <<spent, tregion, tcancel, held>>

Gone(t) ==
    /\ tregion' = [tregion EXCEPT ![t] = Nowhere]
    /\ tcancel' = [tcancel EXCEPT ![t] = 0]
    /\ tmask' = [tmask EXCEPT ![t] = Unmasked]
    /\ Abandoned(Opened(t), Nowhere)
    /\ UNCHANGED held

\* R-ESCALATE-TASK, R-QUOTA-CLEANUP, R-DROP-TASK
DropTask(t) ==
    /\ Mutant # "EscalationIgnored" /\ Overdue(t)
    /\ Gone(t)
    /\ UNCHANGED spent
\* A finalizer has its bound without having been cancelled.
DropFinalizer(t) ==
    /\ Live(t) /\ rstate[tregion[t]] = "finalizing"
    /\ ~(Mutant = "OneBoundForAll" /\ spent[tregion[t]])
    /\ Gone(t)
    /\ spent' = [spent EXCEPT ![tregion[t]] = (Mutant = "OneBoundForAll")]

\* --------------------------------------------------------------------------- closing

\* The last child has ended.
Finalize(r) ==
    /\ rstate[r] \in {"closing", "draining"}
    /\ Quiet(r) \/ (Mutant = "FinalizeEarly" /\ finalizers[r] > 0)
    /\ rstate' = [rstate EXCEPT ![r] = "finalizing"]
    /\ UNCHANGED <<rparent, ropener, rcancel, finalizers, spent, taskVars, held>>

\* R-FINALIZER: one after the other.
StartFinalizer(r) ==
    /\ rstate[r] = "finalizing" /\ finalizers[r] > 0 /\ Quiet(r)
    /\ finalizers' = [finalizers EXCEPT ![r] = IF Mutant = "FinalizersTwice" THEN @ ELSE @ - 1]
    /\ tregion' = [tregion EXCEPT ![FinalizerOf(r)] = r]
    /\ tmask' = [tmask EXCEPT ![FinalizerOf(r)] = Around]
    /\ UNCHANGED <<rstate, rparent, ropener, rcancel, spent, tcancel, held>>

Finished(r) ==
    /\ rstate[r] = "finalizing" /\ Quiet(r)
    /\ finalizers[r] = 0 \/ Mutant = "FinalizersSkipped"

\* R-LEAK-DUTY
LeakDuty(o) == Exists(held[o]) /\ Finished(held[o]) /\ Settle(o)

\* R-CLOSED, R-REHOME, R-LEAK-PERMIT
Close(r) ==
    /\ Finished(r)
    /\ Mutant = "LeakForgotten" \/ \A o \in Duties : held[o] # r
    /\ rstate' = [rstate EXCEPT ![r] = "none"]
    /\ rparent' = [rparent EXCEPT ![r] = Nowhere]
    /\ ropener' = [ropener EXCEPT ![r] = Nobody]
    /\ rcancel' = [rcancel EXCEPT ![r] = 0]
    /\ finalizers' = [finalizers EXCEPT ![r] = 0]
    /\ spent' = [spent EXCEPT ![r] = FALSE]
    /\ held' = IF Mutant = "RehomeForgotten" THEN held
               ELSE [o \in Obligations |-> IF o \in Permits /\ held[o] = r THEN rparent[r] ELSE held[o]]
    /\ UNCHANGED taskVars

\* ----------------------------------------------------------------------------- the whole

\* What only a program or its user does: nothing makes it happen.
Program ==
    \/ \E t \in Tasks : Acts(t) /\ \E u \in FreeTask, r \in {tregion[t], Here(t)} : Spawn(u, r)
    \/ \E t \in Tasks : Acts(t) /\ \E r \in FreeRegion : Open(t, r)
    \/ \E r \in Regions : BodyEnd(r)
    \/ \E r \in Regions : DropRegion(r)
    \/ \E r \in Deferrers : finalizers[r] < Most /\ Defer(r)
    \/ \E t \in Maskers, on \in BOOLEAN : Acts(t) /\ Mask(t, on)
    \/ \E t \in Tasks, o \in Permits : Acts(t) /\ Reserve(o, tregion[t])
    \/ \E t \in Tasks, o \in Duties : Acts(t) /\ Reserve(o, Here(t))
    \/ \E o \in Obligations : Settle(o)
    \/ \E t \in Tasks : Complete(t)
    \/ \E r \in Regions, severity \in Requests : CancelRegion(r, severity)
    \/ \E t \in Workers, severity \in Requests : CancelTask(t, severity)

\* What the kernel does by itself.
Kernel ==
    \/ \E r \in Regions :
        \/ InheritRegion(r) \/ DropBody(r) \/ Finalize(r) \/ StartFinalizer(r) \/ Close(r)
    \/ \E t \in Tasks : InheritTask(t) \/ DropTask(t) \/ DropFinalizer(t)
    \/ \E o \in Duties : LeakDuty(o)

Next == Program \/ Kernel

Fairness ==
    /\ \A r \in Regions :
        /\ WF_vars(InheritRegion(r)) /\ WF_vars(DropBody(r)) /\ WF_vars(Finalize(r))
        /\ WF_vars(StartFinalizer(r)) /\ WF_vars(Close(r))
    /\ \A t \in Tasks : WF_vars(InheritTask(t)) /\ WF_vars(DropTask(t)) /\ WF_vars(DropFinalizer(t))
    /\ \A o \in Duties : WF_vars(LeakDuty(o))

Spec == Init /\ [][Next]_vars /\ Fairness

\* ------------------------------------------------------------------------------- safety

\* I1, I2: what lives, lives in a region that is not closed.
EverythingHasAnOwner ==
    /\ \A t \in Tasks : Live(t) => Exists(tregion[t])
    /\ \A r \in Regions : Exists(r) => (r = 0 \/ Exists(rparent[r]))
    /\ \A r \in Regions : Exists(r) /\ ropener[r] # Nobody => Live(ropener[r])
\* I3
ClosedOwesNothing == \A o \in Obligations : held[o] # Nowhere => Exists(held[o])
\* I7
FinalizersComeLastOneByOne ==
    \A r \in Regions : rstate[r] = "finalizing" =>
        TasksOf(r) \subseteq {FinalizerOf(r)} /\ \A c \in ChildrenOf(r) : ropener[c] # Nobody => tregion[ropener[c]] = r
DrainingIsCancelled == \A r \in Regions : rstate[r] = "draining" => rcancel[r] > 0

Safety == EverythingHasAnOwner /\ ClosedOwesNothing /\ FinalizersComeLastOneByOne /\ DrainingIsCancelled

\* I4
Monotone ==
    [][ /\ \A r \in Regions : Exists(r) /\ rstate'[r] # "none" => rcancel'[r] >= rcancel[r]
        /\ \A t \in Tasks : Live(t) /\ tregion'[t] # Nowhere => tcancel'[t] >= tcancel[t] ]_vars
NoEntryOnceCancelled ==
    [][ \A t \in Tasks : (~Live(t) /\ tregion'[t] # Nowhere)
        => rcancel[tregion'[t]] = 0 \/ rstate[tregion'[t]] = "finalizing" ]_vars
FinalizersAreRun == [][ \A r \in Regions : (Exists(r) /\ rstate'[r] = "none") => finalizers[r] = 0 ]_vars
DroppedIsCancelled ==
    [][ \A r \in Regions : (ropener[r] # Nobody /\ ropener'[r] = Nobody /\ rstate'[r] # "none")
        => rcancel'[r] > 0 ]_vars

\* ------------------------------------------------------------------------------ symmetry

\* A state without the numbers of tasks and regions: the tree that they form. Who may do more than others is told
\* apart (`Maskers`, `Deferrers`), and so is what hangs in no tree, by its count. Two states of one shape differ in
\* numbers only, and so do their behaviours; TLC keeps one of them. For safety: a cycle of shapes is no cycle of states.
RECURSIVE ShapeOfRegion(_)
ShapeOfTask(t) ==
    LET opened == Opened(t)
        depth(r) == Cardinality({q \in opened : Within(r, q)})
        bodies == [n \in 1..Cardinality(opened) |-> ShapeOfRegion(CHOOSE r \in opened : depth(r) = n)]
        mask == IF tmask[t] = Unmasked THEN 0 ELSE IF tmask[t] = Around THEN 1 ELSE 1 + depth(tmask[t])
    IN <<tcancel[t], mask, t \in Workers, t \in Maskers, bodies>>
ShapeOfRegion(r) ==
    LET tasks == {<<t, ShapeOfTask(t)>> : t \in TasksOf(r)}
        orphans == {<<c, ShapeOfRegion(c)>> : c \in {c \in ChildrenOf(r) : ropener[c] = Nobody}}
        bag(all) == {<<one[2], Cardinality({other \in all : other[2] = one[2]})>> : one \in all}
        owed(kind) == Cardinality({o \in kind : held[o] = r})
    IN <<rstate[r], rcancel[r], finalizers[r], spent[r], r \in Deferrers, owed(Permits), owed(Duties),
         bag(tasks), bag(orphans)>>
Shape ==
    <<ShapeOfRegion(0), Cardinality({t \in Tasks : Live(t)}), Cardinality({r \in Regions : Exists(r)}),
      Cardinality({o \in Obligations : held[o] # Nowhere})>>

\* ----------------------------------------------------------------------------- liveness

\* I5
CancelledRegionsClose == \A r \in Regions : (rcancel[r] > 0) ~> (rcancel[r] = 0)
CancelledTasksEnd == \A t \in Tasks : (tcancel[t] > 0) ~> (tcancel[t] = 0)
=============================================================================
