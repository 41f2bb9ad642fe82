(** The small algebra of the kernel, proved: severities, outcomes, budgets, reasons, and that cleanup
    ends within its budget. The definitions are compared with the kernel's own, value by value, by
    [cargo xtask formal]: see the last part. *)

From Coq Require Import Arith Lia List Bool.
Import ListNotations.

(** * Severities of outcomes: a chain, and its join *)

Inductive severity := Ok | Err | Cancelled | Panicked.

Definition rank (s : severity) : nat :=
  match s with Ok => 0 | Err => 1 | Cancelled => 2 | Panicked => 3 end.

Definition join (a b : severity) : severity := if rank a <? rank b then b else a.

Lemma rank_injective a b : rank a = rank b -> a = b.
Proof. destruct a, b; simpl; congruence. Qed.

Theorem join_commutative a b : join a b = join b a.
Proof. destruct a, b; reflexivity. Qed.

Theorem join_associative a b c : join a (join b c) = join (join a b) c.
Proof. destruct a, b, c; reflexivity. Qed.

Theorem join_idempotent a : join a a = a.
Proof. destruct a; reflexivity. Qed.

Theorem ok_is_the_identity a : join Ok a = a.
Proof. destruct a; reflexivity. Qed.

Theorem join_is_an_upper_bound a b : rank a <= rank (join a b) /\ rank b <= rank (join a b).
Proof. destruct a, b; simpl; lia. Qed.

Theorem join_is_the_least_upper_bound a b c :
  rank a <= rank c -> rank b <= rank c -> rank (join a b) <= rank c.
Proof. destruct a, b, c; simpl; lia. Qed.

(** * Outcomes: the worse of two, and of two equally bad ones the first *)

