//! Makes the views in Trino. Doing it again changes nothing: each view is created or replaced.

use super::catalogue::{ServingView, serving_views};
use super::trino::{TrinoClient, TrinoError};

/// What became of a view.
#[derive(Debug)]
pub(super) enum Outcome {
    /// It is there.
    Made,
    /// Trino refused it.
    Failed(TrinoError),
    /// A view that it reads is not there.
    Skipped(&'static str),
}

/// Makes the schema and every view in it, in order; `tell` hears of each view as soon as it is known. A view that fails takes
/// those with it that read it, and no others.
///
/// # Errors
/// Trino can't be asked, or has no place for the schema: then nothing was made.
pub(super) async fn apply(
    client: &TrinoClient,
    schema: &str,
    mut tell: impl FnMut(&'static ServingView, &Outcome),
) -> Result<(), TrinoError> {
    client.run(&format!("CREATE SCHEMA IF NOT EXISTS {}", quoted_name(schema))).await?;
    let mut missing: Vec<&str> = Vec::new();
    for view in serving_views() {
        let outcome = match view.views.iter().find(|read| missing.contains(read)) {
            Some(read) => Outcome::Skipped(read),
            None => make(client, view, schema).await?,
        };
        if !matches!(outcome, Outcome::Made) {
            missing.push(view.name);
        }
        tell(view, &outcome);
    }
    Ok(())
}

/// Trino's own refusal is the view's affair, anything else that of all.
async fn make(client: &TrinoClient, view: &ServingView, schema: &str) -> Result<Outcome, TrinoError> {
    match client.run(&create_statement(view, schema)).await {
        Ok(()) => Ok(Outcome::Made),
        Err(error @ TrinoError::Failed { .. }) => Ok(Outcome::Failed(error)),
        Err(error) => Err(error),
    }
}

/// The statement that makes a view in Trino. Views that it reads stand in its text without a schema: Trino looks for them
/// where the view itself is.
pub(super) fn create_statement(view: &ServingView, schema: &str) -> String {
    format!(
        "CREATE OR REPLACE VIEW {}.{} COMMENT {} AS\n{}",
        quoted_name(schema),
        quoted_name(view.name),
        quoted_text(&view.summary),
        view.query()
    )
}

fn quoted_name(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn quoted_text(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::views::find_view;

    #[test]
    fn names_and_texts_are_quoted() {
        let mut view = find_view("v_dim_users").unwrap().clone();
        view.summary = "It's one.".to_owned();
        let statement = create_statement(&view, "my \"views\"");
        let expected = "CREATE OR REPLACE VIEW \"my \"\"views\"\"\".\"v_dim_users\" COMMENT 'It''s one.' AS\nSELECT user_id,";
        assert!(statement.starts_with(expected), "{statement}");
        assert!(statement.ends_with("FROM dims.dim_users"), "{statement}");
    }
}
