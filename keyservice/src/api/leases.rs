//! `POST /node/v1/leases`: nodes settle what they have spent of the fleet's quotas, and are lent more.

use std::{collections::HashSet, sync::Arc, time::Instant};

use axum::{
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use tollkeeper_contract::{
    lease::{Answer, Ask, MAX_ASKS, MAX_LENGTH, Question},
    page::NodeToken,
};

use super::{App, auth::Asking, body::Sent, problem::Problem};
use crate::{
    domain::{
        NodeName,
        quota::{Claim, Lending, TERM_MS},
    },
    edge, fleet,
    metrics::{LeaseOutcome, QuotaOutcome},
    nodes::Acquaintance,
    quota::{Answered, Asker, QuotaError},
    store::StoreError,
};

/// The longest name of an instance, in bytes.
const MOST_INSTANCE: usize = 64;

/// `POST /node/v1/leases`
pub(super) async fn ask(
    State(app): State<Arc<App>>,
    Asking(token): Asking,
    sent: Result<Sent<Question, MAX_LENGTH>, Problem>,
) -> Result<Response, Problem> {
    let answered = match sent {
        Ok(sent) => answer(&app, sent.value, &token).await,
        Err(problem) => Err(problem),
    };
    if let Err(problem) = &answered {
        let is_ours = problem.status().is_server_error();
        app.metrics.count_leases(if is_ours { LeaseOutcome::Unavailable } else { LeaseOutcome::Refused });
    }
    answered
}

async fn answer(app: &Arc<App>, question: Question, token: &NodeToken) -> Result<Response, Problem> {
    let asker = asker(&question)?;
    let acquaintance = app.nodes.hear(&asker.node, edge::now());
    let Question { nonce, unanswered_ms, .. } = question;
    // What one that is alone spent of its share, it says itself.
    let is_alone = acquaintance == Acquaintance::Known && app.census.was_one();
    let unanswered_ms = if is_alone { 0 } else { unanswered_ms };
    let claims = claims(question.asks)?;
    // Also if the node does not stay to hear of it: when it gave up because the books cannot be kept, that must be noted.
    let settled = tokio::spawn(settle(Arc::clone(app), asker, claims, unanswered_ms)).await;
    let answered = settled.map_err(|_| QuotaError::Database(StoreError::Interrupted))??;
    let granted = answered.settled.iter().map(|settled| settled.grant).fold(0, u64::saturating_add);
    let only_settles = answered.lending == Lending::OnlySettles;
    app.metrics.count_leases(if only_settles { LeaseOutcome::Settled } else { LeaseOutcome::Lent { granted } });
    let lent = answered.settled.into_iter().map(|settled| settled.lent).collect();
    let answer = Answer { nodes: count_nodes(app, acquaintance).await, term_ms: TERM_MS, only_settles, lent };
    let bytes = answer.seal(nonce, token).map_err(|error| {
        tracing::error!(%error, "an answer cannot be written");
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "answer_failed", "the answer cannot be written")
    })?;
    Ok(([(header::CONTENT_TYPE, "application/octet-stream")], bytes).into_response())
}

async fn settle(app: Arc<App>, asker: Asker, claims: Vec<Claim>, unanswered_ms: u64) -> Result<Answered, QuotaError> {
    let began = Instant::now();
    let accounts = claims.len();
    let answered = app.quotas.answer(&asker, claims, unanswered_ms, &app.store).await;
    let outcome = if answered.is_ok() { QuotaOutcome::Answered } else { QuotaOutcome::Failed };
    app.metrics.count_quota_calls(accounts, outcome, began.elapsed());
    answered
}

fn asker(question: &Question) -> Result<Asker, Problem> {
    let node = NodeName::parse(&question.node)
        .map_err(|_| Problem::field("node", "a node name is 1 to 256 visible ASCII characters"))?;
    let instance = question.instance.clone();
    let is_named =
        (1..=MOST_INSTANCE).contains(&instance.len()) && instance.bytes().all(|byte| byte.is_ascii_graphic());
    if !is_named {
        return Err(Problem::field("instance", "an instance is named by 1 to 64 visible ASCII characters"));
    }
    Ok(Asker { instance, node })
}

fn claims(asks: Vec<Ask>) -> Result<Vec<Claim>, Problem> {
    if asks.len() > MAX_ASKS {
        return Err(Problem::field("asks", format!("a question is about at most {MAX_ASKS} accounts")));
    }
    let mut accounts = HashSet::new();
    if let Some(index) = asks.iter().position(|ask| !accounts.insert(&ask.account)) {
        return Err(Problem::field(format!("asks[{index}].account"), "is asked about twice"));
    }
    let claim = |(index, ask)| {
        Claim::read(ask).map_err(|wrong| Problem::field(format!("asks[{index}].{}", wrong.field), wrong.message))
    };
    asks.into_iter().enumerate().map(claim).collect()
}

/// How many nodes are live: those that the database knows, and those that have called here since, at once. A node that is not
/// counted yet, or not any more, would let the others spend its share.
async fn count_nodes(app: &App, asker: Acquaintance) -> u32 {
    app.census.take(asker, read_nodes(app), |known| app.nodes.calling_beside(known, edge::now())).await
}

async fn read_nodes(app: &App) -> Option<HashSet<NodeName>> {
    match fleet::nodes(app).await {
        Ok(nodes) => {
            let now = edge::now();
            Some(nodes.into_iter().filter(|node| node.is_live(now)).map(|node| node.name).collect())
        }
        Err(error) => {
            tracing::warn!(%error, "cannot read which nodes are live; those before are counted");
            None
        }
    }
}

impl From<QuotaError> for Problem {
    fn from(error: QuotaError) -> Self {
        match error {
            QuotaError::Database(error) => error.into(),
            QuotaError::Unavailable(cause) => {
                tracing::warn!(cause, "the quota store cannot be used");
                let detail = "the quota store cannot be reached or failed; nodes go on with what they were lent";
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "quota_store_unavailable", detail)
            }
        }
    }
}