Section Outcomes.
  Variables T E R P : Type.

  Inductive outcome :=
    | OOk (value : T)
    | OErr (error : E)
    | OCancelled (reason : R)
    | OPanicked (payload : P).

  Definition severity_of (o : outcome) : severity :=
    match o with
    | OOk _ => Ok
    | OErr _ => Err
    | OCancelled _ => Cancelled
    | OPanicked _ => Panicked
    end.

  (** What a region keeps of two children's ends. *)
  Definition worse (a b : outcome) : outcome :=
    if rank (severity_of a) <? rank (severity_of b) then b else a.

  Theorem worse_joins_severities a b :
    severity_of (worse a b) = join (severity_of a) (severity_of b).
  Proof. unfold worse, join. destruct (_ <? _); reflexivity. Qed.

  Theorem worse_associative a b c : worse a (worse b c) = worse (worse a b) c.
  Proof. destruct a, b, c; reflexivity. Qed.

  Theorem worse_keeps_the_first a b :
    severity_of a = severity_of b -> worse a b = a.
  Proof. unfold worse. intros ->. now rewrite Nat.ltb_irrefl. Qed.

  (** Not commutative on payloads: lattice laws hold for severities only. *)
  Theorem worse_is_commutative_in_severity a b :
    severity_of (worse a b) = severity_of (worse b a).
  Proof. rewrite !worse_joins_severities. apply join_commutative. Qed.
End Outcomes.

(** * Budgets: a bounded meet-semilattice *)

(** A limit; none is no limit. *)
Definition limit := option nat.

Definition tighter (a b : limit) : limit :=
  match a, b with
  | Some a, Some b => Some (Nat.min a b)
  | Some a, None => Some a
  | None, b => b
  end.

Record budget := { deadline : limit; timeout : limit; polls : limit; cost : limit; priority : nat }.

Definition meet (a b : budget) : budget :=
  {| deadline := tighter (deadline a) (deadline b);
     timeout := tighter (timeout a) (timeout b);
     polls := tighter (polls a) (polls b);
     cost := tighter (cost a) (cost b);
     priority := Nat.max (priority a) (priority b) |}.

Definition unlimited : budget :=
  {| deadline := None; timeout := None; polls := None; cost := None; priority := 0 |}.

Lemma tighter_commutative a b : tighter a b = tighter b a.
Proof. destruct a, b; simpl; trivial. now rewrite Nat.min_comm. Qed.

Lemma tighter_associative a b c : tighter a (tighter b c) = tighter (tighter a b) c.
Proof. destruct a, b, c; simpl; trivial. now rewrite Nat.min_assoc. Qed.

Lemma tighter_idempotent a : tighter a a = a.
Proof. destruct a; simpl; trivial. now rewrite Nat.min_id. Qed.

Lemma tighter_identity a : tighter a None = a.
Proof. destruct a; reflexivity. Qed.

Theorem meet_commutative a b : meet a b = meet b a.
Proof.
  unfold meet. f_equal; auto using tighter_commutative, Nat.max_comm.
Qed.

Theorem meet_associative a b c : meet a (meet b c) = meet (meet a b) c.
Proof. unfold meet; simpl. f_equal; auto using tighter_associative, Nat.max_assoc. Qed.

Theorem meet_idempotent a : meet a a = a.
Proof.
  destruct a; unfold meet; simpl. now rewrite !tighter_idempotent, Nat.max_id.
Qed.

Theorem unlimited_is_the_identity a : meet a unlimited = a.
Proof.
  destruct a; unfold meet; simpl. now rewrite !tighter_identity, Nat.max_0_r.
Qed.

Definition within (a b : limit) : Prop :=
  match a, b with
  | _, None => True
  | Some a, Some b => a <= b
  | None, Some _ => False
  end.

(** A child's budget is never looser than its parent's. *)
Theorem a_child_is_never_looser child parent :
  within (deadline (meet child parent)) (deadline parent) /\
  within (polls (meet child parent)) (polls parent) /\
  within (cost (meet child parent)) (cost parent).
Proof.
  destruct child as [d t p c q], parent as [d' t' p' c' q']; simpl.
  destruct d, d', p, p', c, c'; simpl; repeat split; trivial; lia.
Qed.

(** A timeout becomes a deadline when the budget takes effect; that commutes with [meet]. *)
Definition effective_at (now : nat) (b : budget) : budget :=
  {| deadline := tighter (deadline b) (option_map (Nat.add now) (timeout b));
     timeout := None; polls := polls b; cost := cost b; priority := priority b |}.

Theorem taking_effect_commutes_with_meet now a b :
  effective_at now (meet a b) = meet (effective_at now a) (effective_at now b).
Proof.
  destruct a as [d t p c q], b as [d' t' p' c' q']. unfold effective_at, meet; simpl. f_equal.
  destruct d, d', t, t'; simpl; trivial; f_equal; lia.
Qed.

(** * Reasons: only a strictly more severe one replaces another *)

Inductive kind := User | Timeout | Quota | FailFast | RaceLost | ParentCancelled | Shutdown.

Definition level (k : kind) : nat :=
  match k with
  | User => 0 | Timeout => 1 | Quota => 2 | FailFast => 3 | RaceLost => 4
  | ParentCancelled => 5 | Shutdown => 6
  end.

Definition strengthens (reason : kind) (current : option kind) : bool :=
  match current with None => true | Some current => level current <? level reason end.

Definition strengthen (current : option kind) (reason : kind) : option kind :=
  if strengthens reason current then Some reason else current.

Definition level_of (current : option kind) : nat :=
  match current with None => 0 | Some k => S (level k) end.

Theorem severity_never_falls current reason :
  level_of current <= level_of (strengthen current reason).
Proof. destruct current as [[]|], reason; simpl; lia. Qed.

Theorem strengthening_twice_is_strengthening_once current reason :
  strengthen (strengthen current reason) reason = strengthen current reason.
Proof. destruct current as [[]|], reason; reflexivity. Qed.

(** The order of requests does not matter for what is left in the end. *)
Theorem requests_commute current a b :
  strengthen (strengthen current a) b = strengthen (strengthen current b) a.
Proof. destruct current as [[]|], a, b; reflexivity. Qed.

(** * Cleanup ends *)

Definition cleanup_seconds (k : kind) : nat :=
  match k with
  | User => 10 | Timeout => 8 | Quota => 6 | FailFast => 5 | RaceLost => 4
  | ParentCancelled => 3 | Shutdown => 2
  end.

Theorem cleanup_shrinks_as_severity_grows a b :
  level a < level b -> cleanup_seconds b < cleanup_seconds a.
Proof. destruct a, b; simpl; lia. Qed.

(** A body, poll by poll: it ends at a poll, or goes on. [run fuel] is what the kernel does with a
    cancelled one that has [fuel] polls left: it polls until the body ends, and drops it when none is
    left (R-QUOTA-CLEANUP). *)
Section Cleanup.
  Variable State : Type.
  Variable poll : State -> State + unit.

  Inductive ending := Finished (used : nat) | Dropped.

  Fixpoint run (fuel used : nat) (state : State) : ending :=
    match fuel with
    | 0 => Dropped
    | S fuel =>
        match poll state with
        | inr _ => Finished (S used)
        | inl next => run fuel (S used) next
        end
    end.

  (** The body would end by itself after [n] more polls. *)
  Inductive needs : State -> nat -> Prop :=
    | needs_one s : poll s = inr tt -> needs s 1
    | needs_more s s' n : poll s = inl s' -> needs s' n -> needs s (S n).

  (** With a sufficient budget a cleanup is not cut short. *)
  Theorem a_sufficient_budget_finishes s n :
    needs s n -> forall fuel used, n <= fuel -> run fuel used s = Finished (used + n).
  Proof.
    induction 1 as [s ends | s s' n goes_on _ IH]; intros fuel used enough.
    - destruct fuel; [lia|]. simpl. rewrite ends. f_equal. lia.
    - destruct fuel; [lia|]. simpl. rewrite goes_on, IH by lia. f_equal. lia.
  Qed.

  (** And with any budget it ends: no run uses more polls than it has. *)
  Theorem cleanup_is_bounded fuel : forall used s,
    run fuel used s = Dropped \/ exists n, run fuel used s = Finished n /\ n <= used + fuel.
  Proof.
    induction fuel as [|fuel IH]; intros used s; simpl; [now left|].
    destruct (poll s) as [next|].
    - destruct (IH (S used) next) as [dropped | [n [finished bound]]]; [now left|].
      right. exists n. split; [assumption | lia].
    - right. exists (S used). split; [reflexivity | lia].
  Qed.
End Cleanup.

(** A task may be cancelled again while it cleans up, but only ever more severely: so at most seven
    times, and the polls of all its cleanups together are bounded. *)
Fixpoint requests_taken (current : option kind) (reasons : list kind) : nat :=
  match reasons with
  | [] => 0
  | reason :: rest =>
      (if strengthens reason current then 1 else 0) + requests_taken (strengthen current reason) rest
  end.

Lemma taken_raises current reason :
  strengthens reason current = true ->
  level_of current < level_of (strengthen current reason).
Proof. destruct current as [[]|], reason; simpl; try discriminate; lia. Qed.

Lemma level_is_bounded current : level_of current <= 7.
Proof. destruct current as [[]|]; simpl; lia. Qed.

Theorem a_task_is_cancelled_at_most_seven_times reasons :
  forall current, requests_taken current reasons + level_of current <= 7.
Proof.
  induction reasons as [|reason rest IH]; intros current; simpl.
  - apply level_is_bounded.
  - specialize (IH (strengthen current reason)).
    destruct (strengthens reason current) eqn:taken.
    + apply taken_raises in taken. lia.
    + pose proof (severity_never_falls current reason). lia.
Qed.

(** * Tables, for comparison with the kernel *)

Definition severities := [Ok; Err; Cancelled; Panicked].
Definition kinds := [User; Timeout; Quota; FailFast; RaceLost; ParentCancelled; Shutdown].
Definition limits := [None; Some 0; Some 1; Some 2].

Definition as_number (l : limit) : nat := match l with None => 0 | Some n => S n end.

Definition join_table := flat_map (fun a => map (fun b => rank (join a b)) severities) severities.
Definition strengthens_table :=
  flat_map (fun a => (if strengthens a None then 1 else 0)
    :: map (fun b => if strengthens a (Some b) then 1 else 0) kinds) kinds.
Definition tighter_table :=
  flat_map (fun a => map (fun b => as_number (tighter a b)) limits) limits.
Definition cleanup_table := map cleanup_seconds kinds.
Definition effective_table :=
  flat_map (fun d => map (fun t => as_number (deadline (effective_at 1
    {| deadline := d; timeout := t; polls := None; cost := None; priority := 0 |}))) limits) limits.
Definition priority_table := flat_map (fun a => map (fun b => priority (meet
    {| deadline := None; timeout := None; polls := None; cost := None; priority := a |}
    {| deadline := None; timeout := None; polls := None; cost := None; priority := b |}))
  [0; 1; 2]) [0; 1; 2].

(** Endings with a payload that tells whose they are. *)
Definition endings (whose : nat) : list (outcome nat nat nat nat) :=
  [OOk nat nat nat nat whose; OErr nat nat nat nat whose; OCancelled nat nat nat nat whose;
   OPanicked nat nat nat nat whose].
Definition whose (o : outcome nat nat nat nat) : nat :=
  match o with
  | OOk _ _ _ _ n | OErr _ _ _ _ n | OCancelled _ _ _ _ n | OPanicked _ _ _ _ n => n
  end.
Definition worse_table := flat_map (fun a => map (fun b => whose (worse nat nat nat nat a b))
  (endings 2)) (endings 1).

(* One line each, in this order: the comparison reads them. *)
Set Printing Width 100000.
Set Printing Depth 100000.
Eval compute in join_table.
Eval compute in strengthens_table.
Eval compute in tighter_table.
Eval compute in cleanup_table.
Eval compute in effective_table.
Eval compute in priority_table.
Eval compute in worse_table.

Print Assumptions join_is_the_least_upper_bound.
Print Assumptions worse_associative.
Print Assumptions meet_associative.
Print Assumptions a_child_is_never_looser.
Print Assumptions taking_effect_commutes_with_meet.
Print Assumptions requests_commute.
Print Assumptions a_sufficient_budget_finishes.
Print Assumptions cleanup_is_bounded.
Print Assumptions a_task_is_cancelled_at_most_seven_times.
