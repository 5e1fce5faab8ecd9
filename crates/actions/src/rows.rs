//! Rows of the table as actions, and actions as rows.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, AsArray, Float64Array, Int32Array, Int64Array, ListBuilder, RecordBatch, StringArray,
    StringBuilder, TimestampMicrosecondArray,
};
use arrow::datatypes::{
    ArrowPrimitiveType, Field, Float64Type, Int32Type, Int64Type, TimestampMicrosecondType,
};
use pulselake_decision::DecisionType;
use pulselake_model::decisions;
use uuid::Uuid;

use crate::{ActionError, QueuedAction};

/// Rows in the columns of `gold.rt_action_queue`.
///
/// # Errors
/// [`ActionError::Broken`]: a defect of this crate.
pub fn batch_of(actions: &[QueuedAction]) -> Result<RecordBatch, ActionError> {
    let text = |value: &dyn Fn(&QueuedAction) -> String| {
        Arc::new(StringArray::from_iter_values(actions.iter().map(value))) as ArrayRef
    };
    let moment = |value: &dyn Fn(&QueuedAction) -> i64| {
        let values = TimestampMicrosecondArray::from_iter_values(actions.iter().map(value));
        Arc::new(values.with_timezone("+00:00")) as ArrayRef
    };
    let ratio = |value: &dyn Fn(&QueuedAction) -> f64| {
        Arc::new(Float64Array::from_iter_values(actions.iter().map(value))) as ArrayRef
    };
    let element = Field::new("element", arrow::datatypes::DataType::Utf8, true);
    let mut reasons = ListBuilder::new(StringBuilder::new()).with_field(Arc::new(element));
    for action in actions {
        reasons.append_value(action.reason_codes.iter().map(Some));
    }
    let columns: Vec<ArrayRef> = vec![
        text(&|action| action.action_id.to_string()),
        text(&|action| action.video_id.clone()),
        text(&|action| action.decision.as_str().to_owned()),
        Arc::new(Int32Array::from_iter_values(actions.iter().map(|action| action.priority))),
        text(&|action| action.state.as_str().to_owned()),
        moment(&|action| action.decided_at_us),
        moment(&|action| action.window_start_us),
        moment(&|action| action.window_end_us),
        moment(&|action| action.expires_at_us),
        text(&|action| action.rule_version.clone()),
        ratio(&|action| action.velocity_30m),
        ratio(&|action| action.completion_rate_30m),
        ratio(&|action| action.skip_rate_30m),
        Arc::new(Int64Array::from_iter_values(actions.iter().map(|action| action.impressions_30m))),
        Arc::new(reasons.finish()),
        moment(&|action| action.created_at_us),
        moment(&|action| action.updated_at_us),
        moment(&|action| action.state_updated_at_us),
    ];
    RecordBatch::try_new(decisions::action_queue(), columns)
        .map_err(|error| ActionError::Broken { reason: format!("actions are no rows: {error}") })
}

