//! The list of cases.

mod branch;
mod budget;
mod cancel;
mod children;
mod close;
mod failure;
mod finalize;
mod park;
mod promise;
mod soft;

use crate::case::Case;

macro_rules! cases {
    ($d:tt $($module:ident { $($name:ident)+ })+) => {
        /// Every case.
        #[must_use]
        pub fn all() -> Vec<Case> {
            vec![$($($module::$name(stringify!($name))),+),+]
        }

        /// One `#[test]` a case, each on the runtime that the given expression makes.
        #[macro_export]
        macro_rules! conformance {
            ($d runtime:expr) => {
                $($(
                    #[test]
                    fn $name() {
                        $crate::check::passes($d runtime, stringify!($name));
                    }
                )+)+
            };
        }
    };
}

cases! { $
    close {
        region_close_waits_for_three_live_children
        a_spawn_racing_with_close_ends_before_it_or_is_refused_and_dropped_once
        a_refused_task_answers_its_join
        main_returning_early_still_drains_and_finalizes_its_children
        dropping_a_regions_future_orphans_nothing
        a_run_inside_a_run_is_refused_at_once
        a_dropped_promise_is_in_the_regions_report
        a_forgotten_promise_is_in_the_regions_report
    }
    budget {
        a_deadline_fires_in_a_task_parked_on_a_channel_never_sent_to
        a_deadline_of_a_task_that_is_joined_is_the_joiners_matter
        a_poll_quota_stops_a_task_that_yields_for_ever
        a_cost_quota_stops_the_task_that_overdraws_it
        a_spent_cleanup_budget_escalates_and_names_the_straggler
    }
    park {
        cancel_reaches_a_task_parked_in_sleep
        cancel_reaches_a_task_parked_in_read_exact
        cancel_reaches_a_task_parked_in_lock
        cancel_reaches_a_task_parked_in_recv
    }
    cancel {
        a_masked_section_with_three_awaits_completes_before_cancel_is_seen
        concurrent_user_and_shutdown_cancels_leave_shutdown_everywhere
        a_milder_cancel_does_not_replace_a_more_severe_one
        cancelling_a_region_reaches_its_grandchildren
        a_cancelled_join_returns_while_the_child_goes_on
        dropping_a_join_leaves_the_child_alone
        a_wait_in_a_cancelled_scope_does_not_look_at_its_event
    }
    failure {
        a_panic_in_a_body_cancels_and_drains_its_siblings
        fail_fast_yields_the_error_that_caused_it
        collect_all_lets_the_siblings_finish
    }
    finalize {
        finalizers_run_last_first_and_once
        finalizers_run_after_the_children_have_ended
        a_cancelled_regions_finalizers_run_to_their_end
        a_cancellation_during_finalizing_is_not_seen_by_the_finalizers
    }
    children {
        services_are_cancelled_after_the_others_have_ended
        a_service_keeps_no_region_open
        who_waits_for_a_task_to_get_ready_hears_of_it
        who_waits_for_a_task_to_get_ready_hears_that_it_never_will
        no_more_children_run_than_the_limit_allows
        a_group_hands_out_its_children_as_they_end
    }
    soft {
        what_is_asked_to_finish_may_end_by_itself
        a_wish_that_is_not_heard_is_a_cancellation_when_its_grace_is_over
    }
    promise {
        tasks_have_the_same_names_in_every_run
        what_is_sent_arrives_once
        what_is_sent_to_nobody_is_handed_back
        a_task_of_a_narrowed_scope_has_no_more_than_its_scope
    }
    branch {
        timeout_around_a_foreign_future_that_never_wakes_returns
        a_loser_has_been_cleaned_up_when_its_race_returns
        a_time_limit_leaves_the_task_around_it_alone
    }
}
