//! Query parameters: read strictly, so that a mistyped one is told instead of being ignored.

use std::collections::BTreeMap;

use uuid::Uuid;

use crate::ApiError;

/// Most entries of a list.
pub const MAX_LIMIT: u32 = 500;
/// Entries of a list where nothing is said.
pub const DEFAULT_LIMIT: u32 = 50;
/// Longest id or name that is taken, characters.
pub const MAX_NAME_CHARS: usize = 200;

/// The parameters of one request, each at most once.
#[derive(Debug)]
pub(crate) struct Parameters {
    given: BTreeMap<String, String>,
}

impl Parameters {
    /// Reads a query string; `known` are the parameters that the path has.
    pub(crate) fn read(query: Option<&str>, known: &[&str]) -> Result<Self, ApiError> {
        let mut given = BTreeMap::new();
        for (name, value) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
            if !known.contains(&name.as_ref()) {
                return Err(unknown(&name, known));
            }
            if given.insert(name.to_string(), value.into_owned()).is_some() {
                return Err(ApiError::bad_request(format!("parameter {name} is given twice")));
            }
        }
        Ok(Self { given })
    }

    /// The text of a parameter; an empty one counts as not given.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.given.get(name).map(String::as_str).filter(|text| !text.is_empty())
    }

    /// A name or id.
    pub(crate) fn name(&self, name: &str) -> Result<Option<String>, ApiError> {
        self.text(name).map(|text| checked_name(name, text).map(str::to_owned)).transpose()
    }

    /// How many entries, from 1 to [`MAX_LIMIT`]; `default` where nothing is said.
    pub(crate) fn limit(&self, default: u32) -> Result<usize, ApiError> {
        let Some(text) = self.text("limit") else { return Ok(default as usize) };
        let limit = text.parse::<u32>().ok().filter(|limit| (1..=MAX_LIMIT).contains(limit));
        let allowed = || format!("an integer from 1 to {MAX_LIMIT}");
        limit.map(|limit| limit as usize).ok_or_else(|| ApiError::bad_parameter("limit", text, &allowed()))
    }

    /// One of some words, with what each stands for.
    pub(crate) fn word<T: Copy>(&self, name: &str, words: &[(&str, T)]) -> Result<Option<T>, ApiError> {
        let Some(text) = self.text(name) else { return Ok(None) };
        let meant = words.iter().find(|(word, _)| word.eq_ignore_ascii_case(text));
        let allowed = || words.iter().map(|(word, _)| *word).collect::<Vec<_>>().join(", ");
        let (_, value) = meant.ok_or_else(|| ApiError::bad_parameter(name, text, &allowed()))?;
        Ok(Some(*value))
    }

    /// A switch; off where nothing is said.
    pub(crate) fn switch(&self, name: &str) -> Result<bool, ApiError> {
        Ok(self.word(name, &[("true", true), ("false", false)])?.unwrap_or(false))
    }
}

fn unknown(name: &str, known: &[&str]) -> ApiError {
    let shown: String = name.chars().take(80).collect();
    let allowed = match known {
        [] => "this path has none".to_owned(),
        some => format!("allowed are {}", some.join(", ")),
    };
    ApiError::bad_request(format!("there is no parameter {shown:?}; {allowed}"))
}

/// An id or name of sensible length.
pub(crate) fn checked_name<'a>(name: &str, text: &'a str) -> Result<&'a str, ApiError> {
    if text.is_empty() || text.chars().count() > MAX_NAME_CHARS {
        let allowed = format!("1 to {MAX_NAME_CHARS} characters");
        return Err(ApiError::bad_parameter(name, text, &allowed));
    }
    Ok(text)
}

/// The id of an action.
pub(crate) fn checked_action_id(text: &str) -> Result<Uuid, ApiError> {
    Uuid::parse_str(text)
        .map_err(|_| ApiError::bad_parameter("action_id", text, "a UUID such as GET /api/v1/decisions shows"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limit_of(query: &str) -> Result<usize, String> {
        let parameters = Parameters::read(Some(query), &["limit"]).map_err(|error| format!("{error:?}"))?;
        parameters.limit(DEFAULT_LIMIT).map_err(|error| format!("{error:?}"))
    }

    #[test]
    fn a_limit_is_from_1_to_500() {
        for (query, limit) in [("", 50), ("limit=", 50), ("limit=1", 1), ("limit=500", 500)] {
            assert_eq!(limit_of(query), Ok(limit), "{query}");
        }
        for query in
            ["limit=0", "limit=501", "limit=-1", "limit=ten", "limit=1e2", "limit=99999999999999999999"]
        {
            let error = limit_of(query).unwrap_err();
            assert!(error.contains("limit") && error.contains("from 1 to 500"), "{query}: {error}");
        }
    }

    #[test]
    fn what_is_unknown_or_repeated_is_told() {
        let error = limit_of("limits=5").unwrap_err();
        assert!(error.contains("limits") && error.contains("allowed are limit"), "{error}");
        assert!(limit_of("limit=5&limit=6").unwrap_err().contains("twice"));
        let error = Parameters::read(Some("a=1"), &[]).unwrap_err();
        assert!(format!("{error:?}").contains("has none"));
    }

    #[test]
    fn names_are_decoded_and_bounded() {
        let parameters = Parameters::read(Some("category=Food%20%26+Drink"), &["category"]).unwrap();
        assert_eq!(parameters.name("category").unwrap().as_deref(), Some("Food & Drink"));
        assert_eq!(checked_name("id", &"x".repeat(200)).map(str::len), Ok(200));
        assert!(checked_name("id", &"x".repeat(201)).is_err());
        assert!(checked_name("id", "").is_err());
    }

    #[test]
    fn a_word_is_one_of_the_list_in_any_case() {
        let parameters = Parameters::read(Some("state=Acked&type=PARTY"), &["state", "type"]).unwrap();
        assert_eq!(parameters.word("state", &[("PENDING", 1), ("ACKED", 2)]).unwrap(), Some(2));
        let error = format!("{:?}", parameters.word("type", &[("BOOST", 1), ("REVIEW", 2)]).unwrap_err());
        assert!(error.contains("PARTY") && error.contains("BOOST, REVIEW"), "{error}");
        assert_eq!(parameters.word::<u8>("other", &[]).unwrap(), None);
    }
}
