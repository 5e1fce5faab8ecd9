//! Where the tables are, for the query process: as variables, which no list of processes shows.

use pulselake_config::Settings;

/// Variables that say to `pulselake-query` what the engine's settings say of catalog and warehouse, wherever they come from.
///
/// # Errors
/// When a relative path has no absolute form.
pub(super) fn query_environment(settings: &Settings) -> anyhow::Result<Vec<(String, String)>> {
    let locations = settings.locations()?;
    let (rest, s3) = (&settings.rest, &settings.s3);
    let path_style = if s3.path_style { "true" } else { "" };
    let values = [
        ("LAKE__CATALOG_URI", locations.catalog_uri.expose()),
        ("LAKE__WAREHOUSE", locations.warehouse_uri.as_str()),
        ("REST__CREDENTIAL", rest.credential.expose()),
        ("REST__TOKEN", rest.token.expose()),
        ("REST__OAUTH2_SERVER_URI", rest.oauth2_server_uri.as_str()),
        ("REST__SCOPE", rest.scope.as_str()),
        ("S3__ENDPOINT", s3.endpoint.as_str()),
        ("S3__REGION", s3.region.as_str()),
        ("S3__PATH_STYLE", path_style),
        ("S3__ACCESS_KEY_ID", s3.access_key_id.as_str()),
        ("S3__SECRET_ACCESS_KEY", s3.secret_access_key.expose()),
        ("S3__SESSION_TOKEN", s3.session_token.expose()),
    ];
    let set = values.into_iter().filter(|(_, value)| !value.is_empty());
    let mut variables: Vec<(String, String)> =
        set.map(|(name, value)| (format!("PULSELAKE_{name}"), value.to_owned())).collect();
    let answer_timeout = ("PULSELAKE_REST__ANSWER_TIMEOUT_MS".to_owned(), rest.answer_timeout_ms.to_string());
    variables.push(answer_timeout);
    Ok(variables)
}

#[cfg(test)]
mod tests {
    use pulselake_config::{LoadOptions, Secret, load};

    use super::*;

    #[test]
    fn the_query_process_opens_the_same_lake() {
        let mut settings = Settings::default();
        settings.lake.data_dir = "/data/lake".to_owned();
        settings.rest.token = Secret::new("hunter2");
        settings.s3.endpoint = "http://127.0.0.1:9000".to_owned();
        settings.s3.path_style = true;
        settings.s3.access_key_id = "me".to_owned();
        settings.s3.secret_access_key = Secret::new("s3cret");
        let environment = query_environment(&settings).unwrap();
        let options = LoadOptions { environment, ..LoadOptions::default() };
        let theirs = load(&options).unwrap();
        let (ours, seen) = (settings.locations().unwrap(), theirs.locations().unwrap());
        assert_eq!(
            (ours.catalog_uri.expose(), &ours.warehouse_uri),
            (seen.catalog_uri.expose(), &seen.warehouse_uri)
        );
        assert_eq!((settings.rest, settings.s3), (theirs.rest, theirs.s3));
    }
}
