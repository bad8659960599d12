//! Requests that no honest client sends: each is refused or harmless, and none of them harms anybody else.
//!
//! What is sent, what may come of it, and why it is there stands in `corpus/`, a file for each class:
//!
//! * `corpus`: how such a file is read
//! * `bytes`: what is sent for a case
//! * `stage`: an edge with everybody whose credentials a class needs, and two witnesses behind it
//! * `right`: whether a request had a right to arrive, judged without asking the filter
//! * `judge`: whether what came of a case is what may
//! * `run`: all cases of a class, one after the other, and a valid request on every worker behind each

mod bytes;
mod corpus;
mod judge;
mod right;
mod run;
mod stage;

/// A test for each class, so that they run beside each other.
macro_rules! classes {
    ($($name:ident: $file:literal,)*) => {$(
        #[tokio::test(flavor = "multi_thread")]
        async fn $name() {
            run::class(include_str!(concat!("corpus/", $file))).await;
        }
    )*};
}

classes! {
    no_second_header_hides_behind_a_first: "duplicates.yaml",
    no_value_is_too_odd: "values.yaml",
    no_scheme_is_taken_for_another: "schemes.yaml",
    no_path_has_a_second_reading: "paths.yaml",
    no_target_is_taken_for_a_path: "targets.yaml",
    nobody_but_the_filter_says_who_somebody_is: "identity.yaml",
    no_upstream_says_who_somebody_is: "answers.yaml",
    no_hop_takes_a_header_from_the_next: "hops.yaml",
    no_pseudo_header_is_read_twice: "pseudo_headers.yaml",
    no_upgrade_goes_past_the_filter: "upgrades.yaml",
    no_browser_is_let_in_for_where_it_comes_from: "origins.yaml",
    no_host_stands_for_another: "hosts.yaml",
    nobody_acts_for_a_team_that_is_not_theirs: "delegation.yaml",
    nothing_but_a_login_is_open_like_one: "logins.yaml",
    no_trailer_speaks_for_a_header: "trailers.yaml",
    no_request_hides_in_another: "smuggling.yaml",
    no_size_is_too_much: "sizes.yaml",
    no_call_is_let_in_for_being_grpc: "grpc.yaml",
    no_token_but_a_good_one_is_taken: "tokens.yaml",
}
