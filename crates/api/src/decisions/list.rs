//! The list of actions, with what the decision maker says of itself.

use axum::Json;
use axum::extract::{RawQuery, State};
use pulselake_actions::ActionFilter;
use pulselake_decision::DecisionType;
use pulselake_decision::freshness::Freshness;
use pulselake_decision::lifecycle::ActionState;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::ActionAnswer;
use crate::error::ErrorAnswer;
use crate::parameters::{DEFAULT_LIMIT, Parameters};
use crate::parts::Api;
use crate::{ApiError, Moment};

/// Decisions and their queue.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DecisionsAnswer {
    /// How fresh the figures are that decisions are made on: degraded means that only REVIEW is decided, stale that nothing
    /// is. Null where this process makes no decisions.
    pub freshness: Option<FreshnessState>,
    /// Version of the rules in force; null where this process makes no decisions.
    pub rule_version: Option<String>,
    /// Why the rules that lie in the rules file are not in force; null while they are.
    pub rules_error: Option<String>,
    /// The last minute that was decided about.
    pub last_decided_minute: Option<Moment>,
    /// The actions, newest first.
    pub actions: Vec<ActionAnswer>,
}

/// How fresh figures are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum FreshnessState {
    /// As promised.
    Fresh,
    /// P95 above 3 minutes for 5 minutes.
    Degraded,
    /// P95 above 10 minutes, or the source is out.
    Stale,
}

impl From<Freshness> for FreshnessState {
    fn from(freshness: Freshness) -> Self {
        match freshness {
            Freshness::Fresh => Self::Fresh,
            Freshness::Degraded => Self::Degraded,
            Freshness::Stale => Self::Stale,
        }
    }
}

/// Parameters of the list.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code, reason = "read by utoipa's derive alone; `Parameters` reads them strictly")]
pub(crate) struct DecisionsParameters {
    /// Only actions in this state: PENDING, ACKED, DONE, EXPIRED or HOLD.
    state: Option<String>,
    /// Only decisions of this type: BOOST, REVIEW or RESCUE.
    #[param(rename = "type")]
    decision_type: Option<String>,
    /// Only actions of this video.
    #[param(max_length = 200)]
    video_id: Option<String>,
    /// Actions, from 1 to 500.
    #[param(minimum = 1, maximum = 500, default = 50)]
    limit: Option<u32>,
}

/// Actions that the rules have called for, newest first
#[utoipa::path(
    get, path = "/api/v1/decisions", tag = "decisions", params(DecisionsParameters),
    responses(
        (status = 200, description = "The list", body = DecisionsAnswer),
        (status = 400, description = "A wrong parameter", body = ErrorAnswer),
        (status = 401, description = "No token, or a wrong one", body = ErrorAnswer),
    )
)]
pub(crate) async fn get_decisions(
    State(api): State<Api>,
    RawQuery(query): RawQuery,
) -> Result<Json<DecisionsAnswer>, ApiError> {
    let filter = filter(query.as_deref())?;
    let Some(decisions) = &api.decisions else {
        let nothing = DecisionsAnswer {
            freshness: None,
            rule_version: None,
            rules_error: None,
            last_decided_minute: None,
            actions: Vec::new(),
        };
        return Ok(Json(nothing));
    };
    let handle = &decisions.handle;
    let actions = decisions.queue.view().list(&filter);
    Ok(Json(DecisionsAnswer {
        freshness: Some(handle.freshness().into()),
        rule_version: Some(handle.rule_version()),
        rules_error: handle.rules_error(),
        last_decided_minute: handle.last_decided_minute_us().map(Moment::from_us),
        actions: actions.iter().map(|action| ActionAnswer::from(action.as_ref())).collect(),
    }))
}

fn filter(query: Option<&str>) -> Result<ActionFilter, ApiError> {
    let parameters = Parameters::read(query, &["state", "type", "video_id", "limit"])?;
    let states = ActionState::ALL.map(|state| (state.as_str(), state));
    let decisions = [DecisionType::Boost, DecisionType::Review, DecisionType::Rescue]
        .map(|decision| (decision.as_str(), decision));
    Ok(ActionFilter {
        states: parameters.word("state", &states)?.into_iter().collect(),
        decisions: parameters.word("type", &decisions)?.into_iter().collect(),
        video_id: parameters.name("video_id")?,
        limit: Some(parameters.limit(DEFAULT_LIMIT)?),
        since_us: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_is_read_from_the_query() {
        let read = filter(Some("state=pending&type=BOOST&video_id=v_7&limit=3")).unwrap();
        assert_eq!(read.states, [ActionState::Pending]);
        assert_eq!(read.decisions, [DecisionType::Boost]);
        assert_eq!((read.video_id.as_deref(), read.limit), (Some("v_7"), Some(3)));
        let all = filter(None).unwrap();
        assert!(all.states.is_empty() && all.decisions.is_empty() && all.limit == Some(50));
        for wrong in ["state=GONE", "type=NO_ACTION", "limit=0", "order=velocity"] {
            assert!(filter(Some(wrong)).is_err(), "{wrong}");
        }
    }
}
