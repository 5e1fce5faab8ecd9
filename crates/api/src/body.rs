//! Bodies of requests: small, and read strictly.

use serde::de::DeserializeOwned;

use crate::ApiError;

/// Most bytes of a request's body.
pub(crate) const MAX_BODY_BYTES: usize = 64 << 10;

/// A body that may be left out.
pub(crate) fn read_optional_json<T: DeserializeOwned + Default>(body: &[u8]) -> Result<T, ApiError> {
    if body.trim_ascii().is_empty() {
        return Ok(T::default());
    }
    read_json(body)
}

/// A body of JSON.
pub(crate) fn read_json<T: DeserializeOwned>(body: &[u8]) -> Result<T, ApiError> {
    serde_json::from_slice(body).map_err(|error| {
        ApiError::bad_request(format!("the body is not the JSON that is asked for: {error}"))
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn only_an_optional_body_may_be_left_out() {
        assert_eq!(read_optional_json::<BTreeMap<String, u8>>(b" \n"), Ok(BTreeMap::new()));
        assert!(read_json::<BTreeMap<String, u8>>(b"").is_err());
        let error = format!("{:?}", read_json::<BTreeMap<String, u8>>(b"{\"a\":300}").unwrap_err());
        assert!(error.contains("u8"), "{error}");
    }
}
