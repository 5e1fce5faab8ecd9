//! Log events as they stand in a source file: calls of tracing's macros that have the field `event`.

/// What is to be known of one event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct LogEvent {
    /// `error`, `warn`, `info` or `debug`.
    pub(super) level: String,
    /// Names of the fields beside `event`, in their order.
    pub(super) fields: Vec<String>,
    /// The message as it is written.
    pub(super) message: String,
}

/// The events of a file with their names.
pub(super) fn log_events_in(source: &str) -> Vec<(String, LogEvent)> {
    let mut found = Vec::new();
    for level in ["error", "warn", "info", "debug"] {
        let call = format!("{level}!(");
        for (at, _) in source.match_indices(&call) {
            let arguments = arguments_of(&source[at + call.len()..]);
            let is_event = |argument: &String| argument.starts_with("event = \"");
            let Some(name) = arguments.iter().find(|argument| is_event(argument)) else { continue };
            let name = name.trim_start_matches("event = ").trim_matches('"').to_owned();
            let (texts, others): (Vec<_>, Vec<_>) =
                arguments.into_iter().partition(|argument| argument.starts_with('"'));
            let fields = others
                .iter()
                .filter(|argument| !is_event(argument))
                .map(|argument| field_name(argument))
                .collect();
            let message = texts.last().map_or_else(String::new, |text| text.trim_matches('"').to_owned());
            found.push((name, LogEvent { level: level.to_owned(), fields, message }));
        }
    }
    found
}

/// `retry_in_ms = millis(retry_in)`, `?assigned` or `rows`: the name.
fn field_name(argument: &str) -> String {
    argument.split('=').next().unwrap_or(argument).trim().trim_start_matches(['?', '%']).to_owned()
}

/// What stands between the commas of a call, whose opening parenthesis has been read.
fn arguments_of(rest: &str) -> Vec<String> {
    let (mut arguments, mut current) = (Vec::new(), String::new());
    let (mut depth, mut in_text, mut is_escaped) = (0, false, false);
    for character in rest.chars() {
        if in_text {
            in_text = character != '"' || is_escaped;
            is_escaped = character == '\\' && !is_escaped;
            current.push(character);
            continue;
        }
        match character {
            '"' => in_text = true,
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' if depth == 0 => break,
            ')' | ']' | '}' => depth -= 1,
            ',' if depth == 0 => {
                arguments.push(std::mem::take(&mut current));
                continue;
            }
            _ => {}
        }
        current.push(character);
    }
    arguments.push(current);
    arguments
        .iter()
        .map(|argument| argument.trim().to_owned())
        .filter(|argument| !argument.is_empty())
        .collect()
}

#[test]
fn fields_and_message_of_an_event_are_found() {
    let source = r#"warn!(event = "gone", table = name(a, b), ?parts, %error, retry_in_ms = ms(x), "it, \"said\", is {away}"); info!("no event");"#;
    let fields = ["table", "parts", "error", "retry_in_ms"].map(str::to_owned).to_vec();
    let message = "it, \\\"said\\\", is {away}".to_owned();
    let expected = LogEvent { level: "warn".to_owned(), fields, message };
    assert_eq!(log_events_in(source), [("gone".to_owned(), expected)]);
}
