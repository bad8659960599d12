//! The endpoints of nodes, and what operators look at.

use std::borrow::Cow;

use utoipa::{
    PartialSchema, ToSchema,
    openapi::{
        RefOr, Schema,
        schema::{ObjectBuilder, Type},
    },
};

use super::{
    endpoint::{Endpoint, JSON},
    rules,
};
use crate::api::wire::FleetList;

const BINARY: &str = "application/octet-stream";

pub(super) fn fleet() -> Vec<Endpoint> {
    vec![
        Endpoint::get("/v1/fleet", "showFleet", "Show the nodes that called within seven days")
            .admin()
            .answers::<FleetList>(200, "The nodes, in the order of their names."),
        Endpoint::delete("/v1/fleet/{node}", "forgetNode", "Forget a node that has ended")
            .described(
                "Nodes that no longer call may still serve what they had, and changes that wait name them. Whoever knows \
                 that one has ended says so here. One that calls again is remembered again.",
            )
            .admin()
            .named::<rules::NodeText>("node")
            .changes()
            .done("It is forgotten.")
            .refuses(409, "It still calls."),
    ]
}

pub(super) fn nodes() -> Vec<Endpoint> {
    vec![
        Endpoint::get("/node/v1/snapshot", "snapshot", "Read the table, page by page")
            .node()
            .query::<rules::CursorText>("after", "Where the page before ended.")
            .required_query::<rules::WholeNumber>("nonce", "A number of the node's choice; the page repeats it.")
            .answers_with::<Page>(200, "A sealed page.", BINARY)
            .refuses(400, "A parameter breaks a rule."),
        Endpoint::get("/node/v1/changes", "changes", "Read changes, and wait for one")
            .node()
            .required_query::<rules::WholeNumber>("after", "The revision that the node has.")
            .required_query::<rules::WholeNumber>("nonce", "A number of the node's choice; the page repeats it.")
            .query::<rules::WholeNumber>("wait", "How long to wait for a change, in seconds; 300 at most.")
            .answers_with::<Page>(200, "A sealed page.", BINARY)
            .refuses(400, "A parameter breaks a rule.")
            .refuses(409, "This database has not come to that revision.")
            .refuses(410, "Changes are not known that far back; take a snapshot."),
        Endpoint::post("/node/v1/ledger", "reportUsage", "Report usage, counted once per node, epoch and number")
            .node()
            .takes::<Report>()
            .answers_nothing(204, "It is counted, or was before."),
        Endpoint::post("/node/v1/leases", "askForLeases", "Settle what was spent of the fleet's quotas, and be lent more")
            .described(
                "All counts are sums since the node began with the account, so a question or an answer that is lost, \
                 doubled or overtaken by another neither loses nor makes a token. After an outage, answers only settle for \
                 three seconds. What is said of teams and enterprises that do not exist is left out of the answer.",
            )
            .node()
            .takes::<LeaseQuestion>()
            .answers_with::<LeaseAnswer>(200, "What is lent, sealed.", BINARY)
            .refuses(503, "The books, or the database, cannot be reached; what was lent before may be spent."),
    ]
}

pub(super) fn health() -> Vec<Endpoint> {
    vec![
        Endpoint::get("/healthz", "healthz", "Whether the process is up").answers_with::<PlainText>(
            200,
            "It is.",
            "text/plain; charset=utf-8",
        ),
        Endpoint::get("/readyz", "readyz", "Whether the database answers and can be written")
            .answers_with::<PlainText>(200, "It does.", "text/plain; charset=utf-8")
            .refuses(503, "It does not, or the service is ending."),
        Endpoint::get("/metrics", "metrics", "What is counted, as Prometheus reads it")
            .answers_with::<PlainText>(
                200,
                "OpenMetrics text.",
                "application/openmetrics-text; version=1.0.0; charset=utf-8",
            )
            .stored(),
        Endpoint::get("/openapi.json", "openapi", "This document").answers_with::<AnyObject>(200, "OpenAPI 3.1.", JSON),
        Endpoint::get("/docs", "docs", "This document, to be read").answers_with::<PlainText>(
            200,
            "A page that needs nothing else.",
            "text/html; charset=utf-8",
        ),
    ]
}

