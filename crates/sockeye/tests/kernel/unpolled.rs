//! What polling does not tell, or tells otherwise, by the tests of it: with `SOCKEYE_TEST_BACKEND=polling` these are not run,
//! and all others must pass. `polling` tests what it tells instead.

/// Why this test is not for what is polled.
pub fn reason(test: &str) -> Option<&'static str> {
    UNPOLLED.iter().find(|(_, tests)| tests.contains(&test)).map(|(reason, _)| *reason)
}

/// All of these tests.
pub fn names() -> impl Iterator<Item = &'static str> {
    UNPOLLED.iter().flat_map(|(_, tests)| tests.iter().copied())
}

const UNPOLLED: [(&str, &[&str]); 6] = [
    ("what is polled has no programs", &["sockets_are_read_in_place_where_the_kernel_can"]),
    (
        "polling finds the owner of what lives when it looks, by who holds it then",
        &[
            "live_counters_equal_those_of_the_kernel_over_ipv4",
            "live_counters_equal_those_of_the_kernel_over_ipv6",
            "every_connection_is_in_its_own_namespace",
            "connections_opened_and_closed_between_two_polls_are_all_told",
            "a_connection_that_its_client_closes_before_it_is_accepted_is_told",
            "a_connection_that_its_listener_closes_before_it_is_accepted_is_told",
            "a_connection_that_was_told_of_its_acceptor_belongs_to_the_child_that_closes_it",
            "a_connected_socket_passed_to_another_process_stays_its_openers",
            "an_accepted_socket_passed_on_after_it_was_told_is_its_closers",
            "a_connect_given_up_before_the_answer_is_abandoned",
            "connections_through_io_uring_are_exact_and_have_owners",
            "a_subflow_that_the_kernel_opens_belongs_to_the_kernel",
        ],
    ),
    (
        "polling is not told why a connection ended, nor of one that was reset before it is closed",
        &[
            "a_reset_is_told_on_both_ends_with_its_cause",
            "a_reset_connection_that_its_owner_keeps_open_is_told_all_the_same",
            "a_refused_connect_is_told_as_a_failure",
            "a_connect_that_finds_no_port_is_unreachable_not_abandoned",
            "a_reset_after_the_peers_close_is_told",
            "a_reset_of_a_half_closed_connection_is_told",
            "a_close_with_unread_data_is_aborted_here_and_reset_there",
            "an_abort_of_a_half_closed_connection_is_no_orderly_end",
            "unread_data_at_the_close_of_a_half_closed_connection_is_no_orderly_end",
            "a_killed_client_with_unread_data_aborts_its_connection",
            "a_connect_rejected_by_icmp_is_refused",
            "a_connect_to_a_host_that_a_router_cannot_reach_is_unreachable",
            "a_connect_that_nobody_answers_times_out",
            "data_that_nobody_acknowledges_times_the_connection_out",
            "a_connection_whose_peer_stops_answering_keepalives_times_out",
            "a_connection_times_out_when_its_user_said",
            "a_connection_cut_by_a_router_is_unreachable",
            "a_close_that_nobody_acknowledges_is_no_orderly_end",
            "a_reset_in_answer_to_the_close_is_told",
            "a_reset_in_answer_to_the_last_close_is_told",
            "a_reset_while_both_ends_close_is_told",
            "a_handshake_that_the_client_resets_is_no_connection_of_the_server",
            "a_connection_killed_by_an_administrator_is_aborted",
            "a_connect_killed_by_an_administrator_is_aborted",
            "the_subflow_of_an_mptcp_connection_is_told_with_what_it_carried",
        ],
    ),
    (
        "polling sees one connection where a socket has several between two looks",
        &[
            "a_socket_that_connects_three_times_is_three_connections",
            "a_disconnected_socket_that_connects_elsewhere_is_another_connection",
        ],
    ),
    (
        "polling takes the FIN for a byte where it cannot know that it came, and has no name without the first numbers",
        &[
            "a_half_closed_connection_lives_on_and_goes_on_counting",
            "data_flows_both_ways_into_a_half_closed_connection_from_either_side",
            "both_ends_of_many_short_connections_agree",
            "both_ends_of_long_connections_agree",
            "bytes_are_exact_with_two_percent_of_packets_lost",
        ],
    ),
    (
        "polling keeps up with some thousand connections per second, and counts no datagrams",
        &[
            "two_hundred_thousand_short_connections_are_each_told_once",
            "held_sockets_are_read_in_every_pass_while_others_churn",
            "everything_at_once_ends_with_created_equal_to_closed_plus_live",
            "an_idle_connection_ends_and_another_begins_with_the_next_datagram",
            "an_answered_connection_stays_longer_than_one_that_was_not",
            "a_translated_address_is_told_as_the_process_wrote_it",
        ],
    ),
];
