
\* The skeleton: what the kernel allows. A model of the program adds its variables and actions here.
VARIABLES task, region, obligation, at
state == <<task, region, obligation>>

Init == /\ task = [t \in Tasks |-> "none"]
        /\ region = [r \in Regions |-> "none"]
        /\ obligation = [o \in Obligations |-> "none"]

IsThere(r) == region[r] \in {"open", "closing", "finalizing"}

Open(r) == /\ region[r] = "none"
           /\ IF Parent[r] = -1 THEN TRUE ELSE IsThere(Parent[r])
           /\ region' = [region EXCEPT ![r] = "open"]
           /\ UNCHANGED <<task, obligation>>

Spawn(t) == /\ task[t] = "none"
            /\ region[Home[t]] \in IF t \in Finalizers THEN {"finalizing"} ELSE {"open", "closing"}
            /\ task' = [task EXCEPT ![t] = "live"]
            /\ UNCHANGED <<region, obligation>>

Complete(t) == /\ task[t] = "live"
               /\ task' = [task EXCEPT ![t] = "done"]
               /\ UNCHANGED <<region, obligation>>

IsEmpty(r) == /\ \A t \in Tasks : Home[t] = r => task[t] # "live"
              /\ \A c \in Regions : Parent[c] = r => ~IsThere(c)

Closing(r) == /\ region[r] = "open"
              /\ region' = [region EXCEPT ![r] = "closing"]
              /\ UNCHANGED <<task, obligation>>

Finalizing(r) == /\ region[r] = "closing" /\ IsEmpty(r)
                 /\ region' = [region EXCEPT ![r] = "finalizing"]
                 /\ UNCHANGED <<task, obligation>>

Close(r) == /\ region[r] \in {"closing", "finalizing"} /\ IsEmpty(r)
            /\ region' = [region EXCEPT ![r] = "closed"]
            /\ UNCHANGED <<task, obligation>>

Reserve(o) == /\ obligation[o] = "none"
              /\ obligation' = [obligation EXCEPT ![o] = "held"]
              /\ UNCHANGED <<task, region>>

Resolve(o) == /\ obligation[o] = "held"
              /\ obligation' = [obligation EXCEPT ![o] = "settled"]
              /\ UNCHANGED <<task, region>>

Next == \/ \E r \in Regions : Open(r) \/ Closing(r) \/ Finalizing(r) \/ Close(r)
        \/ \E t \in Tasks : Spawn(t) \/ Complete(t)
        \/ \E o \in Obligations : Reserve(o) \/ Resolve(o)

Spec == Init /\ [][Next]_state

Typed == /\ task \in [Tasks -> {"none", "live", "done"}]
         /\ region \in [Regions -> {"none", "open", "closing", "finalizing", "closed"}]
         /\ obligation \in [Obligations -> {"none", "held", "settled"}]

\* No task and no region outlives the region it is in.
ClosedIsEmpty == \A r \in Regions : region[r] = "closed" => IsEmpty(r)

\* When everything is closed, nothing is owed.
ClosedIsSettled == (\A r \in Regions : region[r] = "closed") =>
                   \A o \in Obligations : obligation[o] # "held"

\* The recorded order.
Apply(e) == CASE e[1] = "open" -> Open(e[2])
              [] e[1] = "spawn" -> Spawn(e[2])
              [] e[1] = "complete" -> Complete(e[2])
              [] e[1] = "closing" -> Closing(e[2])
              [] e[1] = "finalizing" -> Finalizing(e[2])
              [] e[1] = "close" -> Close(e[2])
              [] e[1] = "reserve" -> Reserve(e[2])
              [] e[1] = "resolve" -> Resolve(e[2])

TraceNext == at <= Len(Log) /\ Apply(Log[at]) /\ at' = at + 1
TraceSpec == /\ Init /\ at = 1
             /\ [][TraceNext]_<<state, at>>
             /\ WF_<<state, at>>(TraceNext)
Followed == <>(at = Len(Log) + 1)
====