macro_rules! plain {
    ($($(#[doc = $about:literal])+ $name:ident: $schema:expr;)+) => {
        $(
            $(#[doc = $about])+
            struct $name;

            impl PartialSchema for $name {
                fn schema() -> RefOr<Schema> {
                    let schema: ObjectBuilder = $schema;
                    schema.description(Some(concat!($($about),+).trim_ascii_start())).into()
                }
            }

            impl ToSchema for $name {
                fn name() -> Cow<'static, str> {
                    stringify!($name).into()
                }
            }
        )+
    };
}

plain! {
    /// A page of the table in the binary form of `tollkeeper_contract::page`, sealed with HMAC-SHA256.
    Page: ObjectBuilder::new().schema_type(Type::String).content_encoding("binary");
    /// `TKL1`, a JSON object (`tollkeeper_contract::lease::Answer`), and its seal: HMAC-SHA256.
    LeaseAnswer: ObjectBuilder::new().schema_type(Type::String).content_encoding("binary");
    /// A text.
    PlainText: ObjectBuilder::new().schema_type(Type::String);
    /// A JSON object.
    AnyObject: ObjectBuilder::new().schema_type(Type::Object);
}

/// What a node counted (`tollkeeper_contract::ledger::Report`).
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "the crate that reads it does not know OpenAPI; a test holds a real report against this")]
struct Report {
    /// The node's name: 1 to 256 visible ASCII characters.
    #[schema(pattern = "^[!-~]+$", min_length = 1, max_length = 256)]
    node: String,
    /// Which steward of that node is counting.
    epoch: u64,
    /// The batch's number, from 1, without gaps.
    #[schema(minimum = 1, maximum = 9_223_372_036_854_775_807_u64)]
    seq: u64,
    /// Usage per key and team, each pair at most once.
    #[schema(max_items = 10_000)]
    usage: Vec<Usage>,
}

/// How often one key was used since the batch before (`tollkeeper_contract::ledger::Usage`).
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "as for the report")]
struct Usage {
    /// The key's id; empty for a session that was made with a password.
    key: String,
    /// The id of the team whose bucket was charged; empty where an enterprise acted for itself.
    team: String,
    /// Requests let through.
    granted: u64,
    /// Requests refused because the team's bucket was empty.
    limited: u64,
    /// When the key was used last (Unix time, seconds).
    last_used: u64,
}

/// What a node has spent, and wants (`tollkeeper_contract::lease::Question`).
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "as for the report")]
struct LeaseQuestion {
    /// The node's name: 1 to 256 visible ASCII characters.
    #[schema(pattern = "^[!-~]+$", min_length = 1, max_length = 256)]
    node: String,
    /// The filter's `instance`: each has quotas of its own.
    #[schema(pattern = "^[!-~]+$", min_length = 1, max_length = 64)]
    instance: String,
    /// A number of the node's choice; the answer is sealed together with it.
    nonce: u64,
    /// For how long the node has asked without an answer, in milliseconds; 0 if the question before was answered, or if nodes
    /// spend nothing without a lease.
    unanswered_ms: u64,
    /// What is asked, each account at most once; may be empty.
    #[schema(max_items = 2_000)]
    asks: Vec<LeaseAsk>,
}

/// What a node says and wants of one account (`tollkeeper_contract::lease::Ask`).
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "as for the report")]
struct LeaseAsk {
    /// Whose quota it is.
    account: LeaseAccount,
    /// When the node began to count, by a clock of its own; sums with another beginning are as another node's.
    since: u64,
    /// Grows with every question about the account.
    #[schema(minimum = 1)]
    seq: u64,
    /// Tokens that the node knows to have been lent, ever.
    #[schema(maximum = 4_503_599_627_370_496_u64)]
    granted: u64,
    /// Those of them that it was told not to spend.
    #[schema(maximum = 4_503_599_627_370_496_u64)]
    void: u64,
    /// Those of them that it has spent.
    #[schema(maximum = 4_503_599_627_370_496_u64)]
    spent: u64,
    /// Those of them that it gives back.
    #[schema(maximum = 4_503_599_627_370_496_u64)]
    returned: u64,
    /// Tokens that it has spent without a lease.
    #[schema(maximum = 4_503_599_627_370_496_u64)]
    overdrawn: u64,
    /// How many of these were settled by an answer that it knows of.
    #[schema(maximum = 4_503_599_627_370_496_u64)]
    settled: u64,
    /// The balance that it needs; 0 if it only settles.
    need: u32,
    /// The balance that it would like to have.
    want: u32,
    /// What a request costs at least: it is told when there are so many.
    #[schema(minimum = 1)]
    least: u32,
    /// The limit.
    #[schema(minimum = 1)]
    limit: u32,
    /// The window in seconds.
    #[schema(minimum = 1, maximum = 2_678_400)]
    window: u32,
    /// What limit and window promise.
    promise: LeasePromise,
}

/// Whose quota it is.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
#[expect(dead_code, reason = "as for the report")]
enum LeaseAccount {
    /// A team's, by its id.
    Team(String),
    /// An enterprise's own, by its id.
    Enterprise(String),
}

/// What a quota promises.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
#[expect(dead_code, reason = "as for the report")]
enum LeasePromise {
    /// As many as the limit at once, and from then on as many per window as come back bit by bit.
    Bucket,
    /// Never more than the limit in any window of that length.
    Strict,
}
