-------------------------------- MODULE Trace --------------------------------
\* Whether recorded runs of the kernel are behaviours of the model (trace validation: Cirstea, Kuppe, Loillier and
\* Merz, "Validating Traces of Distributed Programs Against TLA+ Specifications", 2024).
\*
\* `Recorded` is made by conformance/tests/traces.rs from runs in the lab: `Runs`, each a sequence of steps. A step is a
\* number: an action and up to three arguments, as taken apart below. Every run is an initial state of its own,
\* from which there is one way on, or none where the model does not allow what the kernel did: then TLC reports a
\* deadlock, and shows the state and the step.
EXTENDS Kernel, Sequences, Recorded

VARIABLES run, at

Left == at <= Len(Runs[run])
Step == Runs[run][at]
A == (Step \div 32) % 64
B == (Step \div 2048) % 64
C == Step \div 131072

Does(action) == Left /\ Step % 32 = action /\ at' = at + 1 /\ UNCHANGED run

\* Who acts may act; what is new gets the number that is free; what is inherited is what there is to inherit.
SpawnStep == Does(1) /\ Acts(A) /\ B \in FreeTask /\ C \in {tregion[A], Here(A)} /\ Spawn(B, C)
OpenStep == Does(2) /\ Acts(A) /\ B \in FreeRegion /\ Here(A) = C /\ Open(A, B)
BodyEndStep == Does(3) /\ BodyEnd(A)
DropRegionStep == Does(4) /\ DropRegion(A)
DropBodyStep == Does(5) /\ DropBody(A)
DeferStep == Does(6) /\ Defer(A)
MaskStep == Does(7) /\ Acts(A) /\ Mask(A, B = 1)
ReserveStep == Does(8) /\ Acts(B) /\ Reserve(A, IF A \in Permits THEN tregion[B] ELSE Here(B))
SettleStep == Does(9) /\ Settle(A)
CompleteStep == Does(10) /\ Complete(A)
CancelRegionStep == Does(11) /\ CancelRegion(A, B)
InheritRegionStep == Does(12) /\ Inherited(A) = B /\ InheritRegion(A)
CancelTaskStep == Does(13) /\ CancelTask(A, B)
InheritTaskStep == Does(14) /\ rcancel[tregion[A]] = B /\ InheritTask(A)
DropTaskStep == Does(15) /\ DropTask(A)
DropFinalizerStep == Does(16) /\ DropFinalizer(A)
FinalizeStep == Does(17) /\ Finalize(A)
StartFinalizerStep == Does(18) /\ StartFinalizer(A)
LeakDutyStep == Does(19) /\ LeakDuty(A)
CloseStep == Does(20) /\ Close(A)
\* The host gives the run up (R-STALL), which cuts through every mask: the model does not know that.
GiveUpStep == Does(21) /\ UNCHANGED vars
Over == ~Left /\ UNCHANGED <<vars, run, at>>

TraceInit == Init /\ run \in 1..Len(Runs) /\ at = 1

TraceNext ==
    \/ SpawnStep \/ OpenStep \/ BodyEndStep \/ DropRegionStep \/ DropBodyStep \/ DeferStep \/ MaskStep
    \/ ReserveStep \/ SettleStep \/ CompleteStep \/ CancelRegionStep \/ InheritRegionStep \/ CancelTaskStep
    \/ InheritTaskStep \/ DropTaskStep \/ DropFinalizerStep \/ FinalizeStep \/ StartFinalizerStep
    \/ LeakDutyStep \/ CloseStep \/ GiveUpStep \/ Over

TraceSpec == TraceInit /\ [][TraceNext]_<<vars, run, at>>

\* A run is over when its root is closed, and with it everything; or it was given up.
EndsClosed ==
    \/ Left \/ Runs[run][at - 1] % 32 = 21
    \/ ((\A r \in Regions : ~Exists(r)) /\ (\A t \in Tasks : ~Live(t)))
=============================================================================
