//! Taking an action up, finishing it, stopping it: compare-and-set, answered after the commit.

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use pulselake_actions::{ActionError, QueuedAction, StateChange};
use pulselake_actors::status::now_us;
use pulselake_decision::lifecycle::ActionState;
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::ActionAnswer;
use crate::body::read_optional_json;
use crate::error::ErrorAnswer;
use crate::parameters::checked_action_id;
use crate::parts::Api;
use crate::{ApiError, Moment};

/// Body of a change; may be left out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ChangeRequest {
    /// The state that the action must be in; without it, any that leads to the wanted one.
    expected_state: Option<String>,
}

/// A change as it came in.
type Asked = Result<Path<String>, PathRejection>;

/// Take an action up: PENDING → ACKED
#[utoipa::path(
    post, path = "/api/v1/decisions/{action_id}/ack", tag = "decisions",
    params(("action_id" = Uuid, Path, description = "The action")),
    request_body(content = ChangeRequest, description = "May be left out"),
    responses(
        (status = 200, description = "The action after the commit", body = ActionAnswer),
        (status = 400, description = "A wrong id or body", body = ErrorAnswer),
        (status = 401, description = "No token, or a wrong one", body = ErrorAnswer),
        (status = 403, description = "No token for changes is set", body = ErrorAnswer),
        (status = 404, description = "No such action", body = ErrorAnswer),
        (status = 409, description = "It is in another state", body = ErrorAnswer),
        (status = 410, description = "It has expired", body = ErrorAnswer),
        (status = 503, description = "Not now; look at the action and try again", body = ErrorAnswer),
    )
)]
pub(crate) async fn post_ack(
    State(api): State<Api>,
    path: Asked,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Json<ActionAnswer>, ApiError> {
    change(&api, path, &headers, &body, ActionState::Acked).await
}

/// Say that an action was carried out: ACKED → DONE
#[utoipa::path(
    post, path = "/api/v1/decisions/{action_id}/done", tag = "decisions",
    params(("action_id" = Uuid, Path, description = "The action")),
    request_body(content = ChangeRequest, description = "May be left out"),
    responses(
        (status = 200, description = "The action after the commit", body = ActionAnswer),
        (status = 400, description = "A wrong id or body", body = ErrorAnswer),
        (status = 401, description = "No token, or a wrong one", body = ErrorAnswer),
        (status = 403, description = "No token for changes is set", body = ErrorAnswer),
        (status = 404, description = "No such action", body = ErrorAnswer),
        (status = 409, description = "It is in another state", body = ErrorAnswer),
        (status = 410, description = "It has expired", body = ErrorAnswer),
        (status = 503, description = "Not now; look at the action and try again", body = ErrorAnswer),
    )
)]
pub(crate) async fn post_done(
    State(api): State<Api>,
    path: Asked,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Json<ActionAnswer>, ApiError> {
    change(&api, path, &headers, &body, ActionState::Done).await
}

/// Stop an action: PENDING or ACKED → HOLD
#[utoipa::path(
    post, path = "/api/v1/decisions/{action_id}/hold", tag = "decisions",
    params(("action_id" = Uuid, Path, description = "The action")),
    request_body(content = ChangeRequest, description = "May be left out"),
    responses(
        (status = 200, description = "The action after the commit", body = ActionAnswer),
        (status = 400, description = "A wrong id or body", body = ErrorAnswer),
        (status = 401, description = "No token, or a wrong one", body = ErrorAnswer),
        (status = 403, description = "No token for changes is set", body = ErrorAnswer),
        (status = 404, description = "No such action", body = ErrorAnswer),
        (status = 409, description = "It is in another state", body = ErrorAnswer),
        (status = 410, description = "It has expired", body = ErrorAnswer),
        (status = 503, description = "Not now; look at the action and try again", body = ErrorAnswer),
    )
)]
pub(crate) async fn post_hold(
    State(api): State<Api>,
    path: Asked,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Json<ActionAnswer>, ApiError> {
    change(&api, path, &headers, &body, ActionState::Hold).await
}

async fn change(
    api: &Api,
    path: Asked,
    headers: &HeaderMap,
    body: &[u8],
    to: ActionState,
) -> Result<Json<ActionAnswer>, ApiError> {
    // Before anything else is looked at: who may not change learns nothing.
    api.settings.tokens.may_change(headers)?;
    let Path(id_text) = path.map_err(|error| ApiError::bad_request(error.body_text()))?;
    let action_id = checked_action_id(&id_text)?;
    let request: ChangeRequest = read_optional_json(body)?;
    let expected = request.expected_state.as_deref().map(expected_state).transpose()?;
    let changed = change_in_engine(api, action_id, StateChange { to, expected, at_us: now_us() }).await;
    match changed {
        Ok(action) => Ok(Json(ActionAnswer::from(&action))),
        Err(error) => Err(refusal(&error)),
    }
}

fn expected_state(text: &str) -> Result<ActionState, ApiError> {
    let known = ActionState::ALL.into_iter().find(|state| state.as_str().eq_ignore_ascii_case(text));
    let allowed = || ActionState::ALL.map(ActionState::as_str).join(", ");
    known.ok_or_else(|| ApiError::bad_parameter("expected_state", text, &allowed()))
}

/// Changes the queue in the engine's runtime, where its tables belong. A change that has begun goes on when the client has
/// gone away: half of a commit can't be taken back.
async fn change_in_engine(
    api: &Api,
    action_id: Uuid,
    change: StateChange,
) -> Result<QueuedAction, ActionError> {
    let Some(decisions) = &api.decisions else { return Err(ActionError::NotFound { action_id }) };
    let queue = decisions.queue.clone();
    let changing = api.engine.spawn(async move { queue.change(action_id, change).await });
    changing.await.unwrap_or_else(|error| Err(ActionError::Unavailable { reason: error.to_string() }))
}

fn refusal(error: &ActionError) -> ApiError {
    let message = error.to_string();
    match error {
        ActionError::NotFound { .. } => ApiError::not_found(message),
        ActionError::WrongState { is, .. } => ApiError::wrong_state(false, is.as_str(), message),
        ActionError::Expired { expired_at_us, .. } => {
            let since = serde_json::to_string(&Moment::from_us(*expired_at_us)).unwrap_or_default();
            let text = format!("{message}; it was good until {}", since.trim_matches('"'));
            ApiError::wrong_state(true, ActionState::Expired.as_str(), text)
        }
        ActionError::Unavailable { .. } => ApiError::unavailable("try_again", message),
        ActionError::Broken { .. } => ApiError::unavailable("queue_broken", message),
    }
}

#[cfg(test)]
mod tests {
    use axum::http::StatusCode;

    use super::*;

    #[test]
    fn each_refusal_has_its_status() {
        let action_id = Uuid::nil();
        let (is, wanted) = (ActionState::Done, ActionState::Acked);
        for (error, status, code) in [
            (ActionError::NotFound { action_id }, StatusCode::NOT_FOUND, "not_found"),
            (ActionError::WrongState { action_id, is, wanted }, StatusCode::CONFLICT, "wrong_state"),
            (ActionError::Expired { action_id, expired_at_us: 0 }, StatusCode::GONE, "expired"),
            (
                ActionError::Unavailable { reason: "locked".to_owned() },
                StatusCode::SERVICE_UNAVAILABLE,
                "try_again",
            ),
            (
                ActionError::Broken { reason: "rows".to_owned() },
                StatusCode::SERVICE_UNAVAILABLE,
                "queue_broken",
            ),
        ] {
            let refused = refusal(&error);
            assert_eq!((refused.status(), refused.code()), (status, code), "{error}");
        }
    }

    #[test]
    fn an_expected_state_is_one_of_the_five() {
        assert_eq!(expected_state("pending"), Ok(ActionState::Pending));
        let error = format!("{:?}", expected_state("GONE").unwrap_err());
        assert!(error.contains("expected_state") && error.contains("PENDING, ACKED"), "{error}");
    }
}
