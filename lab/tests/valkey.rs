//! The Valkey that tests use, in all that they do to it.
#![expect(clippy::unwrap_used, reason = "a test ends where something is not as it should be")]

use std::time::Duration;

use lab::port::is_free;
use lab::valkey::Valkey;
use tokio::time::timeout;

async fn answers(valkey: &Valkey, command: &str, expected: &str) {
    assert_eq!(valkey.command(command).await.unwrap(), expected, "{command}");
}

#[tokio::test]
async fn what_was_killed_comes_back_empty_where_it_was() {
    let mut valkey = Valkey::start().await.unwrap();
    let url = valkey.url();
    answers(&valkey, "SET a 1", "+OK").await;
    answers(&valkey, "DBSIZE", ":1").await;
    valkey.kill().unwrap();
    assert!(valkey.command("PING").await.is_err());
    valkey.restart().await.unwrap();
    assert_eq!(valkey.url(), url);
    answers(&valkey, "DBSIZE", ":0").await;
}

#[tokio::test]
async fn what_is_paused_says_nothing_until_it_goes_on_and_has_forgotten_nothing() {
    let mut valkey = Valkey::start().await.unwrap();
    answers(&valkey, "SET a 1", "+OK").await;
    valkey.pause().unwrap();
    assert!(timeout(Duration::from_millis(300), valkey.command("DBSIZE")).await.is_err());
    valkey.resume().unwrap();
    answers(&valkey, "DBSIZE", ":1").await;
}

#[tokio::test]
async fn a_paused_one_can_be_killed_and_ends_with_the_test() {
    let mut valkey = Valkey::start().await.unwrap();
    let address = valkey.address();
    valkey.pause().unwrap();
    valkey.restart().await.unwrap();
    valkey.pause().unwrap();
    drop(valkey);
    assert!(is_free(address));
}

#[tokio::test]
async fn two_at_once_are_two_and_settings_are_taken() {
    let (one, clustered) =
        tokio::join!(Valkey::start(), Valkey::start_with(&["--cluster-enabled", "yes", "--maxmemory", "128mb"]));
    let (one, clustered) = (one.unwrap(), clustered.unwrap());
    answers(&clustered, "CLUSTER ADDSLOTSRANGE 0 16383", "+OK").await;
    answers(&one, "SET a 1", "+OK").await;
    answers(&one, "DBSIZE", ":1").await;
    answers(&clustered, "DBSIZE", ":0").await;
}

#[tokio::test]
async fn one_that_is_filled_refuses_before_the_machine_suffers() {
    let valkey = Valkey::start().await.unwrap();
    answers(&valkey, "SETRANGE a 70000000 x", ":70000001").await;
    let refused = valkey.command("SET b 1").await.unwrap();
    assert!(refused.starts_with("-OOM"), "{refused}");
}
