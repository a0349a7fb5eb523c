//! Conformance of the store's engines: one suite for both, then what only the embedded one can do.

mod churn;
mod embedded;
mod forget;
mod kit;
mod letters;
mod load;
mod power;
mod suite;
mod threads;

/// Runs each test of the suite on both engines; at the end the books must balance.
macro_rules! on_both_engines {
    ($($suite:ident: $($test:ident),* ;)*) => {
        mod on_embedded {
            $($(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                let home = super::kit::Home::new();
                let (store, _) = home.open();
                super::$suite::$test(&store).await;
                home.finish(store).await;
            })*)*
        }

        mod on_memory {
            $($(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                let store: super::kit::Engine = std::sync::Arc::new(vestibule::store::memory::Memory::new());
                super::$suite::$test(&store).await;
                super::kit::assert_books_balance(&store).await;
            })*)*
        }
    };
}

on_both_engines!(
    suite:
    an_unknown_sender_has_version_zero,
    a_request_is_read_back_with_its_mail,
    one_of_many_copies_is_taken,
    a_copy_counts_again_after_the_window,
    a_plan_for_several_projects_is_one_step,
    stale_plans_leave_nothing_behind,
    a_busy_known_sender_is_never_stale,
    numbers_are_given_once_and_without_gaps,
    a_hold_waits_and_is_released,
    a_drop_at_release_frees_the_key,
    a_hold_that_has_ended_is_gone,
    a_verification_is_redeemed_once,
    a_redemption_strands_no_arriving_mail,
    disowning_keeps_the_address_quiet,
    a_release_that_is_given_up_strands_nothing,
    the_mails_of_a_verification_are_followed,
    a_dead_workers_jobs_are_given_out_again,
    a_settlement_that_failed_leaves_the_lease,
    jobs_come_when_they_are_due,
    whoever_waits_for_jobs_is_woken,
    lanes_spread_what_is_sent,
    forwards_carry_the_mail,
    an_acknowledgement_names_the_request_ahead_of_it,
    acknowledgements_are_capped_by_the_day,
    a_mail_that_comes_back_is_marked,
    a_confirmation_is_found_by_its_token_until_it_is_swept,
    accounts_are_listed_page_by_page,
    comments_stand_in_order,
    lists_are_paged_and_filtered,
    a_follower_misses_no_commit,
    decisions_tell_their_trail,
    the_sweep_takes_what_is_past_its_time,
    what_is_past_its_retention_is_gone,
    a_drop_is_decided_again_once,
    a_closed_store_refuses,
    a_foreign_cursor_is_refused;
    threads:
    a_thread_is_found_by_its_mails_and_knows_who_is_in_it,
    a_thread_follows_its_mail_from_the_hold_to_the_request,
    a_message_id_that_many_mails_have_fills_one_small_row,
    a_request_is_closed_and_a_comment_opens_it,
    a_thread_is_never_seen_half_way;
    forget:
    a_person_is_forgotten_and_the_books_add_up,
    whoever_was_forgotten_begins_anew,
    an_unknown_address_leaves_no_trace,
    forgetting_rests_on_what_was_read;
);