/// The actions in rows of `gold.rt_action_queue`; columns are found by name.
///
/// # Errors
/// [`ActionError::Broken`] for a column that is not there, and for a value that this build does not know.
pub fn actions_of(rows: &RecordBatch) -> Result<Vec<QueuedAction>, ActionError> {
    let text = |name: &str| {
        rows.column_by_name(name)
            .and_then(|column| column.as_string_opt::<i32>())
            .ok_or_else(|| missing(name))
    };
    let moment = |name: &str| numbers::<TimestampMicrosecondType>(rows, name);
    let ratio = |name: &str| numbers::<Float64Type>(rows, name);
    let (ids, videos, decisions, states) =
        (text("action_id")?, text("video_id")?, text("decision_type")?, text("state")?);
    let (priorities, versions) = (numbers::<Int32Type>(rows, "priority")?, text("rule_version")?);
    let (decided, expires) = (moment("decided_at")?, moment("expires_at")?);
    let (starts, ends) = (moment("window_start")?, moment("window_end")?);
    let (velocities, completions) = (ratio("velocity_30m")?, ratio("completion_rate_30m")?);
    let (skips, impressions) = (ratio("skip_rate_30m")?, numbers::<Int64Type>(rows, "impressions_30m")?);
    let (created, updated, changed) =
        (moment("created_at")?, moment("updated_at")?, moment("state_updated_at")?);
    let reasons = rows.column_by_name("reason_codes").and_then(|column| column.as_list_opt::<i32>());
    let reasons = reasons.ok_or_else(|| missing("reason_codes"))?;
    let mut actions = Vec::with_capacity(rows.num_rows());
    for row in 0..rows.num_rows() {
        let unknown = |column: &str, value: &str| ActionError::Broken {
            reason: format!(
                "gold.rt_action_queue has {column} {value:?} in the row of action {:?}, which this build does not know: run the pulselake that wrote it, or delete the row",
                ids.value(row)
            ),
        };
        let codes = reasons.value(row);
        let codes = codes.as_string_opt::<i32>().ok_or_else(|| missing("reason_codes"))?;
        actions.push(QueuedAction {
            action_id: Uuid::parse_str(ids.value(row)).map_err(|_| unknown("action_id", ids.value(row)))?,
            video_id: videos.value(row).to_owned(),
            decision: decision(decisions.value(row))
                .ok_or_else(|| unknown("decision_type", decisions.value(row)))?,
            priority: priorities.value(row),
            state: states.value(row).parse().map_err(|_| unknown("state", states.value(row)))?,
            decided_at_us: decided.value(row),
            window_start_us: starts.value(row),
            window_end_us: ends.value(row),
            expires_at_us: expires.value(row),
            rule_version: versions.value(row).to_owned(),
            velocity_30m: velocities.value(row),
            completion_rate_30m: completions.value(row),
            skip_rate_30m: skips.value(row),
            impressions_30m: impressions.value(row),
            reason_codes: codes.iter().flatten().map(str::to_owned).collect(),
            created_at_us: created.value(row),
            updated_at_us: updated.value(row),
            state_updated_at_us: changed.value(row),
        });
    }
    Ok(actions)
}

fn decision(word: &str) -> Option<DecisionType> {
    DecisionType::ALL.into_iter().find(|decision| decision.as_str() == word)
}

fn numbers<'a, T: ArrowPrimitiveType>(
    rows: &'a RecordBatch,
    name: &str,
) -> Result<&'a arrow::array::PrimitiveArray<T>, ActionError> {
    rows.column_by_name(name).and_then(|column| column.as_primitive_opt::<T>()).ok_or_else(|| missing(name))
}

fn missing(column: &str) -> ActionError {
    let reason = format!("gold.rt_action_queue has no column {column} of the type that this build reads");
    ActionError::Broken { reason }
}

#[cfg(test)]
mod tests {
    use pulselake_decision::ActionState;

    use super::*;
    use crate::example::action;

    fn queued(video_id: &str, reason_codes: &[&str]) -> QueuedAction {
        QueuedAction {
            reason_codes: reason_codes.iter().map(|code| (*code).to_owned()).collect(),
            state: ActionState::Hold,
            ..QueuedAction::pending(&action(video_id, 1, DecisionType::Review), 181_000_000)
        }
    }

    #[test]
    fn actions_become_rows_and_rows_actions() {
        let actions = [queued("a", &["HIGH_VELOCITY_P90", "CODE_OF_A_LATER_BUILD"]), queued("b", &[])];
        let rows = batch_of(&actions).unwrap();
        assert_eq!(rows.num_rows(), 2);
        assert_eq!(actions_of(&rows).unwrap(), actions);
        assert_eq!(actions_of(&batch_of(&[]).unwrap()).unwrap(), []);
    }

    #[test]
    fn what_this_build_does_not_know_is_named() {
        let rows = batch_of(&[queued("a", &[])]).unwrap();
        let column = rows.schema().index_of("state").unwrap();
        let mut columns = rows.columns().to_vec();
        columns[column] = Arc::new(StringArray::from(vec!["PAUSED"]));
        let altered = RecordBatch::try_new(rows.schema(), columns).unwrap();
        let error = actions_of(&altered).unwrap_err().to_string();
        assert!(error.contains("state \"PAUSED\"") && !error.contains('{'), "{error}");
        let without = rows.project(&[0, 1]).unwrap();
        assert!(actions_of(&without).unwrap_err().to_string().contains("decision_type"));
    }
}
